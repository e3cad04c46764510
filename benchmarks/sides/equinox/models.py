"""The models of an `equinox`, and the loss."""

from typing import Any

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.settings import WIDTH, key


def mlp(layers: int) -> eqx.nn.MLP:
    return eqx.nn.MLP(WIDTH, WIDTH, WIDTH, layers - 1, key=key())


def loss(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((jax.vmap(model)(x) - y) ** 2)


class Two(eqx.Module):
    a: Any
    b: Any

    def __init__(self, a: Any, b: Any) -> None:
        self.a = a
        self.b = b

    def method(self, x: Any) -> Any:
        return x


class Pair(eqx.Module):
    weight: jax.Array
    bias: jax.Array


class Many(eqx.Module):
    layers: list[Pair]


class Variant(eqx.Module):
    weight: jax.Array
    number: int = eqx.field(static=True)
