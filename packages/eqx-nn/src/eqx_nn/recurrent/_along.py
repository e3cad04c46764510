"""Any cell along sequences: by its equations where they are known here, else by calling it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array

from eqx_filter import is_array
from eqx_filter.primitives import vary_alike

from .._random import drawn
from ._equations import equations_of
from ._run import How, run


def along(
    cell: Any,
    xs: Array,
    state: Any,
    mask: Array | None,
    *,
    key: Any,
    reverse: bool,
    unroll: int,
) -> tuple[Array, Any]:
    """Run a cell along sequences from a state on; padding leaves the state as it is.

    **Arguments:** `xs` of shape (length, batch, input_size), arrays of `state` (batch, ...), `mask`
    (length, batch) or None; `key`, of which a cell of the user's gets one for each step.

    **Returns:** the output of each step, (length, batch, ...), and the last state.

    **Raises:** `TypeError` for a cell whose states differ in more than their dtypes.
    """
    known = equations_of(cell, xs, *jax.tree.leaves(state))
    if known is None:
        return _called(cell, xs, state, mask, key, reverse, unroll)
    equations, matrix, bias = known
    is_tuple = isinstance(state, tuple)
    states = state if is_tuple else (state,)
    hs, states = run(How(equations, reverse, unroll), matrix, bias, xs, states, mask)
    return hs, states if is_tuple else states[0]


def output_of(state: Any) -> Any:
    """What a cell gives: its state, or the first of several."""
    return state[0] if isinstance(state, (tuple, list)) else state


def _called(
    cell: Any, xs: Any, state: Any, mask: Any, key: Any, reverse: bool, unroll: int
) -> tuple[Any, Any]:
    keys = None if key is None else jr.split(drawn(key), xs.shape[:2])

    def call(x: Any, state: Any, keys: Any) -> Any:
        if keys is None:
            return jax.vmap(cell)(x, state)
        return jax.vmap(lambda x, state, key: cell(x, state, key=key))(x, state, keys)

    def step(state: Any, at: Any) -> tuple[Any, Any]:
        x, kept, keys = at
        new = call(x, state, keys)
        new = jax.tree.map(lambda n, o: _kept(kept, n, o), new, state)
        return new, output_of(new)

    of_step = None if keys is None else jax.ShapeDtypeStruct(keys.shape[1:], keys.dtype)
    state = _settled(cell, call, xs, state, of_step)
    state, ys = lax.scan(step, state, (xs, mask, keys), reverse=reverse, unroll=unroll)
    return ys, state


def _kept(kept: Any, new: Any, old: Any) -> Any:
    new = new if new.dtype == old.dtype else jnp.asarray(new, old.dtype)
    return new if kept is None else jnp.where(jnp.expand_dims(kept, range(1, new.ndim)), new, old)


def _settled(cell: Any, call: Any, xs: Any, state: Any, keys: Any) -> Any:
    """The state in the dtypes in which the cell returns it."""
    weights = [x for x in jax.tree.leaves(cell) if is_array(x)]
    for _ in range(2):
        x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
        new = jax.eval_shape(call, x, state, keys)
        _check_alike(cell, state, new)
        state = jax.tree.map(_promoted, state, new)
    leaves, structure = jax.tree.flatten(state)
    alike = vary_alike(*leaves, xs, *weights)
    return jax.tree.unflatten(structure, alike[: len(leaves)])


def _promoted(old: Any, new: Any) -> Any:
    return old if old.dtype == new.dtype else old.astype(jnp.promote_types(old.dtype, new.dtype))


def _check_alike(cell: Any, old: Any, new: Any) -> None:
    shapes = [jax.tree.map(lambda x: x.shape[1:], state) for state in (old, new)]
    name = type(cell).__name__
    if shapes[0] != shapes[1]:
        message = (
            f"A cell returns a state of the structure and the shapes that it was given; `{name}` "
            f"was given {shapes[0]} and returned {shapes[1]}."
        )
        raise TypeError(message)
    output = output_of(new)
    if getattr(output, "ndim", 0) != 2:  # with the axis of the batch
        message = (
            f"The output of a cell, its state or the first of several, is a vector; that of "
            f"`{name}` is of another shape, in a state of shapes {shapes[0]}."
        )
        raise TypeError(message)
