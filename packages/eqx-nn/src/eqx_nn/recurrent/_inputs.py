"""Sequences, and which of their steps are there: told by lengths or by a mask. Knows no layer."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array

from .._shapes import shape_of


def checked_sequences(layer: str, xs: Any, size: int | None) -> tuple[Array, tuple[int, ...]]:
    """The input as an array, and the axes of the batch.

    **Raises:** `TypeError` for no array, `ValueError` for another shape than
    `(*batch, length, size)`.
    """
    shape = shape_of(xs)
    told = "input_size" if size is None else size
    rule = f"`{layer}` expects `xs` of shape `(*batch, length, {told})`"
    if shape is None:
        message = f"{rule}; got a `{type(xs).__name__}`, which is no array."
        raise TypeError(message)
    if len(shape) < 2 or size not in (None, shape[-1]):
        one_step = " For one step, `xs[None]` is a sequence of it." if shape == (size,) else ""
        message = f"{rule}; got shape {shape}.{one_step}"
        raise ValueError(message)
    return jnp.asarray(xs), shape[:-2]


def without_padding(x: Any, kept: Any) -> Any:
    """Zeros where a step is not there."""
    return x if kept is None else jnp.where(kept[..., None], x, 0)


def with_real_steps(x: Any, kept: Any, axis: int) -> Any:
    """What is there in the place of padding: a step of the same sequence, if it has any.

    A cell meets nothing there that it could not meet anyhow, so that its derivatives are finite.

    **Arguments:** `x`, with an axis more than `kept`; `axis`, that of steps.
    """
    if kept is None or not x.shape[axis]:
        return x
    first = jnp.argmax(kept, axis, keepdims=True)[..., None]
    is_any = jnp.any(kept, axis, keepdims=True)[..., None]
    step = jnp.where(is_any, jnp.take_along_axis(x, first, axis), 0)
    return jnp.where(kept[..., None], x, lax.stop_gradient(step))


def real_steps(layer: str, shape: tuple[int, ...], lengths: Any, mask: Any) -> Array | None:
    """Which steps are there, a boolean array of `shape`, `(*batch, length)`; None for all.

    **Raises:** `ValueError` for both of lengths and mask, for another shape, and for a length below
    0 or beyond that of the input, as far as it is known; `TypeError` for another dtype.
    """
    if lengths is None and mask is None:
        return None
    if lengths is not None and mask is not None:
        message = (
            f"`{layer}` was given both `lengths` and `mask`, which say the same. Give one of them."
        )
        raise ValueError(message)
    if mask is not None:
        _check(layer, "mask", mask, shape, jnp.bool_, "True where a step is there")
        return jnp.asarray(mask)
    of_one = "how many steps each sequence has"
    _check(layer, "lengths", lengths, shape[:-1], jnp.integer, of_one)
    _check_range(layer, lengths, shape[-1])
    places = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    return places < jnp.broadcast_to(jnp.asarray(lengths)[..., None], shape)


def _check(layer: str, name: str, given: Any, shape: tuple[int, ...], kind: Any, what: str) -> None:
    found = shape_of(given)
    if found is None:
        if not isinstance(given, (list, tuple)):
            message = f"`{layer}` expects an array as `{name}`, {what}; got {given!r}."
            raise TypeError(message)
        found = np.shape(given)
    dtype = jnp.asarray(given).dtype
    if not jnp.issubdtype(dtype, kind):
        kinds = "booleans" if kind is jnp.bool_ else "integers"
        message = f"`{layer}` expects {kinds} as `{name}`, {what}; got dtype {dtype}."
        raise TypeError(message)
    if found != shape:
        message = (
            f"`{layer}` expects `{name}` of shape {shape}, {what}, as its input has the shape "
            f"`(*batch, length, input_size)`; got shape {found}."
        )
        raise ValueError(message)


def _check_range(layer: str, lengths: Any, longest: int) -> None:
    if isinstance(lengths, Tracer):
        return
    flat = np.asarray(lengths).ravel()
    wrong = np.flatnonzero((flat < 0) | (flat > longest))
    if wrong.size:
        place = np.unravel_index(wrong[0], np.shape(lengths))
        index = "".join(f"[{i}]" for i in place)
        message = (
            f"`{layer}` expects `lengths` from 0 to {longest}, the length of its input; "
            f"`lengths{index}` is {flat[wrong[0]]}."
        )
        raise ValueError(message)
