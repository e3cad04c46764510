"""Pools of means and of largest elements, in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Inexact, Shaped

from .._spatial import DataFormat
from ._pool import Padding, Pool, reduced


class _AvgPool(Pool):
    """What the pools of means share."""

    @jax.named_scope("eqx.nn.AvgPool")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Inexact[Array, ...]:
        """Pool one example of shape `(channels, dim_1, ..., dim_N)`, as `Pool` does.

        The mean is over the whole window: padding counts as zeros. The result is inexact: that of
        an integer input has JAX's default floating dtype. `key` is ignored.
        """
        return reduced(self, x) / math.prod(self.kernel_size)


class AvgPool1d(_AvgPool):
    """The mean of each window along one axis.

    The subsampling of LeCun et al. (1989, "Backpropagation Applied to Handwritten Zip Code
    Recognition"), without its trainable coefficient. Takes the arguments of `Pool` from
    `kernel_size` on.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            0, lax.add, 1, kernel_size, stride, padding, use_ceil, data_format=data_format
        )


class AvgPool2d(_AvgPool):
    """The mean of each window along two axes; see `AvgPool1d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            0, lax.add, 2, kernel_size, stride, padding, use_ceil, data_format=data_format
        )


class AvgPool3d(_AvgPool):
    """The mean of each window along three axes; see `AvgPool1d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            0, lax.add, 3, kernel_size, stride, padding, use_ceil, data_format=data_format
        )


class MaxPool1d(Pool):
    """The largest element of each window along one axis.

    From Riesenhuber & Poggio (1999, "Hierarchical models of object recognition in cortex"). Of
    equal elements the first has the gradient. Padding is never the largest element: it is minus
    infinity, or the least value of an integer dtype. Takes the arguments of `Pool` from
    `kernel_size` on.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            -jnp.inf, lax.max, 1, kernel_size, stride, padding, use_ceil, data_format=data_format
        )


class MaxPool2d(Pool):
    """The largest element of each window along two axes; see `MaxPool1d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            -jnp.inf, lax.max, 2, kernel_size, stride, padding, use_ceil, data_format=data_format
        )


class MaxPool3d(Pool):
    """The largest element of each window along three axes; see `MaxPool1d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool: the arguments, and what is raised, are those of `Pool`."""
        super().__init__(
            -jnp.inf, lax.max, 3, kernel_size, stride, padding, use_ceil, data_format=data_format
        )
