"""Names of leaves, and selectors, which choose nodes by them."""

from ._choosing import Labels, partition_by, tree_label, tree_mask
from ._dotted import from_paths, tree_paths
from ._selectors import Selector, by

__all__ = [
    "Labels",
    "Selector",
    "by",
    "from_paths",
    "partition_by",
    "tree_label",
    "tree_mask",
    "tree_paths",
]
