"""What is done to PyTrees as a whole: replace nodes, look at the structure, add updates, reckon."""

from ._at import tree_at
from ._check import tree_check, tree_flatten_one_level
from ._omega import ω  # noqa: PLC2403 - the name that solvers import
from ._updates import apply_updates

__all__ = [
    "apply_updates",
    "tree_at",
    "tree_check",
    "tree_flatten_one_level",
    "ω",
]
