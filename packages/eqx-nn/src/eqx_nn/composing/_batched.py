"""`batched`: a layer of one example as a layer of batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from eqx_pytree import Module, field

from .._init import checked_size
from .._linear import Linear
from .._random import Key, split_key
from .._shapes import describe, shape_of
from .._state import StatefulLayer
from .._weight import Weight


def batched(layer: Callable[..., Any], axes: int = 1) -> Batched:
    """A layer that takes a batch where `layer` takes one example.

    `batched(layer)(x)` is what `jax.vmap(layer)(x)` gives, up to rounding, and with `axes` what as
    many of them do, one inside the other. The result is a PyTree that holds `layer`, so it can
    stand in a `Sequential` and be differentiated:

        model = Sequential([batched(Linear(3, 4, key=key)), Lambda(jax.nn.relu)])

    A `Linear` becomes one matrix product, eager or compiled, whose result needs no transposition.
    Every other layer goes through `jax.vmap`, which makes one program of it: one convolution of a
    `Conv`, one reduction for each statistic of a norm.

    **Arguments:**

    - `layer`: called as `layer(*xs)` or `layer(*xs, key=key)`.
    - `axes`: how many leading axes of the input are of the batch.

    **Raises:** `TypeError` for a layer that cannot be called, for one with a state, such as
    `BatchNorm`, which needs the name of its axis, and for a number of axes that is no integer;
    `ValueError` for a negative one.
    """
    if not callable(layer):
        message = f"`batched` needs a layer, got a `{type(layer).__name__}`, which is not callable."
        raise TypeError(message)
    if isinstance(layer, StatefulLayer) and layer.is_stateful():
        message = (
            f"`batched` takes layers without a state, and `{type(layer).__name__}` has one. Use "
            "`jax.vmap(layer, axis_name=..., in_axes=(0, None), out_axes=(0, None))(x, state)`."
        )
        raise TypeError(message)
    return Batched(layer, checked_size("batched", "axes", axes))


class Batched(Module):
    """What `batched` returns."""

    layer: Callable[..., Any]
    axes: int = field(static=True)

    def __call__(self, *xs: Any, key: Key | None = None) -> Any:
        """Call the layer on each example of a batch.

        Each of `xs` is an array, or a PyTree of them, whose first `axes` axes are those of the
        batch; so are the first axes of each array of the result. `key` is split into one for each
        example.

        **Raises:** `ValueError` for an array with fewer axes, and what the layer raises.
        """
        shape = self._shape(xs)
        if _is_product(self.layer) and len(xs) == 1:
            return _product(self.layer, xs[0], shape)
        if key is None:
            return _vmapped(self.layer, self.axes)(*xs)
        keys = split_key("batched", key, math.prod(shape))
        keys = keys.reshape(*shape, *keys.shape[1:])
        return _vmapped(lambda key, *xs: self.layer(*xs, key=key), self.axes)(keys, *xs)

    def _shape(self, xs: tuple[Any, ...]) -> tuple[int, ...]:
        """Of the batch."""
        found: tuple[int, ...] = ()
        for leaf in jax.tree.leaves(xs):
            shape = shape_of(leaf)
            if shape is None or len(shape) < self.axes:
                told = f"a `{type(leaf).__name__}`" if shape is None else f"shape {shape}"
                message = (
                    f"`batched` of a `{type(self.layer).__name__}` expects arrays with "
                    f"{self.axes} leading axes of a batch, got {told}."
                )
                raise ValueError(message)
            found = found or shape[: self.axes]
        return found


def _vmapped(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def _is_product(layer: Any) -> bool:
    """Whether a layer is a `Linear` of vectors whose call nobody has changed."""
    if not isinstance(layer, Linear) or type(layer).__call__ is not Linear.__call__:
        return False
    if "scalar" in (layer.in_features, layer.out_features) or isinstance(layer.weight, Weight):
        return False
    weight, bias = shape_of(layer.weight) or (), layer.bias
    return len(weight) == 2 and (bias is None or shape_of(bias) == weight[:1])


@jax.named_scope("eqx.nn.Linear")
def _product(layer: Any, x: Any, batch: tuple[int, ...]) -> Array:
    expected = (*batch, layer.weight.shape[1])
    if shape_of(x) != expected:
        raise ValueError(describe("batched(Linear)", "x", x, expected))
    y = jnp.tensordot(x, layer.weight, (-1, 1))  # (*batch, out_features)
    return y if layer.bias is None else y + layer.bias
