"""Blocks as the rows of one block whose arrays have an axis of layers in front."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from eqx_filter import is_array
from eqx_pytree import Module


def row_of(block: Any, index: Any) -> Any:
    """One layer, or with a slice some of them. Leaves that are no arrays are of all layers."""
    return jax.tree.map(lambda leaf: _part(leaf, index), block)


def _part(leaf: Any, index: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        shape = jax.eval_shape(lambda x: x[index], leaf).shape
        return jax.ShapeDtypeStruct(shape, leaf.dtype)
    if isinstance(leaf, jax.Array) and _is_split(leaf):
        of_index = () if isinstance(index, (int, np.integer)) else (None,)
        laid_out = jax.typeof(leaf).sharding
        spec = PartitionSpec(*of_index, *laid_out.spec[1:])
        return leaf.at[index].get(out_sharding=NamedSharding(laid_out.mesh, spec))
    is_row = hasattr(type(leaf), "__getitem__") and not isinstance(leaf, (str, bytes, np.generic))
    return leaf[index] if is_row else leaf  # `tree_at` hands out what is no array but has rows


def _is_split(leaf: jax.Array) -> bool:
    """Whether the axis of layers is split over explicit axes of a mesh, of which rows are told."""
    if not hasattr(jax, "typeof"):
        return False
    sharding = getattr(jax.typeof(leaf), "sharding", None)
    return bool(sharding is not None and sharding.spec and sharding.spec[0] is not None)


def stack(layers: Sequence[Any]) -> Any:
    """The layers as one, with an axis in front of each array.

    **Raises:** `ValueError` naming the first place where two of them differ in more than numbers.
    """
    first, *others = layers
    for number, other in enumerate(others, start=1):
        difference = next(_differences(first, other, ""), None)
        if difference is not None:
            path, told = difference
            message = (
                f"`Stacked` keeps equal blocks, which differ in the numbers of their arrays alone; "
                f"`layers[{number}]{path}` differs from `layers[0]{path}`: {told}. Keep blocks "
                "that differ in a tuple, or hand what differs to each by `each=`."
            )
            raise ValueError(message)
    flat = [jax.tree.leaves(layer) for layer in layers]
    columns = zip(*flat, strict=True)
    leaves = [jnp.stack(column) if _is_number(column[0]) else column[0] for column in columns]
    return jax.tree.structure(first).unflatten(leaves)


def _is_number(leaf: Any) -> bool:
    return is_array(leaf) or isinstance(leaf, np.ndarray)


def _differences(one: Any, other: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where two blocks differ in structure, shapes, dtypes or what is no array."""
    if callable(one) and callable(other) and _is_leaf(one) and _is_leaf(other):
        yield from _unequal(one, other, path)
    elif type(one) is not type(other) and not (_is_number(one) and _is_number(other)):
        yield path, f"a `{type(other).__name__}` instead of a `{type(one).__name__}`"
    elif _is_number(one):
        outlines = [f"{x.dtype}{list(x.shape)}" for x in (one, other)]
        if outlines[0] != outlines[1]:
            yield path, f"{outlines[1]} instead of {outlines[0]}"
    elif isinstance(one, Module):
        for field in dataclasses.fields(one):
            pair = (getattr(it, field.name, None) for it in (one, other))
            below = f"{path}.{field.name}"
            if field.metadata.get("static", False):
                yield from _unequal(*pair, below)
            else:
                yield from _differences(*pair, below)
    elif isinstance(one, (tuple, list, Mapping)):
        yield from _within(one, other, path)
    elif _is_leaf(one):
        yield from _unequal(one, other, path)
    elif jax.tree.structure(one) != jax.tree.structure(other):
        yield path, "another structure"


def _is_leaf(node: Any) -> bool:
    return jtu.treedef_is_leaf(jax.tree.structure(node))


def _within(one: Any, other: Any, path: str) -> Iterator[tuple[str, str]]:
    places = [list(it) if isinstance(it, Mapping) else list(range(len(it))) for it in (one, other)]
    if places[0] != places[1]:
        yield path, f"holding {places[1]} instead of {places[0]}"
    else:
        for place in places[0]:
            yield from _differences(one[place], other[place], f"{path}[{place!r}]")


def _unequal(one: Any, other: Any, path: str) -> Iterator[tuple[str, str]]:
    are_nan = one != one and other != other  # noqa: PLR0124 - NaN alone differs from itself
    if one is not other and not are_nan and not bool(np.all(one == other)):
        yield path, f"{other!r} instead of {one!r}"
