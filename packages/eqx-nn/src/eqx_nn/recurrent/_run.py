"""A known cell along sequences: one scan forward, and one scan for its tangents.

The tangents of all steps are linear in those of the weights, and what they need is there once the
way forward is done: `[x, h]` at each step. So what comes from the weights is one product for all
steps, and the scan of tangents has the product with the hidden state alone. Transposed, that is a
scan backwards and then one product for the gradient of the weights, instead of a sum over steps.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from eqx_filter.primitives import scan_of_tangents, vary_alike

from ._equations import Equations, States
from ._states import before_each


class How(NamedTuple):
    """What is not differentiated: the equations, the direction, and steps to a turn of the loop."""

    equations: Equations
    reverse: bool
    unroll: int


def run(
    how: How, matrix: Array, bias: Array | None, xs: Array, states: States, mask: Array | None
) -> tuple[Array, States]:
    """Run a cell along sequences; padding, where `mask` is False, leaves the states as they are.

    **Arguments:** `matrix` of shape (input_size + hidden_size, products), `bias` (products,), `xs`
    (length, batch, input_size), each of `states` (batch, hidden_size), `mask` (length, batch).

    **Returns:** the hidden state after each step, (length, batch, hidden_size), and the last
    states; all in the dtype that matrix, bias, inputs and states have together.
    """
    arrays = [matrix, xs, *states] + ([] if bias is None else [bias])
    dtype = jnp.result_type(*arrays)
    arrays = vary_alike(*(jnp.asarray(x, dtype) for x in arrays))
    matrix, xs, *rest = arrays
    states, bias = tuple(rest[: len(states)]), None if bias is None else rest[-1]
    if xs.shape[1] != 1:
        return _run(how, matrix, bias, xs, states, mask)
    # One sequence goes by vectors: a matrix of one row takes XLA a fifth more time.
    mask = None if mask is None else mask[:, 0]
    hs, states = _run(how, matrix, bias, xs[:, 0], tuple(x[0] for x in states), mask)
    return hs[:, None], tuple(x[None] for x in states)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(how: How, matrix: Any, bias: Any, xs: Any, states: Any, mask: Any) -> tuple[Any, Any]:
    hs, states, _ = _forward(how, matrix, bias, xs, states, mask)
    return hs, states


def _forward(
    how: How, matrix: Any, bias: Any, xs: Any, states: Any, mask: Any
) -> tuple[Any, Any, Any]:
    """The hidden states, the last states and the slopes."""
    matrices = how.equations.matrices(matrix, xs.shape[-1])

    def step(states: Any, at: Any) -> tuple[Any, Any]:
        x, kept = at
        z = how.equations.products(matrices, x, states[0])
        z = z if bias is None else z + jnp.broadcast_to(bias, z.shape)
        new, slopes = how.equations.step(z, states)
        new = _where(kept, new, states)
        return new, (new[0], slopes)

    states, (hs, slopes) = lax.scan(
        step, states, (xs, mask), reverse=how.reverse, unroll=how.unroll
    )
    return hs, states, slopes


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(how: How, primals: Any, tangents: Any) -> tuple[Any, Any]:
    matrix, bias, xs, states, mask = primals
    hs, last, slopes = _forward(how, matrix, bias, xs, states, mask)
    pushed = _pushed(how, matrix, xs, hs, states[0], tangents)
    if pushed is None:
        pushed = jnp.zeros((*xs.shape[:-1], matrix.shape[1]), xs.dtype)
    zeros = [_instantiated(t, x) for t, x in zip(tangents[3], states, strict=True)]
    pushed, *begin = vary_alike(pushed, *zeros)
    matrices = how.equations.matrices(matrix, xs.shape[-1])

    def step(states: Any, at: Any) -> tuple[Any, Any]:
        pushed, (slopes, kept) = at
        z = pushed + how.equations.hidden_products(matrices, states[0])
        new = how.equations.tangent(slopes, z, states)
        new = _where(kept, new, states)
        return new, new[0]

    known = slopes, mask
    last_dot, hs_dot = scan_of_tangents(
        step, tuple(begin), pushed, known, reverse=how.reverse, unroll=how.unroll
    )
    return (hs, last), (hs_dot, last_dot)


def _pushed(how: How, matrix: Any, xs: Any, hs: Any, first: Any, tangents: Any) -> Any:
    """What the tangents of weights and inputs add to the products of each step; None for none."""
    matrix_dot, bias_dot, xs_dot, *_ = tangents
    terms = []
    if not _is_zero(matrix_dot):
        before = before_each(hs, first[None], reverse=how.reverse)
        terms.append(_product(jnp.concatenate([xs, before], -1), matrix_dot))
    if not _is_zero(xs_dot):
        terms.append(_product(xs_dot, matrix[: xs.shape[-1]]))
    if not _is_zero(bias_dot):
        terms.append(jnp.broadcast_to(bias_dot, (*xs.shape[:-1], matrix.shape[1])))
    return sum(terms) if terms else None


def _product(x: Array, matrix: Array) -> Array:
    """`x @ matrix`, by rows: the gradient with two axes of them takes XLA twice the time."""
    rows = jnp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])) @ matrix
    return jnp.reshape(rows, (*x.shape[:-1], matrix.shape[1]))


def _where(kept: Any, new: States, old: States) -> States:
    if kept is None:
        return new
    return tuple(jnp.where(kept[..., None], n, o) for n, o in zip(new, old, strict=True))


def _is_zero(tangent: Any) -> bool:
    return tangent is None or isinstance(tangent, SymbolicZero)


def _instantiated(tangent: Any, like: Any) -> Any:
    return jnp.zeros_like(like) if _is_zero(tangent) else tangent
