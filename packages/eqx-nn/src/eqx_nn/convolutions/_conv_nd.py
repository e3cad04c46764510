"""Convolutions in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from .._initial import Initializer
from .._spatial import DataFormat
from ._conv import Conv, Padding


class Conv1d(Conv):
    """A convolution in one dimension; see `Conv`."""

    def __init__(
        self,
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
        """Draw the first weights: the arguments, and what is raised, are those of `Conv`."""
        super().__init__(
            num_spatial_dims=1,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            use_bias=use_bias,
            padding_mode=padding_mode,
            dtype=dtype,
            weight_init=weight_init,
            bias_init=bias_init,
            key=key,
            data_format=data_format,
        )


class Conv2d(Conv):
    """A convolution in two dimensions; see `Conv`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = (1, 1),
        padding: Padding = (0, 0),
        dilation: int | Sequence[int] = (1, 1),
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
        """Draw the first weights: the arguments, and what is raised, are those of `Conv`."""
        super().__init__(
            num_spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            use_bias=use_bias,
            padding_mode=padding_mode,
            dtype=dtype,
            weight_init=weight_init,
            bias_init=bias_init,
            key=key,
            data_format=data_format,
        )


class Conv3d(Conv):
    """A convolution in three dimensions; see `Conv`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = (1, 1, 1),
        padding: Padding = (0, 0, 0),
        dilation: int | Sequence[int] = (1, 1, 1),
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
        """Draw the first weights: the arguments, and what is raised, are those of `Conv`."""
        super().__init__(
            num_spatial_dims=3,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            use_bias=use_bias,
            padding_mode=padding_mode,
            dtype=dtype,
            weight_init=weight_init,
            bias_init=bias_init,
            key=key,
            data_format=data_format,
        )
