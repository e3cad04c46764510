"""`linear_recurrence`: what is linear in its state needs no step after step."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Inexact, Shaped

from eqx_filter.primitives import scan_of_tangents, vary_alike

from .._shapes import shape_of
from ._states import before_each


def linear_recurrence(
    a: Shaped[ArrayLike, " *any"],
    b: Shaped[ArrayLike, " length *shape"],
    state: Shaped[ArrayLike, "*shape"] | None = None,
    *,
    reverse: bool = False,
    parallel: bool | None = None,
) -> Inexact[Array, " length *shape"]:
    """Return all states of `state = a[t] * state + b[t]`, elementwise.

    Steps compose: two are again one of the kind, with `a[1] * a[0]` and `a[1] * b[0] + b[1]`. So
    they are a prefix sum, in a depth of `log2(length)` (Blelloch, 1990, "Prefix Sums and Their
    Applications", section 1.4.1; Martin & Cundy, 2018, "Parallelizing Linear Recurrent Neural Nets
    Over Sequence Length"). Its gradient is the same recurrence in the other direction.

    **Arguments:**

    - `a`: of the shape of `b`, or of `shape` where it is the same for all steps.
    - `b`: of shape `(length, *shape)`, of any floating or complex dtype.
    - `state`: what is there before the first step, of shape `shape`; zeros by default.
    - `reverse`: whether the last step is the first.
    - `parallel`: whether to use `jax.lax.associative_scan`, or else a loop, whose step is a product
        and a sum. By default a loop where `jax.default_backend()` is a CPU, on which it is several
        times faster. The scan multiplies values of `a`, whose products may overflow.

    **Returns:** the state after each step, an array of the shape of `b`, in the dtype of all.

    **Raises:** `ValueError` for other shapes.
    """
    shape = shape_of(b)
    if not shape:
        message = f"`linear_recurrence` expects `b` of shape `(length, *shape)`; got shape {shape}."
        raise ValueError(message)
    if shape_of(a) not in (shape, shape[1:]):
        message = (
            f"`linear_recurrence` expects `a` of shape {shape} or, if it is the same at each step, "
            f"{shape[1:]}; got shape {shape_of(a)}."
        )
        raise ValueError(message)
    if state is not None and shape_of(state) != shape[1:]:
        message = (
            f"`linear_recurrence` expects `state` of shape {shape[1:]}; got shape "
            f"{shape_of(state)}."
        )
        raise ValueError(message)
    arrays = [a, b] if state is None else [a, b, state]
    dtype = jnp.result_type(*arrays, jnp.result_type(float) if _are_integers(arrays) else a)
    a, b, *rest = vary_alike(*(jnp.asarray(x, dtype) for x in arrays))
    if parallel is None:
        parallel = jax.default_backend() != "cpu"
    if rest and shape[0]:
        first = -1 if reverse else 0
        b = b.at[first].add((a if a.ndim < b.ndim else a[first]) * rest[0])
    return _recurrence((bool(reverse), bool(parallel)), a, b)


def _are_integers(arrays: list[Any]) -> bool:
    return not any(jnp.issubdtype(jnp.result_type(x), jnp.inexact) for x in arrays)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _recurrence(how: tuple[bool, bool], a: Array, b: Array) -> Array:
    return _solved(how, a, b)


@functools.partial(_recurrence.defjvp, symbolic_zeros=True)
def _recurrence_jvp(how: tuple[bool, bool], primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a, b), (a_dot, b_dot) = primals, tangents
    states = _recurrence(how, a, b)
    terms = [] if isinstance(b_dot, SymbolicZero) else [b_dot]
    if not isinstance(a_dot, SymbolicZero):
        first = jnp.zeros((1, *states.shape[1:]), states.dtype)
        before = before_each(states, first, reverse=how[0])
        terms.append(jnp.broadcast_to(a_dot, before.shape) * before)
    return states, _solved(how, a, sum(terms))


def _solved(how: tuple[bool, bool], a: Array, b: Array) -> Array:
    """All states, linear in `b`: so it is also what maps its tangents."""
    reverse, parallel = how
    if parallel:
        a = a if a.ndim == b.ndim else jnp.broadcast_to(a, b.shape)
        return lax.associative_scan(_composed, (a, b), reverse=reverse)[1]

    def step(state: Any, at: Any) -> tuple[Any, Any]:
        b_now, a_now = at
        state = (a if a_now is None else a_now) * state + b_now
        return state, state

    [begin, _] = vary_alike(jnp.zeros(b.shape[1:], b.dtype), b)
    each = a if a.ndim == b.ndim else None
    return scan_of_tangents(step, begin, b, each, reverse=reverse)[1]


def _composed(first: Any, second: Any) -> Any:
    """One step that does what two do."""
    return second[0] * first[0], second[0] * first[1] + second[1]
