"""The models of Flax NNX, and the loss."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sides.settings import WIDTH


class MLP(nnx.Module):
    def __init__(self, layers: int) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(layers)])

    def __call__(self, x: jax.Array) -> jax.Array:
        *hidden, last = self.layers
        for layer in hidden:
            x = nnx.relu(layer(x))
        return last(x)


def loss(model: MLP, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((model(x) - y) ** 2)


class Two(nnx.Module):
    def __init__(self, a: Any, b: Any) -> None:
        self.a = a
        self.b = b

    def method(self, x: Any) -> Any:
        return x


class Pair(nnx.Module):
    def __init__(self, weight: jax.Array, bias: jax.Array) -> None:
        self.weight = nnx.Param(weight)
        self.bias = nnx.Param(bias)


class Many(nnx.Module):
    def __init__(self, layers: list[Pair]) -> None:
        self.layers = nnx.List(layers)
