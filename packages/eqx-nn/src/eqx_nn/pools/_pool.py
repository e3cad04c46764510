"""Pools: a reduction over windows that slide along the spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._spatial import (
    DataFormat,
    Pairs,
    checked_format,
    is_last,
    pad_pairs,
    per_axis,
    spatial,
    with_channels,
    wrong_rank,
)

Padding = int | Sequence[int] | Sequence[tuple[int, int]]


class Pool(Module):
    """Reduce each window of each channel with an operation on two elements.

    A window begins at every `stride`-th element of the padded input. With `use_ceil` the last
    window may end past the padding, so that no element of the input is left out.

    `MaxPool2d` is `Pool(-jnp.inf, jax.lax.max, 2, ...)`. For the operations `jax.lax.add` with
    `init=0`, `jax.lax.max` with minus infinity and `jax.lax.min` with infinity JAX knows the
    derivatives, and takes an input of any dtype; others are differentiated only forward, and need
    an `init` of the dtype of the input.
    """

    init: int | float | Array
    operation: Callable[[Array, Array], Array]
    num_spatial_dims: int = field(static=True)
    kernel_size: tuple[int, ...] = field(static=True)
    stride: tuple[int, ...] = field(static=True)
    padding: tuple[tuple[int, int], ...] = field(static=True)
    use_ceil: bool = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        init: int | float | Array,
        operation: Callable[[Array, Array], Array],
        num_spatial_dims: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool.

        **Arguments:**

        - `init`: where each reduction starts, and what padding is made of: a number that
            `operation` does not see, as 0 for a sum.
        - `operation`: an associative function of two arrays, as `jax.lax.add`.
        - `num_spatial_dims`: how many axes follow that of channels.
        - `kernel_size`: the size of a window; one integer, or one for each axis.
        - `stride`: how far apart windows begin; likewise.
        - `padding`: how many `init` to put at both ends of each axis: one integer, or for each
            axis an integer or a pair `(before, after)`. Negative padding takes elements away.
        - `use_ceil`: whether to round the number of windows up instead of down.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`.

        **Raises:** `ValueError` for a `kernel_size`, a `stride` or a `padding` of another form and
        for a size below 1, for another `data_format`, and `TypeError` for elements and for a
        `num_spatial_dims` that are no integers.
        """
        name = type(self).__name__
        axes = self.num_spatial_dims = checked_size(name, "num_spatial_dims", num_spatial_dims)
        self.init, self.operation = init, operation
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, axes, refusal=ValueError)
        self.stride = per_axis(name, "stride", stride, axes, refusal=ValueError)
        self.padding = pad_pairs(name, padding, axes)
        self.use_ceil = use_ceil
        self.data_format = checked_format(name, data_format)

    @jax.named_scope("eqx.nn.Pool")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Shaped[Array, ...]:
        """Pool one example.

        `x` has shape `(channels, dim_1, ..., dim_N)`; the result has shape
        `(channels, out_1, ..., out_N)` with `out = (dim + before + after - kernel) // stride + 1`,
        rounded up instead of down if `use_ceil`. With `data_format="channels_last"` the channels
        are the last axis of both. `key` is ignored.

        **Raises:** `AssertionError` for an input of another rank, `AttributeError` for one that is
        no array, and `RuntimeError` where padding, with what `use_ceil` adds, is larger than the
        window, which could then hold padding alone.
        """
        return reduced(self, x)


def reduced(pool: Pool, x: Any) -> Array:
    """The reduction of each window."""
    last = is_last(pool)
    if getattr(x, "ndim", None) != pool.num_spatial_dims + 1:
        name = type(pool).__name__
        raise wrong_rank(name, x, "channels", pool.num_spatial_dims, AssertionError, last=last)
    sizes = spatial(x.shape, last=last)
    padding = _with_ceil(pool, sizes) if pool.use_ceil else pool.padding
    for axis, ((before, after), size) in enumerate(zip(padding, pool.kernel_size, strict=True)):
        if before > size or after > size:
            raise RuntimeError(_too_much(pool, axis, padding[axis]))
    return lax.reduce_window(
        jnp.asarray(x),
        pool.init,
        pool.operation,
        with_channels(1, pool.kernel_size, last=last),
        with_channels(1, pool.stride, last=last),
        with_channels((0, 0), padding, last=last),
    )


def _with_ceil(pool: Pool, sizes: tuple[int, ...]) -> Pairs:
    """The padding that makes the last window begin where one is left over."""
    padding = []
    for size, kernel, stride, (before, after) in zip(
        sizes, pool.kernel_size, pool.stride, pool.padding, strict=True
    ):
        left_over = (size + before + after - kernel) % stride
        padding.append((before, after + stride if left_over else after))
    return tuple(padding)


def _too_much(pool: Pool, axis: int, padding: tuple[int, int]) -> str:
    told = (
        f"`{type(pool).__name__}` pads spatial axis {axis} with {padding}, which is more than its "
        f"`kernel_size` of {pool.kernel_size[axis]}: a window could hold padding alone."
    )
    if padding != pool.padding[axis]:
        told += f" Of it {padding[1] - pool.padding[axis][1]} come from `use_ceil` and `stride`."
    return told + " Take a larger `kernel_size` or less `padding`."
