"""First values by functions that are given, such as those of `jax.nn.initializers`. Knows no layer.

Those functions take `(key, shape, dtype)` and expect a weight as `(*kernel, in, out)`; layers keep
theirs as `(out, in, *kernel)`, sometimes several on top of each other, for the groups of a
convolution and the gates of a recurrent cell. So each is drawn apart, in the layout that is
expected, and moved: fans, and what is orthogonal, are those of one group or gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import DTypeLike
from jaxtyping import Array

from ._init import checked_dtype, default_init
from ._random import split_key

Initializer = Callable[[Any, Any, Any], Any]
"""From a key, a shape and a dtype to an array: any of `jax.nn.initializers`."""


class Layout(NamedTuple):
    """How an array of a layer is drawn: those of a class stand in its `__weight_layouts__`.

    `ndim` is how many axes it has; an array of more is several, with axes in front. `blocks` says
    how many weights `(out, in, *kernel)` are on top of each other in it, and is 0 for a bias, which
    is drawn as a vector.
    """

    ndim: int
    blocks: int


def first_weight(
    layer: str,
    init: Initializer | None,
    key: Any,
    shape: tuple[int, ...],
    dtype: DTypeLike | None,
    limit: float,
    blocks: int = 1,
) -> Array:
    """Draw `blocks` weights, `shape` in all, by `init`, or from U(-limit, limit) without one.

    **Raises:** `TypeError` and `ValueError` for an `init` that gives no such array, naming the
    layer and `weight_init`.
    """
    if init is None:
        return default_init(key, shape, dtype, limit)
    layout = Layout(len(shape), blocks)
    return drawn_as(layout, f"`weight_init` of `{layer}`", init, key, shape, dtype)


def first_bias(
    layer: str,
    init: Initializer | None,
    key: Any,
    shape: tuple[int, ...],
    dtype: DTypeLike | None,
    limit: float,
) -> Array:
    """Draw a bias by `init`, or from U(-limit, limit) without one. **Raises** as `first_weight`."""
    if init is None:
        return default_init(key, shape, dtype, limit)
    told = f"`bias_init` of `{layer}`"
    return drawn_as(Layout(len(shape), 0), told, init, key, shape, dtype)


def first_affine(
    layer: str,
    used: tuple[bool, bool],
    inits: tuple[Initializer | None, Initializer | None],
    key: Any,
    shape: tuple[int, ...],
    dtype: DTypeLike | None,
) -> tuple[Array | None, Array | None]:
    """Make what is used of a norm's weight and bias: ones and zeros, or in `shape` by `inits`.

    The key is optional: without one, initializers get None, which is enough for constants.

    **Raises:** as `first_weight`, and `TypeError` for a key that is none.
    """
    keys = (None, None) if key is None else split_key(layer, key)

    def first(place: int, name: str, default: Callable[..., Array]) -> Array | None:
        init = inits[place]
        if not used[place]:
            return None
        if init is None:
            return default(shape, dtype)
        return drawn_by(f"`{name}` of `{layer}`", init, keys[place], shape, dtype)

    return first(0, "weight_init", jnp.ones), first(1, "bias_init", jnp.zeros)


def drawn_as(
    layout: Layout | None,
    told: str,
    init: Initializer,
    key: Any,
    shape: tuple[int, ...],
    dtype: DTypeLike | None,
) -> Array:
    """Draw an array that is kept in a layout, or without one in its own shape.

    `told` names the initializer in what is raised.
    """
    if layout is None:
        return drawn_by(told, init, key, shape, dtype)
    if layout.blocks == 0:
        return jnp.reshape(drawn_by(told, init, key, (math.prod(shape),), dtype), shape)
    rows, within, *kernel = shape
    if rows % layout.blocks:
        message = f"{told} cannot draw {layout.blocks} blocks of an array of shape {shape}."
        raise ValueError(message)
    drawn = (*kernel, within, rows // layout.blocks)
    if layout.blocks == 1:
        weight = drawn_by(told, init, key, drawn, dtype)
        return jnp.moveaxis(weight, (-1, -2), (0, 1))
    each = jax.vmap(lambda key: drawn_by(told, init, key, drawn, dtype))
    weights = each(jr.split(key, layout.blocks))  # (blocks, *kernel, in, out)
    return jnp.reshape(jnp.moveaxis(weights, (-1, -2), (1, 2)), shape)


def drawn_by(
    told: str, init: Initializer, key: Any, shape: tuple[int, ...], dtype: DTypeLike | None
) -> Array:
    """Call an initializer; zeros of a shape without elements, which has no fans.

    What is shorter than float32 is drawn in float32 and rounded: a decomposition needs it, and
    layers of all dtypes begin alike.
    """
    kind = jnp.zeros((), checked_dtype(dtype)).dtype  # that of the mode
    if not callable(init):
        message = f"{told} {_RULE}; got {init!r} of type `{type(init).__name__}`."
        raise TypeError(message)
    if not math.prod(shape):
        return jnp.zeros(shape, kind)
    wide = kind if kind.itemsize >= 4 else jnp.dtype(jnp.float32)
    try:
        array = init(key, shape, wide)
    except Exception as error:
        vector = "" if len(shape) != 1 else _VECTOR
        given, cure = ("None", _NO_KEY) if key is None else ("a key", vector)
        error.add_note(
            f"{told} was called with {given}, the shape {shape} and the dtype {wide}.{cure}"
        )
        raise
    found = getattr(array, "shape", None), getattr(array, "dtype", None)
    if found != (shape, wide):
        given = f"shape {found[0]} and dtype {found[1]}"
        message = (
            f"{told} {_RULE}; asked for shape {shape} and dtype {wide}, it gave "
            f"{_described(array) if None in found else given}."
        )
        raise (TypeError if None in found else ValueError)(message)
    return jnp.asarray(array, kind)


_RULE = (
    "must be a function `(key, shape, dtype)` to an array of that shape and dtype, such as "
    "`jax.nn.initializers.he_normal()`"
)

_VECTOR = (
    " It is a vector, which has no fans: draw it by one such as `jax.nn.initializers.zeros` or "
    "`normal()`."
)

_NO_KEY = " Give the layer a PRNG key, such as `key=jax.random.key(0)`."


def _described(it: Any) -> str:
    called = ". Call it once to make one, as in `he_normal()`" if callable(it) else ""
    return f"a `{type(it).__name__}`{called}"
