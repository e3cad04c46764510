"""Parts of leaves for `tree_at`: rows of an array, one layer of several that are kept as one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..paths._where import Chosen, Part
from ..shared._describe import describe


def has_parts(nodes: Sequence[Any]) -> bool:
    """Whether some nodes are made of parts of leaves."""
    return any(type(leaf) is Part for node in nodes for leaf in jtu.tree_leaves(node))


def replace_parts(
    where: Callable[[Any], Any],
    chosen: Chosen,
    replacements: Sequence[Any] | None,
    replace_fn: Callable[[Any], Any],
) -> Any:
    """The tree with each part replaced, one after the other.

    **Raises:** `ValueError` for what has another structure or another shape than the part;
    `TypeError` for a dtype that the leaf cannot hold, and for another value of a leaf that is no
    array and so has no parts.
    """
    leaves = list(chosen.leaves)
    for number, node in enumerate(chosen.nodes):
        stand_ins, structure = jtu.tree_flatten(node)
        if replacements is None:
            values = [_of(leaves[it.index], _keys(it)) for it in stand_ins]
            news = replace_fn(structure.unflatten(values))
        else:
            news = replacements[number]
        news, other = jtu.tree_flatten(news)
        if other != structure:
            message = (
                f"What is made of parts of leaves is replaced by something of the same structure, "
                f"`{structure}`; got `{other}`. `where` is {describe(where)}."
            )
            raise ValueError(message)
        for stand_in, new in zip(stand_ins, news, strict=True):
            leaf, keys = leaves[stand_in.index], _keys(stand_in)
            fault = _fault(leaf, keys, new)
            if fault is not None:
                kind, told = fault
                path = _path(chosen, stand_in.index)
                message = f"`{path}` {told}. `where` is {describe(where)}."
                raise kind(message)
            leaves[stand_in.index] = _with(leaf, keys, new)
    return chosen.structure.unflatten(leaves)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray))


def _keys(stand_in: Any) -> tuple[Any, ...]:
    return stand_in.keys if type(stand_in) is Part else ()


def _path(chosen: Chosen, index: int) -> str:
    paths = jtu.tree_flatten_with_path(chosen.structure.unflatten(chosen.leaves))[0]
    return f"pytree{jtu.keystr(paths[index][0])}"


def _of(leaf: Any, keys: tuple[Any, ...]) -> Any:
    """A part of a leaf; all of it, where it is no array."""
    for key in keys if _is_array(leaf) else ():
        leaf = leaf[key]
    return leaf


def _fault(leaf: Any, keys: tuple[Any, ...], new: Any) -> tuple[type[Exception], str] | None:
    """What keeps a value from taking the place of a part."""
    if not keys:
        return None
    if not _is_array(leaf):
        if new is leaf or (type(new) is type(leaf) and new == leaf):
            return None
        return (
            TypeError,
            f"is no array, and has no part that could become `{new!r}`: it is {leaf!r}",
        )
    shape = np.shape(_of(leaf, keys))
    if np.shape(new) != shape:
        return ValueError, f"has a part of shape {shape} there; what replaces it is {np.shape(new)}"
    if not _holds(leaf, new):
        dtype = getattr(new, "dtype", type(new).__name__)
        return TypeError, (
            f"is of dtype `{leaf.dtype}`, which does not hold the `{dtype}` of what replaces a "
            "part of it: convert one of them with `astype`"
        )
    return None


def _holds(leaf: Any, new: Any) -> bool:
    """Whether numbers of the kind of `new` keep their kind in an array."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return getattr(new, "dtype", None) == leaf.dtype
    if isinstance(leaf, np.ndarray):
        return np.can_cast(np.asarray(new).dtype, leaf.dtype, "same_kind")
    return jnp.result_type(new, leaf) == leaf.dtype


def _with(leaf: Any, keys: tuple[Any, ...], new: Any) -> Any:
    """The leaf with another value for a part of it."""
    if not keys or not _is_array(leaf):
        return new
    key, *below = keys
    new = _with(leaf[key], tuple(below), new) if below else new
    if isinstance(leaf, np.ndarray):
        leaf = leaf.copy()
        leaf[key] = new
        return leaf
    return leaf.at[key].set(new)
