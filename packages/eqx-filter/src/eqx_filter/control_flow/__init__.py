"""Loops and branches of JAX, for any PyTrees."""

from ._branches import filter_cond, filter_switch
from ._loops import filter_fori_loop, filter_map, filter_scan, filter_while_loop

__all__ = [
    "filter_cond",
    "filter_fori_loop",
    "filter_map",
    "filter_scan",
    "filter_switch",
    "filter_while_loop",
]
