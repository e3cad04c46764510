"""`Upsample`: an image of another size, by its nearest elements or by interpolation."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Shaped

from eqx_pytree import Module, field

from .._init import at_least_float32, checked_size
from .._spatial import (
    DataFormat,
    checked_format,
    is_last,
    per_axis,
    spatial,
    wrong_rank,
)

MODES = ("nearest", "linear", "cubic")
CUBIC = -0.75
Ratio = tuple[int, float | None]
"""The size of an axis of the result, and its scale where that was given."""


class Upsample(Module):
    """Resize the spatial axes: by their nearest elements, linearly or by cubic polynomials.

    Element `o` of an axis of the result is at the place `p = (o + 1/2) / s - 1/2` of the input,
    with `s` the scale, so that the outer edges of the first and last elements meet; with
    `align_corners` it is `p = o (n - 1) / (m - 1)` for sizes `n` and `m`, so that their centres do.
    What stands there is:

    - `"nearest"`: the element `floor(o / s)`.
    - `"linear"`: interpolated between the two neighbours of `p`: bilinear in two dimensions,
      trilinear in three.
    - `"cubic"`: the cubic convolution of the four neighbours, of Keys (1981, "Cubic Convolution
      Interpolation for Digital Image Processing"), equation (4) with `a = -0.75`: bicubic in two
      dimensions.

    Elements before the first and past the last are those. The numbers are those of
    `torch.nn.Upsample`. An image can also be made smaller; nothing is averaged then.
    """

    num_spatial_dims: int = field(static=True)
    scale: tuple[float, ...] | None = field(static=True)
    size: tuple[int, ...] | None = field(static=True)
    mode: Literal["nearest", "linear", "cubic"] = field(static=True)
    align_corners: bool = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        scale: float | Sequence[float] | None = None,
        *,
        size: int | Sequence[int] | None = None,
        mode: Literal["nearest", "linear", "cubic"] = "nearest",
        align_corners: bool = False,
        num_spatial_dims: int = 2,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how large the result is.

        **Arguments:**

        - `scale`: what each size is multiplied by, rounded down; one number, or one for each axis.
        - `size`: instead of it, the sizes of the result's spatial axes; likewise.
        - `mode`: `"nearest"`, `"linear"` or `"cubic"`.
        - `align_corners`: whether the centres of first and last elements stay where they are; not
            for `"nearest"`.
        - `num_spatial_dims`: how many axes there are besides that of channels.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`.

        **Raises:** `ValueError` unless one of `scale` and `size` is given, for a scale that is not
        positive, for a size below 1, for a wrong number of them, for another `mode` or
        `data_format` and for `align_corners` with `"nearest"`; `TypeError` for what is no number.
        """
        axes = self.num_spatial_dims = checked_size(
            "Upsample", "num_spatial_dims", num_spatial_dims
        )
        if (scale is None) == (size is None):
            message = f"`Upsample` needs one of `scale` and `size`, got {scale!r} and {size!r}."
            raise ValueError(message)
        self.scale = None if scale is None else _checked_scale(scale, axes)
        self.size = None if size is None else per_axis("Upsample", "size", size, axes)
        if mode not in MODES:
            message = (
                f'`Upsample` takes as `mode` `"nearest"`, `"linear"` or `"cubic"`, in any number '
                f"of dimensions, got {mode!r}."
            )
            raise ValueError(message)
        if align_corners and mode == "nearest":
            message = (
                '`Upsample` takes `align_corners` with `mode="linear"` and `mode="cubic"`: with '
                '`"nearest"` there is nothing to align.'
            )
            raise ValueError(message)
        self.mode, self.align_corners = mode, align_corners
        self.data_format = checked_format("Upsample", data_format)

    @jax.named_scope("eqx.nn.Upsample")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Shaped[Array, ...]:
        """Resize one example.

        `x` has shape `(channels, dim_1, ..., dim_N)`; the result has shape
        `(channels, out_1, ..., out_N)` with `out = floor(dim * scale)` or the given size. With
        `"nearest"` it has the dtype of `x`, which may be any. Otherwise it is computed in at
        least float32, and has the dtype of `x`, or float32 where `x` is of integers. `key` is
        ignored.

        **Raises:** `ValueError` for an input of another rank and where an axis has, or would get,
        no elements; `AttributeError` for one that is no array.
        """
        axes, last = self.num_spatial_dims, is_last(self)
        if getattr(x, "ndim", None) != axes + 1:
            raise wrong_rank("Upsample", x, "channels", axes, ValueError, last=last)
        sizes = spatial(x.shape, last=last)
        ratios = self._ratios(sizes)
        if min((*sizes, *(out for out, _ in ratios)), default=1) < 1:
            message = (
                f"`Upsample` cannot make an image of the sizes {tuple(out for out, _ in ratios)} "
                f"from `x` of shape {x.shape}: an axis has no elements."
            )
            raise ValueError(message)
        if self.mode == "nearest":
            return _nearest(x, ratios, last)
        return _interpolated(x, ratios, self.mode == "cubic", self.align_corners, last)

    def _ratios(self, sizes: tuple[int, ...]) -> tuple[Ratio, ...]:
        if self.size is not None:
            return tuple((out, None) for out in self.size)
        scales = self.scale or ()
        return tuple((math.floor(n * by), by) for n, by in zip(sizes, scales, strict=True))


def _checked_scale(scale: Any, axes: int) -> tuple[float, ...]:
    rule = f"`Upsample` needs a positive number or {axes} of them as `scale`"
    given = (scale,) * axes
    if isinstance(scale, Sequence) and not isinstance(scale, str):
        given = tuple(scale)
    try:
        found = tuple(float(number) for number in given)
    except (TypeError, ValueError) as error:
        message = f"{rule}, got {scale!r} of type `{type(scale).__name__}`."
        raise TypeError(message) from error
    if len(found) != axes or not all(0 < number < math.inf for number in found):
        message = f"{rule}, got {scale!r}."
        raise ValueError(message)
    return found


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _nearest(x: Any, ratios: tuple[Ratio, ...], last: bool) -> Array:
    x = jnp.asarray(x)
    for axis, (out, scale) in enumerate(ratios, start=0 if last else 1):
        size = x.shape[axis]
        if out % size == 0 and scale in (None, out // size):
            x = _repeated(x, axis, out // size)
            continue
        places = np.arange(out)
        places = places * size // out if scale is None else np.floor(places / scale).astype(int)
        x = _taken(x, np.minimum(places, size - 1), axis)
    return x


def _repeated(x: Array, axis: int, times: int) -> Array:
    """Each element `times` times; broadcast, so that its gradient is a sum."""
    shape = x.shape
    x = jnp.broadcast_to(
        lax.expand_dims(x, (axis + 1,)), (*shape[: axis + 1], times, *shape[axis + 1 :])
    )
    return jnp.reshape(x, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _taken(x: Array, places: np.ndarray, axis: int) -> Array:
    """The elements at sorted places along an axis."""
    at = x.at[(slice(None),) * axis + (places,)]
    return at.get(mode="promise_in_bounds", indices_are_sorted=True)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4), inline=True)
def _interpolated(
    x: Any, ratios: tuple[Ratio, ...], cubic: bool, align_corners: bool, last: bool
) -> Array:
    x = jnp.asarray(x)
    y = x.astype(at_least_float32(x.dtype))
    for axis, (out, scale) in enumerate(ratios, start=0 if last else 1):
        size, rest = y.shape[axis], y.ndim - axis - 1
        terms = []
        for places, weights in _taps(size, out, scale, cubic, align_corners):
            column = jnp.asarray(weights.reshape(-1, *[1] * rest)).astype(y.dtype)
            terms.append(_taken(y, places, axis) * column)
        y = functools.reduce(jnp.add, terms)
    return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else y


def _taps(
    size: int, out: int, scale: float | None, cubic: bool, align_corners: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each neighbour: where it is and what it is multiplied by, for each element."""
    if align_corners:
        at = np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    else:
        at = (np.arange(out) + 0.5) * (size / out if scale is None else 1 / scale) - 0.5
    if not cubic:
        at = np.maximum(at, 0.0)
    first = np.floor(at).astype(int)
    t = at - first  # the distance to the neighbour before
    weights = [1 - t, t]
    if cubic:
        weights = [_outer(1 + t), _inner(t), _inner(1 - t), _outer(2 - t)]
    begin = first - 1 if cubic else first
    return [(np.clip(begin + k, 0, size - 1), weight) for k, weight in enumerate(weights)]


def _inner(d: np.ndarray) -> np.ndarray:
    """Keys's kernel for distances up to 1."""
    return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1


def _outer(d: np.ndarray) -> np.ndarray:
    """Keys's kernel for distances from 1 to 2."""
    return ((d - 5) * d + 8) * d * CUBIC - 4 * CUBIC
