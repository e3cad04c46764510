"""The states of several cells as one, and one as those of several. Knows no layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._shapes import shape_of


def first_states(layer: str, cells: Sequence[Any], batch: tuple[int, ...]) -> Any:
    """What the cells begin with: in each array an axis of cells, and those of a batch in front.

    **Raises:** `TypeError` for a cell without `initial_state`; `ValueError` for cells whose states
    differ in structure or shape.
    """
    for cell in cells:
        if not hasattr(cell, "initial_state"):
            message = (
                f"`{layer}` does not know what to begin with: `{type(cell).__name__}` has no "
                "method `initial_state()`. Write one, or pass `state`."
            )
            raise TypeError(message)
    states = [cell.initial_state() for cell in cells]
    shapes = [jax.tree.map(shape_of, state) for state in states]
    if any(shape != shapes[0] for shape in shapes):
        message = (
            f"`{layer}` keeps the states of its cells as one, so they need one shape; got "
            f"{', '.join(map(str, shapes))}. Call one `RNN` on the outputs of another."
        )
        raise ValueError(message)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (*batch, *x.shape)), stacked)


def of_each_cell(layer: str, cells: Sequence[Any], given: Any, batch: tuple[int, ...]) -> list[Any]:
    """The state of each cell, with one axis for the batch in front.

    **Raises:** `TypeError` for another structure than that of the cells, `ValueError` for an array
    of another shape.
    """
    if given is None:
        state, like = first_states(layer, cells, batch), None
    elif all(hasattr(cell, "initial_state") for cell in cells):
        like = jax.eval_shape(lambda: first_states(layer, cells, ()))
        is_list = isinstance(given, list) and isinstance(like, tuple)
        state = tuple(given) if is_list else given
        _check(layer, state, like, batch)
    else:
        state, like = given, None
        _check_rows(layer, state, len(cells), batch)

    def row(x: Any, like: Any, i: int) -> Any:
        x = jnp.asarray(x)
        shape = (*batch, len(cells)) if like is None else (*batch, *like.shape)
        is_batched = x.shape[: len(shape)] == shape
        x = x if is_batched else jnp.broadcast_to(x, (*batch, *x.shape))
        return jnp.reshape(x, (math.prod(batch), *x.shape[len(batch) :]))[:, i]

    leaves, structure = jax.tree.flatten(state)
    expected = [None] * len(leaves) if like is None else jax.tree.leaves(like)
    return [
        structure.unflatten([row(*pair, i) for pair in zip(leaves, expected, strict=True)])
        for i in range(len(cells))
    ]


def as_one(states: Sequence[Any], batch: tuple[int, ...]) -> Any:
    """The way back: what `of_each_cell` takes apart."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *states)
    return jax.tree.map(lambda x: jnp.reshape(x, (*batch, *x.shape[1:])), stacked)


def before_each(after: Any, first: Any, *, reverse: bool) -> Any:
    """From the states after each step those before it; `first` is the one that begins, as a row."""
    if reverse:
        return jnp.concatenate([after, first])[1:]
    return jnp.concatenate([first, after])[:-1]


def _check(layer: str, state: Any, expected: Any, batch: tuple[int, ...]) -> None:
    found, wanted = jax.tree.structure(state), jax.tree.structure(expected)
    if found != wanted:
        message = (
            f"`{layer}` expects `state` as it returns it, of the structure {wanted}; got {found}."
        )
        raise TypeError(message)
    paths = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, x), like in zip(paths, jax.tree.leaves(expected), strict=True):
        if shape_of(x) not in (like.shape, (*batch, *like.shape)):
            each = f" or {like.shape}" if batch else ""
            message = (
                f"`{layer}` expects `state{jax.tree_util.keystr(path)}` of shape "
                f"{(*batch, *like.shape)}{each}, `(*batch, cells, size)`; got shape {shape_of(x)}."
            )
            raise ValueError(message)


def _check_rows(layer: str, state: Any, cells: int, batch: tuple[int, ...]) -> None:
    for path, x in jax.tree_util.tree_flatten_with_path(state)[0]:
        shape = shape_of(x) or ()
        if (*batch, cells) != shape[: len(batch) + 1] and shape[:1] != (cells,):
            message = (
                f"`{layer}` expects `state{jax.tree_util.keystr(path)}` of shape "
                f"{(*batch, cells)} and then that of one cell; got shape {shape}."
            )
            raise ValueError(message)
