"""The convolution of one example, in the formulation that runs fastest. Knows no layer.

XLA's CPU backend has fast paths for dense convolutions. A grouped one in one or two dimensions is
done there as one dense convolution for each group, whose gradient is much faster; a strided
transposed one in three or more dimensions as one dense convolution that gives all phases of the
output (Shi et al., 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network"). The results are the same up to rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from .._spatial import Pairs, spatial
from .._weight import Weight

MAX_SPLIT_GROUPS = 4


class Plan(NamedTuple):
    """The static arguments of `jax.lax.conv_general_dilated`."""

    strides: tuple[int, ...]
    padding: str | Pairs
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    groups: int
    last: bool = False
    """Whether the channels of input and result are the last axis."""


@functools.partial(jax.jit, static_argnums=3)
def convolve(x: Array, weight: Array | Weight, bias: Array | None, plan: Plan) -> Array:
    """Convolve one example of shape `(channels, dim_1, ..., dim_N)`, and add the bias.

    With `plan.last` example and result have the channels as the last axis.
    """
    lhs = lax.expand_dims(x, (0,))
    if isinstance(weight, Weight):
        axis = lhs.ndim - 1 if plan.last else 1
        y = weight.convolved(lambda lhs, kernel: _of_batch(lhs, kernel, plan), lhs, axis)
    else:
        y = _of_batch(lhs, weight, plan)
    y = lax.squeeze(y, (0,))
    if bias is None:
        return y
    return y + (jnp.reshape(bias, -1) if plan.last else bias)


def _of_batch(lhs: Array, weight: Array, plan: Plan) -> Array:
    """Convolve a batch of one example."""
    if jax.default_backend() != "cpu":
        return _plain(lhs, weight, plan)
    if 1 < plan.groups <= MAX_SPLIT_GROUPS and lhs.ndim <= 4:
        return _split(lhs, weight, plan)
    if lhs.ndim > 4 and max(plan.lhs_dilation) > 1 and _can_shuffle(lhs.shape[1:], weight, plan):
        first = jnp.moveaxis(lhs, -1, 1) if plan.last else lhs
        y = _shuffled(first, weight, plan)
        return jnp.moveaxis(y, 1, -1) if plan.last else y
    return _plain(lhs, weight, plan)


def _plain(lhs: Array, weight: Array, plan: Plan) -> Array:
    return lax.conv_general_dilated(
        lhs,
        weight,
        plan.strides,
        plan.padding,
        plan.lhs_dilation,
        plan.rhs_dilation,
        _axes(lhs.ndim) if plan.last else None,
        plan.groups,
    )


def _axes(ndim: int) -> lax.ConvDimensionNumbers:
    """The channels last, of kernels outputs and inputs first."""
    example, kernel = (0, ndim - 1, *range(1, ndim - 1)), tuple(range(ndim))
    return lax.ConvDimensionNumbers(example, kernel, example)


def _split(lhs: Array, weight: Array, plan: Plan) -> Array:
    """One convolution for each group of channels."""
    count, one = plan.groups, plan._replace(groups=1)
    axis = lhs.ndim - 1 if plan.last else 1
    inputs = lax.split(lhs, (lhs.shape[axis] // count,) * count, axis=axis)
    weights = lax.split(weight, (weight.shape[0] // count,) * count, axis=0)
    parts = [_plain(part, kernel, one) for part, kernel in zip(inputs, weights, strict=True)]
    return lax.concatenate(parts, axis)


def _can_shuffle(shape: Sequence[int], weight: Array, plan: Plan) -> bool:
    """Whether there is something to compute of an example, and padding takes nothing away."""
    inner = spatial(shape, last=plan.last)
    sizes = (*inner, *_out_sizes(inner, weight.shape[2:], plan))
    return min(sizes) > 0 and min(map(min, plan.padding)) >= 0


def _out_sizes(sizes: Sequence[int], kernel: Sequence[int], plan: Plan) -> list[int]:
    """The sizes of the output of a convolution with strides of 1."""
    return [
        (size - 1) * stride + 1 + before + after - (taps - 1) * dilation
        for size, taps, stride, dilation, (before, after) in zip(
            sizes, kernel, plan.lhs_dilation, plan.rhs_dilation, plan.padding, strict=True
        )
    ]


def _shuffled(lhs: Array, weight: Array, plan: Plan) -> Array:
    """Compute each phase of the output as channels of its own, and lay the phases side by side.

    Along an axis of stride `s` and padding `p`, let `o = p + s m - u` with `0 <= u < s`. Then
    `y[o] = sum_t x[m + t] w[s t + u]`: for each `u` a dense convolution, over `m`.
    """
    sizes, stride = lhs.shape[2:], plan.lhs_dilation
    out_sizes = _out_sizes(sizes, weight.shape[2:], plan)
    kernel, taps = _phases(weight, plan)
    steps = [1 if s > 1 else d for s, d in zip(stride, plan.rhs_dilation, strict=True)]
    padding, counts, begins = [], [], []
    for size, out, s, (before, _), tap, step in zip(
        sizes, out_sizes, stride, plan.padding, taps, steps, strict=True
    ):
        first, last = -(before // s), -((before - out + 1) // s)
        counts.append(last - first + 1)
        padding.append((-first, last + (tap - 1) * step - size + 1))
        begins.append(s - 1 - before % s)
    y = lax.conv_general_dilated(
        lhs,
        kernel,
        (1,) * len(sizes),
        padding,
        rhs_dilation=steps,
        feature_group_count=plan.groups,
    )
    axes = len(sizes)
    y = jnp.reshape(y, (weight.shape[0], *stride, *counts))
    y = jnp.transpose(y, (0, *[a for i in range(axes) for a in (1 + axes + i, 1 + i)]))
    y = jnp.reshape(y, (1, weight.shape[0], *map(math.prod, zip(counts, stride, strict=True))))
    ends = [begin + out for begin, out in zip(begins, out_sizes, strict=True)]
    return lax.slice(y, (0, 0, *begins), (1, weight.shape[0], *ends))


def _phases(weight: Array, plan: Plan) -> tuple[Array, list[int]]:
    """Stack the phases of the kernel as output channels; also give how many taps each has."""
    fill, taps = [(0, 0, 0), (0, 0, 0)], []
    for size, s, dilation in zip(
        weight.shape[2:], plan.lhs_dilation, plan.rhs_dilation, strict=True
    ):
        length = (size - 1) * dilation + 1 if s > 1 else size
        taps.append(-(-length // s))
        fill.append((0, taps[-1] * s - length, dilation - 1) if s > 1 else (0, 0, 0))
    out_channels, in_channels = weight.shape[:2]
    kernel = lax.pad(weight, jnp.zeros((), weight.dtype), fill)
    split = [n for pair in zip(taps, plan.lhs_dilation, strict=True) for n in pair]
    kernel = jnp.reshape(kernel, (out_channels, in_channels, *split))
    of_phase = range(3, kernel.ndim, 2)
    kernel = lax.rev(kernel, tuple(of_phase))
    kernel = jnp.transpose(kernel, (0, *of_phase, 1, *range(2, kernel.ndim, 2)))
    return jnp.reshape(kernel, (-1, in_channels, *taps)), taps
