"""Normalisation of one example: `LayerNorm`, `RMSNorm`, `GroupNorm`.

What they share is one function, which is compiled when called eagerly and inlined when traced.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, Shaped

from eqx_pytree import Module, field, warn_user

from .._init import at_least_float32, checked_size
from .._initial import Initializer, first_affine
from .._random import Key
from .._shapes import describe, for_channels, shape_of
from .._spatial import DataFormat, checked_format, is_last, spatial, with_channels
from .._unset import UNSET

Affine = Inexact[Array, "..."] | None


class LayerNorm(Module):
    """Subtract the mean of all elements and divide by their standard deviation.

        y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

    From Ba, Kiros & Hinton (2016, "Layer Normalization"), equation (4) with an elementwise gain
    and bias; mean and (biased) variance are over all of `shape`. `weight` begins as ones and
    `bias` as zeros, each of that shape, or is `None`.
    """

    __full_precision__ = True

    shape: tuple[int, ...] = field(static=True)
    eps: float = field(static=True)
    use_weight: bool = field(static=True)
    use_bias: bool = field(static=True)
    weight: Affine
    bias: Affine

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        elementwise_affine: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: Key | None = None,
    ) -> None:
        """Make the first weight and bias.

        **Arguments:**

        - `shape`: of the input, an `int` for a vector.
        - `eps`: added to the variance.
        - `use_weight`, `use_bias`: whether to have them.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `elementwise_affine`: deprecated; stands for both `use_weight` and `use_bias`, and wins.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, in their own shape; ones and zeros unless given.
        - `key`: a PRNG key for these. Constants need none.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one.
        """
        if elementwise_affine is not None:
            use_weight = use_bias = elementwise_affine
            message = (
                "`LayerNorm(elementwise_affine=...)` is deprecated in favour of "
                "`LayerNorm(use_weight=..., use_bias=...)`."
            )
            warn_user(message)
        self.shape = _checked_shape("LayerNorm", shape)
        self.eps = eps
        self.use_weight = use_weight
        self.use_bias = use_bias
        used, inits = (use_weight, use_bias), (weight_init, bias_init)
        self.weight, self.bias = first_affine("LayerNorm", used, inits, key, self.shape, dtype)

    @jax.named_scope("eqx.nn.LayerNorm")
    def __call__(
        self, x: Shaped[ArrayLike, "*shape"], state: Any = UNSET, *, key: Any = None
    ) -> Any:
        """Normalise an array of the layer's shape.

        The result has the shape and the dtype of `x`, or float32 where `x` is of integers; the
        computation is done in at least float32. With a `state` it is the pair of that and the
        state, unchanged. `key` is ignored.

        **Raises:** `ValueError` for another shape; `AttributeError` if `x` is no array.
        """
        _check_shape("LayerNorm", x, self.shape)
        y = normalised(x, self.weight, self.bias, self.eps, centred=True)
        return y if state is UNSET else (y, state)


class RMSNorm(Module):
    """Divide by the root of the mean square of all elements.

        y = x / sqrt(E[|x|^2] + eps) * weight + bias

    From Zhang & Sennrich (2019, "Root Mean Square Layer Normalization"), equation (4), with `eps`
    and a bias; the mean is over all of `shape`. `weight` begins as ones and `bias` as zeros, each
    of that shape, or is `None`.
    """

    __full_precision__ = True

    shape: tuple[int, ...] = field(static=True)
    eps: float = field(static=True)
    use_weight: bool = field(static=True)
    use_bias: bool = field(static=True)
    weight: Affine
    bias: Affine

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: Key | None = None,
    ) -> None:
        """Make the first weight and bias.

        **Arguments:**

        - `shape`: of the input, an `int` for a vector.
        - `eps`: added to the mean square.
        - `use_weight`, `use_bias`: whether to have them.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, in their own shape; ones and zeros unless given.
        - `key`: a PRNG key for these. Constants need none.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one.
        """
        self.shape = _checked_shape("RMSNorm", shape)
        self.eps = eps
        self.use_weight = use_weight
        self.use_bias = use_bias
        used, inits = (use_weight, use_bias), (weight_init, bias_init)
        self.weight, self.bias = first_affine("RMSNorm", used, inits, key, self.shape, dtype)

    @jax.named_scope("eqx.nn.RMSNorm")
    def __call__(
        self, x: Shaped[ArrayLike, "*shape"], state: Any = UNSET, *, key: Any = None
    ) -> Any:
        """Normalise an array of the layer's shape.

        The result has the shape and the dtype of `x`, or float32 where `x` is of integers; the
        computation is done in at least float32. With a `state` it is the pair of that and the
        state, unchanged. `key` is ignored.

        **Raises:** `ValueError` for another shape; `AttributeError` if `x` is no array.
        """
        _check_shape("RMSNorm", x, self.shape)
        y = normalised(x, self.weight, self.bias, self.eps, centred=False)
        return y if state is UNSET else (y, state)


class GroupNorm(Module):
    """Subtract the mean and divide by the standard deviation of each group of channels.

        y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

    From Wu & He (2018, "Group Normalization"), equations (1), (2), (6) and (7): the first axis of
    `x` holds the channels, `groups` groups of neighbours, and mean and (biased) variance are over
    the channels of a group and all other axes. One group is a `LayerNorm` with a weight for
    each channel; as many groups as channels are the instance norm of Ulyanov et al. (2016).
    `weight` begins as ones and `bias` as zeros, each of shape `(channels,)`, or is `None`.
    """

    __full_precision__ = True

    groups: int = field(static=True)
    channels: int | None = field(static=True)
    eps: float = field(static=True)
    channelwise_affine: bool = field(static=True)
    weight: Affine
    bias: Affine
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        groups: int,
        channels: int | None = None,
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

        - `groups`: how many groups.
        - `channels`: how many channels; may be left out where there is no weight.
        - `eps`: added to the variance.
        - `channelwise_affine`: whether to have weight and bias.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `data_format`: `"channels_first"`, or `"channels_last"` for an input of shape
            `(..., channels)`.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, in their own shape; ones and zeros unless given.
        - `key`: a PRNG key for these. Constants need none.

        **Raises:** `TypeError` for a size that is no integer; `ValueError` for a negative one,
        for no groups, if `groups` does not divide `channels`, if `channels` are needed, and for
        another `data_format`.
        """
        self.groups = checked_size("GroupNorm", "groups", groups)
        self.channels = None
        if channels is not None:
            self.channels = checked_size("GroupNorm", "channels", channels)
        if not self.groups or (self.channels or 0) % self.groups:
            message = (
                f"`GroupNorm` needs `groups` to divide `channels`; got `groups={groups}` and "
                f"`channels={channels}`."
            )
            raise ValueError(message)
        self.eps = eps
        self.data_format = checked_format("GroupNorm", data_format)
        self.channelwise_affine = channelwise_affine
        if channelwise_affine and self.channels is None:
            message = (
                "`GroupNorm` needs the number of `channels` for its weight and bias. Give it, "
                "or `channelwise_affine=False`."
            )
            raise ValueError(message)
        used, inits = (channelwise_affine,) * 2, (weight_init, bias_init)
        shape = (self.channels or 0,)
        self.weight, self.bias = first_affine("GroupNorm", used, inits, key, shape, dtype)

    @jax.named_scope("eqx.nn.GroupNorm")
    def __call__(self, x: Shaped[ArrayLike, ...], state: Any = UNSET, *, key: Any = None) -> Any:
        """Normalise an array of shape `(channels, ...)`, or `(..., channels)` where that is asked.

        The result has the shape and the dtype of `x`, or float32 where `x` is of integers; the
        computation is done in at least float32. With a `state` it is the pair of that and the
        state, unchanged. `key` is ignored.

        **Raises:** `ValueError` for another number of channels; `AttributeError` if `x` is no
        array.
        """
        shape = shape_of(x)
        if shape is None:
            raise AttributeError(describe("GroupNorm", "x", x, (self.channels or self.groups,)))
        channels, last = None if self.weight is None else self.channels, is_last(self)
        found = shape[-1 if last else 0] if shape else 0
        if not shape or (found % self.groups if channels is None else found != channels):
            others = spatial(shape, last=last)
            expected = with_channels(channels or self.groups, others, last=last)
            told = describe("GroupNorm", "x", x, expected)
            raise ValueError(told + for_channels(shape, channels, last=last))
        options = {"groups": self.groups, "centred": True, "last": last}
        y = normalised(x, self.weight, self.bias, self.eps, **options)
        return y if state is UNSET else (y, state)


def _checked_shape(layer: str, shape: Any) -> tuple[int, ...]:
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        return (checked_size(layer, "shape", shape),)
    return tuple(checked_size(layer, "shape", size) for size in shape)


def _check_shape(layer: str, x: Any, expected: tuple[int, ...]) -> None:
    shape = shape_of(x)
    if shape != expected:
        kind = AttributeError if shape is None else ValueError
        raise kind(describe(layer, "x", x, expected))


@functools.partial(jax.jit, static_argnames=("centred", "groups", "last"), inline=True)
def normalised(
    x: Any,
    weight: Affine,
    bias: Affine,
    eps: Any,
    *,
    centred: bool,
    groups: int | None = None,
    last: bool = False,
) -> Array:
    """Scale all of `x`, or each group of its channels, to mean square one; then the affine map.

    The channels are the first axis, or the last one.
    """
    x = jnp.asarray(x)
    y = x.astype(at_least_float32(x.dtype))
    apart = x.shape  # in two steps an axis is split or some are joined: meshes allow each of these
    if groups is not None and last:
        y = y.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    elif groups is not None:
        apart = (groups, x.shape[0] // groups, *x.shape[1:])
        y = y.reshape(apart).reshape(groups, -1)
        channelwise = (-1, *[1] * (x.ndim - 1))
        weight, bias = (it if it is None else it.reshape(channelwise) for it in (weight, bias))
    if centred:
        y = y - _mean(y, groups, last)
    square = jnp.real(y * jnp.conj(y))
    with jax.numpy_dtype_promotion("standard"):  # `y` may be complex, and weights narrower or wider
        y = y * lax.rsqrt(_mean(square, groups, last) + eps)
        y = y.reshape(apart).reshape(x.shape)
        if weight is not None:
            y = y * weight
        if bias is not None:
            y = y + bias
    return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else y


def _mean(y: Array, groups: int | None, last: bool) -> Array:
    """Of everything, of each row, or of each group of columns, for each of its columns."""
    if groups is None or not last:
        return jnp.mean(y, None if groups is None else 1, keepdims=True)
    columns = jnp.mean(y, 0).reshape(groups, -1)  # one axis after the other: quicker on CPUs
    return jnp.broadcast_to(jnp.mean(columns, 1, keepdims=True), columns.shape).reshape(-1)
