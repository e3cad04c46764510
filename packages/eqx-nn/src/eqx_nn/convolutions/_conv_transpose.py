"""Transposed convolutions: those that map the output of a convolution back to its input's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._initial import Initializer, Layout
from .._spatial import DataFormat, Pairs, checked_format, is_last, per_axis
from ._conv import (
    Padding,
    check_rank,
    checked_groups,
    checked_mode,
    checked_padding,
    convolved,
    first_values,
    layouts_of,
    pad_with,
)
from ._convolve import Plan


class ConvTranspose(Module):
    """A transposed convolution, in any number of dimensions.

    With a convolution of the same `kernel_size`, `stride`, `padding` and `dilation` it shares the
    relation between places of input and output, the other way round. It is a convolution with
    stride 1 of the input with `stride - 1` zeros put between its elements, padded by
    `dilation * (kernel - 1) - padding`. See Dumoulin & Visin (2016, "A guide to convolution
    arithmetic for deep learning"), section 4.

    It is the transpose of the map of a `Conv` whose kernel is this one, flipped along each
    spatial axis and with the two axes of channels swapped.

    `weight` has shape `(out_channels, in_channels // groups, *kernel_size)` and `bias` has shape
    `(out_channels, 1, ..., 1)`, or is `None`. Both are drawn from U(-1/sqrt(n), 1/sqrt(n)) with
    `n = in_channels // groups * prod(kernel_size)`.
    """

    num_spatial_dims: int = field(static=True)
    weight: Inexact[Array, "out_channels in_channels//groups ..."]
    bias: Inexact[Array, "out_channels ..."] | None
    in_channels: int = field(static=True)
    out_channels: int = field(static=True)
    kernel_size: tuple[int, ...] = field(static=True)
    stride: tuple[int, ...] = field(static=True)
    padding: str | tuple[tuple[int, int], ...] = field(static=True)
    output_padding: tuple[int, ...] = field(static=True)
    dilation: tuple[int, ...] = field(static=True)
    groups: int = field(static=True)
    use_bias: bool = field(static=True)
    padding_mode: str = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: DTypeLike | None = None,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Draw the first weights.

        **Arguments:**

        - `num_spatial_dims`: how many axes follow that of channels.
        - `in_channels`, `out_channels`: how many channels input and output have.
        - `kernel_size`, `stride`, `dilation`: one integer, or one for each axis; of the
            convolution whose shapes are turned round.
        - `padding`: of that convolution: one integer, or for each axis an integer or a pair
            `(before, after)`; or `"SAME"`, `"SAME_LOWER"` or `"VALID"`, in any case.
        - `output_padding`: a convolution with a stride has the same output for several sizes of
            input. This picks one: with numbers and with `"VALID"` the output is longer by it, up
            to `stride - 1`; with `"SAME"` it is shorter, from `size * stride` on.
        - `groups`: into how many groups to take the channels apart; divides both numbers of them.
        - `use_bias`: whether to add a bias.
        - `padding_mode`: `"ZEROS"`, or `"CIRCULAR"` for an input that is repeated, which needs
            `"SAME"` or `"SAME_LOWER"` and no `output_padding`; in any case.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode). May be
            complex.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, any of `jax.nn.initializers`. The weight's is called for each group, with the
            shape that these expect, `(*kernel_size, in_channels // groups, out_channels //
            groups)`; the bias's with `(out_channels,)`.
        - `key`: a PRNG key for the first weights.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`; the weights are the same.

        **Raises:** `TypeError` for a size that is no integer; `ValueError` for one below its least
        value, for a wrong number of sizes, for an `output_padding` that is not below `stride`, for
        another `padding`, `padding_mode` or `data_format`, for `groups` that do not divide the
        channels, and for a `dtype` that is neither floating nor complex; `NotImplementedError` for
        the other padding modes of `Conv`.
        """
        name = type(self).__name__
        axes = self.num_spatial_dims = checked_size(name, "num_spatial_dims", num_spatial_dims)
        self.in_channels = checked_size(name, "in_channels", in_channels)
        self.out_channels = checked_size(name, "out_channels", out_channels)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, axes)
        self.stride = per_axis(name, "stride", stride, axes)
        self.dilation = per_axis(name, "dilation", dilation, axes)
        self.output_padding = per_axis(name, "output_padding", output_padding, axes, least=None)
        self.groups = checked_groups(name, groups, self.in_channels, self.out_channels)
        self.padding = checked_padding(name, padding, axes)
        self.padding_mode = checked_mode(name, padding_mode)
        self._check_output()
        self.use_bias = use_bias
        self.data_format = checked_format(name, data_format)
        self.weight, self.bias = first_values(self, weight_init, bias_init, dtype, key)

    def _check_output(self) -> None:
        """Refuse what does not determine an output."""
        name = type(self).__name__
        if any(o >= s for o, s in zip(self.output_padding, self.stride, strict=True)):
            message = (
                f"`{name}` needs `output_padding` below `stride` along each axis, got "
                f"{self.output_padding} and {self.stride}."
            )
            raise ValueError(message)
        if self.padding_mode == "ZEROS":
            return
        same = self.padding in ("SAME", "SAME_LOWER")
        if self.padding_mode != "CIRCULAR" or not same or any(self.output_padding):
            message = (
                f'`{name}` takes as `padding_mode` `"ZEROS"`, or `"CIRCULAR"` with `padding` of '
                f'`"SAME"` or `"SAME_LOWER"` and no `output_padding`; got "{self.padding_mode}" '
                f"with `padding={self.padding!r}` and `output_padding={self.output_padding}`."
            )
            raise NotImplementedError(message)

    @property
    def __weight_layouts__(self) -> dict[str, Layout]:
        return layouts_of(self)

    @jax.named_scope("eqx.nn.ConvTranspose")
    def __call__(
        self, x: Shaped[ArrayLike, "in_channels ..."], *, key: Any = None
    ) -> Inexact[Array, "out_channels ..."]:
        """Convolve one example.

        `x` has shape `(in_channels, dim_1, ..., dim_N)` and the dtype of `weight`; the result has
        shape `(out_channels, out_1, ..., out_N)` and the same dtype, with
        `out = (dim - 1) * stride - before - after + dilation * (kernel - 1) + output_padding + 1`,
        or `dim * stride - output_padding` for `"SAME"`. With `data_format="channels_last"` the
        channels are the last axis of both. `key` is ignored.

        **Raises:** `ValueError` for an input of another rank or another number of channels,
        `TypeError` for one of another dtype, and `AttributeError` for one that is no array.
        """
        check_rank(self, x)
        padding = self._pairs()
        if self.padding_mode == "CIRCULAR":
            copies = [
                (low // s, high // s) for (low, high), s in zip(padding, self.stride, strict=True)
            ]
            padding = [
                (low % s, high % s) for (low, high), s in zip(padding, self.stride, strict=True)
            ]
            x = pad_with(self, x, copies)
        ones = (1,) * self.num_spatial_dims
        plan = Plan(ones, tuple(padding), self.stride, self.dilation, self.groups, is_last(self))
        return convolved(self, x, plan)

    def _pairs(self) -> Sequence[tuple[int, int]]:
        """What to put around the input, in units of the output."""
        extents = [(k - 1) * d for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        given: str | Pairs = self.padding
        if given in ("SAME", "SAME_LOWER"):
            pairs = []
            for extent, s, more in zip(extents, self.stride, self.output_padding, strict=True):
                forward = max(extent + 1 - s + more, 0)
                before = forward // 2 if given == "SAME" else forward - forward // 2
                total = extent + s - 1 - more
                pairs.append((extent - before, total - extent + before))
            return pairs
        if isinstance(given, str):
            given = ((0, 0),) * len(extents)
        return [
            (extent - before, extent - after + more)
            for extent, (before, after), more in zip(
                extents, given, self.output_padding, strict=True
            )
        ]
