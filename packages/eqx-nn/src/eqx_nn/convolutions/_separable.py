"""Convolutions that keep the channels apart: `DepthwiseConv`, `SeparableConv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._initial import Initializer
from .._random import split_key
from .._spatial import DataFormat
from ._conv import Conv, Padding


class DepthwiseConv(Conv):
    """A convolution of each channel for itself: `Conv` with as many groups as channels.

    With the multiplier `m`, output `c m + k` is input `c` convolved with kernel `k` of that
    channel: `weight` has shape `(in_channels * m, 1, *kernel_size)`, and the other fields are
    those of `Conv`. PyTorch has it as a convolution with `groups=in_channels`. See Sifre (2014,
    "Rigid-motion scattering for image classification"), section 6.2.
    """

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        kernel_size: int | Sequence[int],
        multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        dilation: int | Sequence[int] = 1,
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

        - `in_channels`: how many channels the input has, at least one.
        - `multiplier`: how many outputs each of them has, at least one.
        - The others are those of `Conv`.

        **Raises:** what `Conv` raises, and `ValueError` for no channels and for a multiplier
        below 1.
        """
        _check_some(type(self).__name__, "in_channels", in_channels)
        _check_some(type(self).__name__, "multiplier", multiplier)
        super().__init__(
            num_spatial_dims,
            in_channels,
            in_channels * multiplier,
            kernel_size,
            stride,
            padding,
            dilation,
            in_channels,
            use_bias,
            padding_mode,
            dtype,
            weight_init=weight_init,
            bias_init=bias_init,
            key=key,
            data_format=data_format,
        )


class SeparableConv(Module):
    """A convolution of each channel for itself, and then a map of the channels at each place.

        y = pointwise(depthwise(x))

    From Chollet (2017, "Xception: Deep Learning with Depthwise Separable Convolutions"), section
    1.1, with nothing between the two. `depthwise` is a `DepthwiseConv` without a bias, and
    `pointwise` a `Conv` with a kernel of size 1. With `k` elements in a kernel it has
    `in_channels * (k * multiplier + multiplier * out_channels)` weights where a `Conv` has
    `in_channels * k * out_channels`.
    """

    depthwise: DepthwiseConv
    pointwise: Conv
    num_spatial_dims: int = field(static=True)

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        multiplier: int = 1,
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        dilation: int | Sequence[int] = 1,
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

        - `in_channels`, `out_channels`: how many channels input and output have.
        - `multiplier`: how many channels there are between, for each of the input.
        - `kernel_size`, `stride`, `padding`, `dilation`, `padding_mode`: of the depthwise part.
        - `use_bias`, `bias_init`: of the pointwise part.
        - `dtype`, `weight_init`, `data_format`: of both; see `Conv`.
        - `key`: a PRNG key for the first weights, which is split.

        **Raises:** what `DepthwiseConv` and `Conv` raise.
        """
        first, second = split_key("SeparableConv", key)
        self.num_spatial_dims = num_spatial_dims
        self.depthwise = DepthwiseConv(
            num_spatial_dims,
            in_channels,
            kernel_size,
            multiplier,
            stride,
            padding,
            dilation,
            use_bias=False,
            padding_mode=padding_mode,
            dtype=dtype,
            weight_init=weight_init,
            key=first,
            data_format=data_format,
        )
        self.pointwise = Conv(
            num_spatial_dims,
            in_channels * multiplier,
            out_channels,
            1,
            use_bias=use_bias,
            dtype=dtype,
            weight_init=weight_init,
            bias_init=bias_init,
            key=second,
            data_format=data_format,
        )

    @jax.named_scope("eqx.nn.SeparableConv")
    def __call__(
        self, x: Shaped[ArrayLike, "in_channels ..."], *, key: Any = None
    ) -> Inexact[Array, "out_channels ..."]:
        """Convolve one example.

        `x` has shape `(in_channels, dim_1, ..., dim_N)` and the dtype of the weights; the result
        has shape `(out_channels, out_1, ..., out_N)`, with the sizes that `Conv` gives, and the
        same dtype. `key` is ignored.

        **Raises:** what `Conv` raises, in the name of `DepthwiseConv`.
        """
        return self.pointwise(self.depthwise(x))


def _check_some(layer: str, name: str, size: Any) -> None:
    if checked_size(layer, name, size) == 0:
        message = f"`{layer}` needs at least one as `{name}`, got 0."
        raise ValueError(message)
