"""Convolutions: the same affine map at every place of the spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._initial import Initializer, Layout, first_bias, first_weight
from .._random import split_key
from .._shapes import for_channels
from .._spatial import (
    DataFormat,
    Pairs,
    checked_format,
    describe_shape,
    is_last,
    pad_pairs,
    per_axis,
    spatial,
    with_channels,
    wrong_rank,
)
from ._convolve import Plan, convolve

Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]
BY_NAME = ("SAME", "SAME_LOWER", "VALID")
MODES = {"ZEROS": "", "REFLECT": "reflect", "REPLICATE": "edge", "CIRCULAR": "wrap"}
"""The padding modes, and what `jax.numpy.pad` calls them."""


class Conv(Module):
    """A convolution, in any number of dimensions.

    Like all of deep learning it is a cross-correlation: with stride `s`, dilation `d` and the
    input `x` padded,

        y[o, i] = bias[o] + sum_c sum_j weight[o, c, j] x[c, s i + d j]

    where `i` and `j` have an entry for each dimension. See Dumoulin & Visin (2016, "A guide to
    convolution arithmetic for deep learning"). With `groups` the channels are taken apart into as
    many groups, and each group of outputs sees one group of inputs.

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
        - `kernel_size`, `stride`, `dilation`: one integer, or one for each axis.
        - `padding`: how much to put at both ends of each axis: one integer, or for each axis an
            integer or a pair `(before, after)`; or `"SAME"` for an output of size
            `ceil(size / stride)`, with what is odd at the end, `"SAME_LOWER"` with it at the
            beginning, or `"VALID"` for none, in any case. Negative padding takes elements away.
        - `groups`: into how many groups to take the channels apart; divides both numbers of them.
        - `use_bias`: whether to add a bias.
        - `padding_mode`: what to put there: `"ZEROS"`, `"REFLECT"` for the input mirrored at its
            last element, `"REPLICATE"` for its last element, or `"CIRCULAR"` for the input
            repeated; in any case.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode). May be
            complex.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, any of `jax.nn.initializers`. The weight's is called for each group, with the
            shape that these expect, `(*kernel_size, in_channels // groups, out_channels //
            groups)`; the bias's with `(out_channels,)`.
        - `key`: a PRNG key for the first weights.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`; the weights are the same.

        **Raises:** `TypeError` for a size that is no integer, and `ValueError` for one below its
        least value, for a wrong number of sizes, for another `padding`, `padding_mode` or
        `data_format`, for `groups` that do not divide the channels, and for a `dtype` that is
        neither floating nor complex.
        """
        name = type(self).__name__
        axes = self.num_spatial_dims = checked_size(name, "num_spatial_dims", num_spatial_dims)
        self.in_channels = checked_size(name, "in_channels", in_channels)
        self.out_channels = checked_size(name, "out_channels", out_channels)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, axes)
        self.stride = per_axis(name, "stride", stride, axes)
        self.dilation = per_axis(name, "dilation", dilation, axes)
        self.groups = checked_groups(name, groups, self.in_channels, self.out_channels)
        self.padding = checked_padding(name, padding, axes)
        self.padding_mode = checked_mode(name, padding_mode)
        self.use_bias = use_bias
        self.data_format = checked_format(name, data_format)
        self.weight, self.bias = first_values(self, weight_init, bias_init, dtype, key)

    @property
    def __weight_layouts__(self) -> dict[str, Layout]:
        return layouts_of(self)

    @jax.named_scope("eqx.nn.Conv")
    def __call__(
        self, x: Shaped[ArrayLike, "in_channels ..."], *, key: Any = None
    ) -> Inexact[Array, "out_channels ..."]:
        """Convolve one example.

        `x` has shape `(in_channels, dim_1, ..., dim_N)` and the dtype of `weight`; the result has
        shape `(out_channels, out_1, ..., out_N)` and the same dtype, with
        `out = (dim + before + after - dilation * (kernel - 1) - 1) // stride + 1`. With
        `data_format="channels_last"` the channels are the last axis of both. `key` is ignored.

        **Raises:** `ValueError` for an input of another rank or another number of channels,
        `TypeError` for one of another dtype, and `AttributeError` for one that is no array.
        """
        check_rank(self, x)
        padding = self.padding
        if self.padding_mode != "ZEROS":
            x, padding = self._padded(x), "VALID"
        ones = (1,) * self.num_spatial_dims
        plan = Plan(self.stride, padding, ones, self.dilation, self.groups, is_last(self))
        return convolved(self, x, plan)

    def _padded(self, x: Any) -> Any:
        """The input with what the padding mode puts around it."""
        pairs: Any = self.padding
        if isinstance(pairs, str):
            extents = [
                (k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)
            ]
            sizes = spatial(x.shape, last=is_last(self))
            pairs = lax.padtype_to_pads(sizes, extents, self.stride, pairs)
        return pad_with(self, x, pairs)


def checked_groups(layer: str, groups: Any, in_channels: int, out_channels: int) -> int:
    """Return `groups`, which has to divide both numbers of channels."""
    checked: int = checked_size(layer, "groups", groups)
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if checked == 0 or channels % checked:
            message = (
                f"`{layer}` needs `{name}` to be a multiple of `groups`, got `{name}={channels}` "
                f"and `groups={checked}`."
            )
            raise ValueError(message)
    return checked


def checked_padding(layer: str, padding: Any, axes: int) -> str | Pairs:
    """Return the name in upper case, or a pair for each axis."""
    if not isinstance(padding, str):
        return pad_pairs(layer, padding, axes, or_name=f"one of {_names(BY_NAME)}, ")
    if padding.upper() in BY_NAME:
        return padding.upper()
    message = f"`{layer}` takes as a `padding` of type `str` {_names(BY_NAME)}, got {padding!r}."
    raise ValueError(message)


def checked_mode(layer: str, mode: Any) -> str:
    """Return the padding mode in upper case."""
    rule = f"`{layer}` takes as `padding_mode` {_names(tuple(MODES))}"
    if not isinstance(mode, str):
        message = f"{rule}, got {mode!r}: a `{type(mode).__name__}` has no attribute 'upper'."
        raise AttributeError(message)
    if mode.upper() not in MODES:
        message = f"{rule}, got {mode!r}."
        raise ValueError(message)
    return mode.upper()


def _names(names: tuple[str, ...]) -> str:
    *first, last = (f'`"{name}"`' for name in names)
    return f"{', '.join(first)} or {last}"


def first_values(
    layer: Any,
    weight_init: Initializer | None,
    bias_init: Initializer | None,
    dtype: DTypeLike | None,
    key: PRNGKeyArray,
) -> tuple[Array, Any]:
    """Draw weight and bias."""
    name, within = type(layer).__name__, layer.in_channels // layer.groups
    fan_in = within * math.prod(layer.kernel_size)
    limit = 1 / math.sqrt(fan_in) if fan_in else 1.0
    weight_key, bias_key = split_key(name, key)
    shape = (layer.out_channels, within, *layer.kernel_size)
    weight = first_weight(name, weight_init, weight_key, shape, dtype, limit, layer.groups)
    if not layer.use_bias:
        return weight, None
    shape = (layer.out_channels, *(1,) * layer.num_spatial_dims)
    return weight, first_bias(name, bias_init, bias_key, shape, dtype, limit)


def layouts_of(layer: Any) -> dict[str, Layout]:
    """How weight and bias are drawn."""
    axes = layer.num_spatial_dims
    return {"weight": Layout(axes + 2, layer.groups), "bias": Layout(axes + 1, 0)}


def check_rank(layer: Any, x: Any) -> None:
    """Refuse an input that has not as many axes as the layer asks for."""
    if getattr(x, "ndim", None) != layer.num_spatial_dims + 1:
        name, axes = type(layer).__name__, layer.num_spatial_dims
        raise wrong_rank(name, x, layer.in_channels, axes, ValueError, last=is_last(layer))


def pad_with(layer: Any, x: Any, pairs: Any) -> Any:
    """Pad the spatial axes by copies of the input."""
    try:
        pairs_of_all = with_channels((0, 0), pairs, last=is_last(layer))
        return jnp.pad(x, pairs_of_all, mode=MODES[layer.padding_mode])
    except ValueError as error:
        if min(map(min, pairs)) >= 0:
            raise
        message = (
            f"`{type(layer).__name__}` cannot take elements away with "
            f'`padding_mode="{layer.padding_mode}"`; its `padding` is {layer.padding}. Use '
            f'`padding_mode="ZEROS"` for negative padding.'
        )
        raise ValueError(message) from error


def convolved(layer: Any, x: Any, plan: Plan) -> Array:
    """Convolve and add the bias; the errors say what is wrong with the input."""
    try:
        return convolve(x, layer.weight, layer.bias, plan)
    except (TypeError, ValueError) as error:
        raise _explained(layer, x, error) from None


def _explained(layer: Any, x: Any, error: Exception) -> Exception:
    name, weight = type(layer).__name__, layer.weight
    channels = getattr(weight, "shape", (0, 0))[1] * layer.groups
    last = is_last(layer)
    if isinstance(error, ValueError) and x.shape[-1 if last else 0] != channels:
        expected = describe_shape(channels, layer.num_spatial_dims, last=last)
        told = f"`{name}` expects `x` of shape {expected}, got shape {x.shape}."
        return ValueError(told + for_channels(x.shape, channels, last=last))
    if isinstance(error, TypeError) and x.dtype != getattr(weight, "dtype", x.dtype):
        return TypeError(
            f"`{name}` expects `x` of the dtype of its `weight`, {weight.dtype}, got {x.dtype}. "
            f"Use `x.astype(layer.weight.dtype)`."
        )
    return error
