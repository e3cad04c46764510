"""PyTrees in files, leaf after leaf: no structure is saved, and no code that is in a file runs."""

from ._errors import TreePathError
from ._load import tree_deserialise_leaves
from ._save import tree_serialise_leaves
from ._specs import default_deserialise_filter_spec, default_serialise_filter_spec

__all__ = [
    "TreePathError",
    "default_deserialise_filter_spec",
    "default_serialise_filter_spec",
    "tree_deserialise_leaves",
    "tree_serialise_leaves",
]
