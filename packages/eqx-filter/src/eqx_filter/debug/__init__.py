"""Tools to see what JAX does with a program, and where it goes wrong."""

from ._announce import announce_jaxpr_p, announce_transform
from ._backward_nan import backward_nan
from ._breakpoint import breakpoint_if
from ._dce import inspect_dce, store_dce
from ._max_traces import assert_max_traces, get_num_traces
from ._retrace import explain_retrace

__all__ = [
    "announce_jaxpr_p",
    "announce_transform",
    "assert_max_traces",
    "backward_nan",
    "breakpoint_if",
    "explain_retrace",
    "get_num_traces",
    "inspect_dce",
    "store_dce",
]
