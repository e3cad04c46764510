"""Rules that bring named arrays from the names and layouts of one model to those of another."""

from ._moving import copy, default, drop, rename
from ._rule import Rule
from ._running import migrate, reverse
from ._shaping import convert, join, split, stack, transpose, unstack

__all__ = [
    "Rule",
    "convert",
    "copy",
    "default",
    "drop",
    "join",
    "migrate",
    "rename",
    "reverse",
    "split",
    "stack",
    "transpose",
    "unstack",
]
