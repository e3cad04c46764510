"""Trees of tangents and cotangents, with None for those that are zero or that there cannot be."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ._difference import first_difference
from ._jax import let_vary_as, varying_over
from ._predicates import is_none, is_number_or_array


class MisfitError(Exception):
    """A tree of tangents does not fit; the arguments are a path and what is wrong there."""


def leaf_by_leaf(given: Any, like: Any) -> list[Any]:
    """A tangent or None for each leaf of `like`; one None may stand for a subtree.

    **Raises:** `MisfitError` if `given` has another structure.
    """
    placed, structure = jtu.tree_flatten_with_path(given, is_none)
    try:
        subtrees = structure.flatten_up_to(like)
    except ValueError:
        difference = first_difference(given, like, prefix=True, is_leaf=is_none)
        raise MisfitError(*difference) from None
    found: list[Any] = []
    for (path, leaf), subtree in zip(placed, subtrees, strict=True):
        count = len(jtu.tree_leaves(subtree))
        if leaf is not None and not jtu.all_leaves([subtree]):
            raise MisfitError(path, f"one array where there are {count} leaves")
        found += [leaf] * count
    return found


def let_vary_too(tangent: Any, like: Any) -> Any:
    """Let a tangent that is a constant vary under `shard_map` as `like` does, which it is of.

    None and anything else go through.
    """
    if tangent is None or not varying_over(jax.typeof(like)):
        return tangent
    if not is_number_or_array(tangent) or jax.dtypes.result_type(tangent) == jax.dtypes.float0:
        return tangent
    return let_vary_as(jnp.asarray(tangent), jax.typeof(like))


def first_other_shape(given: Any, like: Any) -> tuple[Any, str] | None:
    """The path of the first tangent that has another shape than its leaf, and what is wrong."""
    paths = [path for path, _ in jtu.tree_flatten_with_path(like)[0]]
    for path, tangent, leaf in zip(
        paths, leaf_by_leaf(given, like), jtu.tree_leaves(like), strict=True
    ):
        if tangent is not None and jnp.shape(tangent) != jnp.shape(leaf):
            return path, f"shape {jnp.shape(tangent)} instead of {jnp.shape(leaf)}"
    return None
