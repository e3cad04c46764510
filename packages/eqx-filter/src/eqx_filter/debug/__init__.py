"""Tools to find out what a program does."""

from ._max_traces import assert_max_traces, get_num_traces
from ._retrace import explain_retrace

__all__ = [
    "assert_max_traces",
    "explain_retrace",
    "get_num_traces",
]
