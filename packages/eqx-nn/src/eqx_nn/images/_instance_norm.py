"""`InstanceNorm`: normalisation of each channel of one example."""

from __future__ import annotations

from typing import Any

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._initial import Initializer, first_affine
from .._random import Key
from .._shapes import describe, for_channels, shape_of
from .._spatial import DataFormat, checked_format, is_last, spatial, with_channels
from .._unset import UNSET
from ..norms._norm import normalised


class InstanceNorm(Module):
    """Subtract the mean and divide by the standard deviation of each channel.

        y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

    From Ulyanov, Vedaldi & Lempitsky (2016, "Instance Normalization: The Missing Ingredient for
    Fast Stylization"), equation (4): mean and (biased) variance are over the spatial axes of one
    channel of one example, in training and at inference. It is a `GroupNorm` with as many groups
    as channels. `weight` begins as ones and `bias` as zeros, each of shape `(channels,)`, or is
    `None`.
    """

    __full_precision__ = True

    channels: int = field(static=True)
    eps: float = field(static=True)
    channelwise_affine: bool = field(static=True)
    weight: Inexact[Array, " channels"] | None
    bias: Inexact[Array, " channels"] | None
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        dtype: DTypeLike | None = None,
        *,
        data_format: DataFormat = "channels_first",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: Key | None = None,
    ) -> None:
        """Make the first weight and bias.

        **Arguments:**

        - `channels`: how many channels, at least one.
        - `eps`: added to the variance.
        - `channelwise_affine`: whether to have weight and bias. (PyTorch's `InstanceNorm2d` has
            none unless asked for.)
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `data_format`: `"channels_first"`, or `"channels_last"` for an input of shape
            `(dim_1, ..., channels)`.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, in their own shape; ones and zeros unless given.
        - `key`: a PRNG key for these. Constants need none.

        **Raises:** `TypeError` for a number of channels that is no integer, `ValueError` for one
        below 1 and for another `data_format`.
        """
        self.channels = checked_size("InstanceNorm", "channels", channels)
        if self.channels == 0:
            message = "`InstanceNorm` needs at least one channel, got `channels=0`."
            raise ValueError(message)
        self.eps = eps
        self.data_format = checked_format("InstanceNorm", data_format)
        self.channelwise_affine = channelwise_affine
        used, inits, shape = (channelwise_affine,) * 2, (weight_init, bias_init), (self.channels,)
        self.weight, self.bias = first_affine("InstanceNorm", used, inits, key, shape, dtype)

    @jax.named_scope("eqx.nn.InstanceNorm")
    def __call__(self, x: Shaped[ArrayLike, ...], state: Any = UNSET, *, key: Any = None) -> Any:
        """Normalise an array of shape `(channels, dim_1, ...)`, with one spatial axis or more.

        The result has the shape and the dtype of `x`, or float32 where `x` is of integers; the
        computation is done in at least float32. A channel of equal elements becomes zeros (before
        the bias). With a `state` it is the pair of that and the state, unchanged. `key` is ignored.

        **Raises:** `ValueError` for another number of channels and for an input without spatial
        axes; `AttributeError` if `x` is no array.
        """
        shape, last = shape_of(x), is_last(self)
        if shape is None:
            raise AttributeError(describe("InstanceNorm", "x", x, (self.channels,)))
        if len(shape) < 2:
            expected = (
                f"(dim_1, ..., {self.channels})" if last else f"({self.channels}, dim_1, ...)"
            )
            message = (
                f"`InstanceNorm` expects `x` of shape {expected}, got shape {shape}: it has no "
                "spatial axis to take a mean over."
            )
            raise ValueError(message)
        if shape[-1 if last else 0] != self.channels:
            others = spatial(shape, last=last)
            told = describe("InstanceNorm", "x", x, with_channels(self.channels, others, last=last))
            raise ValueError(told + for_channels(shape, self.channels, last=last))
        options = {"groups": self.channels, "centred": True, "last": last}
        y = normalised(x, self.weight, self.bias, self.eps, **options)
        return y if state is UNSET else (y, state)
