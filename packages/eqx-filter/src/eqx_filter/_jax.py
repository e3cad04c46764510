"""The one room that names what JAX does not promise to keep, each with its reason."""

import importlib
from typing import Any

import jax
import jax.tree_util as jtu

from ._predicates import is_none

try:
    # Flattens with None as a leaf, in C++, where `is_leaf` calls Python for every node: a tenth of
    # `combine`. To go when `jax.tree_util` has it by another name.
    from jax._src.tree_util import none_leaf_registry
except ImportError:
    none_leaf_registry = None

if hasattr(jax.sharding, "reshard"):
    reshard = jax.sharding.reshard
else:  # until JAX 0.6 it was experimental
    reshard = importlib.import_module("jax.experimental.shard").reshard


def flatten_with_nones(tree: Any) -> tuple[list[Any], Any]:
    """Flatten a PyTree with each None as a leaf."""
    if none_leaf_registry is None:
        return jtu.tree_flatten(tree, is_none)
    return none_leaf_registry.flatten(tree)
