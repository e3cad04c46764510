"""Compiled calls: which program a call runs, and what it is called with."""

from ._jit import filter_jit
from ._lowered import Compiled, Lowered

__all__ = [
    "Compiled",
    "Lowered",
    "filter_jit",
]
