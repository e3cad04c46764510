"""PyTrees in files, by the names of leaves or leaf after leaf: no code that is in a file runs."""

from ._checkpoints import Checkpoints
from ._errors import TreePathError
from ._load import tree_deserialise_leaves
from ._load_named import LoadReport, load, load_config
from ._plan import MigrationPlan, migration_plan
from ._save import tree_serialise_leaves
from ._save_named import save
from ._specs import default_deserialise_filter_spec, default_serialise_filter_spec

__all__ = [
    "Checkpoints",
    "LoadReport",
    "MigrationPlan",
    "TreePathError",
    "default_deserialise_filter_spec",
    "default_serialise_filter_spec",
    "load",
    "load_config",
    "migration_plan",
    "save",
    "tree_deserialise_leaves",
    "tree_serialise_leaves",
]
