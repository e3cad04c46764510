"""Where the leaves of a PyTree go, and those of what is saved in the place of a stack of layers."""

from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from ..paths._dotted import tree_paths
from ..shared._shardings import is_plan, put
from ._host import is_spread
from ._named import unstacked


def with_own(sharding: Any, like: Any) -> Any:
    """What was asked for; if nothing was, the shardings that arrays have over several devices."""
    if sharding is not None:
        return sharding
    leaves, structure = jtu.tree_flatten(like)
    own = [leaf.sharding if _is_laid_out(leaf) else None for leaf in leaves]
    return structure.unflatten(own) if any(own) else None


def _is_laid_out(leaf: Any) -> bool:
    if isinstance(leaf, (np.ndarray, np.generic)):
        return False
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return isinstance(leaf.sharding, NamedSharding) and isinstance(leaf.sharding.mesh, Mesh)
    is_array = isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
    return is_array and (is_spread(leaf) or isinstance(leaf.sharding, NamedSharding))


def each_sharding(sharding: Any, like: Any, caller: str = "load") -> list[Any]:
    """The sharding of each leaf; None for the default device.

    **Raises:** `ValueError` for a PyTree of shardings that is no prefix of `like`.
    """
    if _is_one(sharding):
        return _of_leaves(sharding, like)
    ones, structure = jtu.tree_flatten(sharding, is_leaf=_is_one)
    try:
        parts = structure.flatten_up_to(like)
    except ValueError as error:
        message = f"`sharding` of `{caller}` must be a tree prefix of `like`: {error}"
        raise ValueError(message) from None
    pairs = zip(ones, parts, strict=True)
    return [it for one, part in pairs for it in _of_leaves(one, part)]


def _is_one(sharding: Any) -> bool:
    return sharding is None or isinstance(sharding, Sharding) or is_plan(sharding)


def _of_leaves(sharding: Any, like: Any) -> list[Any]:
    if is_plan(sharding):
        return sharding.__leaf_shardings__(like, is_call=False)
    return [sharding] * jtu.tree_structure(like).num_leaves


def shardings_of_rows(sharding: Any, like: Any, count: int) -> list[Any]:
    """The sharding of each of the leaves of `unstacked(like)`: of a layer, that of its row."""
    if sharding is None:
        return [None] * count
    ones = map(_Place, each_sharding(sharding, like))
    places = unstacked(jtu.tree_structure(like).unflatten(ones))
    return [place.sharding for place in jtu.tree_leaves(places)]


def placed(tree: Any, sharding: Any) -> Any:
    """The tree with each array where it goes: what was stacked is where JAX put it."""
    if sharding is None:
        return tree
    leaves, structure = jtu.tree_flatten(tree)
    to = each_sharding(sharding, tree)
    pairs = zip(leaves, to, strict=True)
    return structure.unflatten([_put(tree, i, *pair) for i, pair in enumerate(pairs)])


def _put(tree: Any, number: int, leaf: Any, sharding: Any) -> Any:
    if sharding is None or not isinstance(leaf, jax.Array) or leaf.sharding == sharding:
        return leaf
    try:
        return put(leaf, sharding)
    except ValueError as error:
        message = f"`{[*tree_paths(tree)][number]}` of `like` does not fit its `sharding`: {error}"
        raise RuntimeError(message) from None


class _Place:
    """A sharding in the place of an array, of which a row may be taken."""

    def __init__(self, sharding: Any) -> None:
        self.sharding = sharding

    def __getitem__(self, index: Any) -> "_Place":
        if not isinstance(self.sharding, NamedSharding):
            return self
        _, *rest = self.sharding.spec or (None,)
        kind = self.sharding.memory_kind
        return _Place(NamedSharding(self.sharding.mesh, PartitionSpec(*rest), memory_kind=kind))
