"""Tools to see what JAX does with a program, and where it goes wrong."""

from eqx_filter.debug import (
    announce_transform,
    assert_max_traces,
    backward_nan,
    breakpoint_if,
    explain_retrace,
    get_num_traces,
    inspect_dce,
    store_dce,
)

__all__ = [
    "announce_transform",
    "assert_max_traces",
    "backward_nan",
    "breakpoint_if",
    "explain_retrace",
    "get_num_traces",
    "inspect_dce",
    "store_dce",
]
