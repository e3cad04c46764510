"""What is done to PyTrees as a whole: take apart, put together, replace, look at, reckon."""

from ._at import tree_at
from ._check import tree_check, tree_flatten_one_level
from ._omega import ω  # noqa: PLC2403 - the name that solvers import
from ._partition import combine, filter, hashable_combine, hashable_partition, partition
from ._updates import apply_updates

__all__ = [
    "apply_updates",
    "combine",
    "filter",
    "hashable_combine",
    "hashable_partition",
    "partition",
    "tree_at",
    "tree_check",
    "tree_flatten_one_level",
    "ω",
]
