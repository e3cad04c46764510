"""`PixelShuffle` and back: exchange channels for places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._shapes import shape_of
from .._spatial import DataFormat, checked_format, is_last, per_axis, wrong_rank


class PixelShuffle(Module):
    """Lay groups of channels side by side: fewer channels, more places.

    From Shi et al. (2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network"), equation (4), with the channels in the order of
    PyTorch's layer: in two dimensions and with the factor `r`,

        y[c, r h + i, r w + j] = x[c r^2 + i r + j, h, w]

    `PixelUnshuffle` of the same factor undoes it.
    """

    factor: tuple[int, ...] = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        factor: int | Sequence[int],
        *,
        num_spatial_dims: int = 2,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say by how much.

        **Arguments:**

        - `factor`: of the size of each spatial axis; one integer, or one for each.
        - `num_spatial_dims`: how many axes there are besides that of channels.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`.

        **Raises:** `TypeError` for what is no integer, and `ValueError` for one below 1, for a
        wrong number of them and for another `data_format`.
        """
        self.factor = _checked("PixelShuffle", factor, num_spatial_dims)
        self.data_format = checked_format("PixelShuffle", data_format)

    @jax.named_scope("eqx.nn.PixelShuffle")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Shaped[Array, ...]:
        """Rearrange one example.

        `x` has shape `(channels, dim_1, ..., dim_N)` and any dtype; the result has shape
        `(channels // prod(factor), dim_1 * factor_1, ..., dim_N * factor_N)` and the same dtype.
        `key` is ignored.

        **Raises:** `ValueError` for an input of another rank and for channels that are no multiple
        of the product of the factors; `AttributeError` for one that is no array.
        """
        given, x = shape_of(x), _first(self, x)
        shape, axes = x.shape, len(self.factor)
        count = math.prod(self.factor)
        if shape[0] % count:
            message = (
                f"`PixelShuffle` with `factor={self.factor}` needs a multiple of {count} channels, "
                f"got `x` of shape {given}."
            )
            raise ValueError(message)
        x = jnp.reshape(x, (shape[0] // count, *self.factor, *shape[1:]))
        x = jnp.transpose(x, (0, *[a for i in range(1, axes + 1) for a in (axes + i, i)]))
        sizes = [size * by for size, by in zip(shape[1:], self.factor, strict=True)]
        return _back(self, jnp.reshape(x, (shape[0] // count, *sizes)))


class PixelUnshuffle(Module):
    """Take each block of places apart into channels: what `PixelShuffle` of that factor undoes.

    In two dimensions and with the factor `r`, `y[c r^2 + i r + j, h, w] = x[c, r h + i, r w + j]`;
    see `PixelShuffle`. Also known as space to depth.
    """

    factor: tuple[int, ...] = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        factor: int | Sequence[int],
        *,
        num_spatial_dims: int = 2,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say by how much.

        **Arguments:**

        - `factor`: what the size of each spatial axis is divided by; one integer, or one for each.
        - `num_spatial_dims`: how many axes there are besides that of channels.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`.

        **Raises:** `TypeError` for what is no integer, and `ValueError` for one below 1, for a
        wrong number of them and for another `data_format`.
        """
        self.factor = _checked("PixelUnshuffle", factor, num_spatial_dims)
        self.data_format = checked_format("PixelUnshuffle", data_format)

    @jax.named_scope("eqx.nn.PixelUnshuffle")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Shaped[Array, ...]:
        """Rearrange one example.

        `x` has shape `(channels, dim_1, ..., dim_N)` and any dtype; the result has shape
        `(channels * prod(factor), dim_1 // factor_1, ..., dim_N // factor_N)` and the same dtype.
        `key` is ignored.

        **Raises:** `ValueError` for an input of another rank and for sizes that are no multiples
        of the factors; `AttributeError` for one that is no array.
        """
        given, x = shape_of(x), _first(self, x)
        shape, axes = x.shape, len(self.factor)
        if any(size % by for size, by in zip(shape[1:], self.factor, strict=True)):
            message = (
                f"`PixelUnshuffle` needs each spatial size to be a multiple of its `factor`, got "
                f"`factor={self.factor}` and `x` of shape {given}. Pad the image, or crop it."
            )
            raise ValueError(message)
        sizes = [size // by for size, by in zip(shape[1:], self.factor, strict=True)]
        split = [n for pair in zip(sizes, self.factor, strict=True) for n in pair]
        x = jnp.reshape(x, (shape[0], *split))
        x = jnp.transpose(x, (0, *range(2, 2 * axes + 1, 2), *range(1, 2 * axes, 2)))
        return _back(self, jnp.reshape(x, (shape[0] * math.prod(self.factor), *sizes)))


def _checked(layer: str, factor: Any, num_spatial_dims: Any) -> tuple[int, ...]:
    axes = checked_size(layer, "num_spatial_dims", num_spatial_dims)
    return per_axis(layer, "factor", factor, axes)


def _first(layer: PixelShuffle | PixelUnshuffle, x: Any) -> Any:
    """The input with its channels first."""
    axes, last = len(layer.factor), is_last(layer)
    if getattr(x, "ndim", None) != axes + 1:
        raise wrong_rank(type(layer).__name__, x, "channels", axes, ValueError, last=last)
    return jnp.moveaxis(x, -1, 0) if last else x


def _back(layer: PixelShuffle | PixelUnshuffle, x: Array) -> Array:
    return jnp.moveaxis(x, 0, -1) if is_last(layer) else x
