"""Tools to find out what a program does."""

from eqx_filter.debug import assert_max_traces, explain_retrace, get_num_traces

__all__ = [
    "assert_max_traces",
    "explain_retrace",
    "get_num_traces",
]
