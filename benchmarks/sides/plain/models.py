"""The models of plain JAX, and the loss."""

from typing import Any

import jax
import jax.numpy as jnp

from sides.settings import WIDTH, key

Model = list[dict[str, jax.Array]]


def mlp(layers: int) -> Model:
    return [
        {"weight": jax.random.normal(each, (WIDTH, WIDTH)) / 3, "bias": jnp.zeros(WIDTH)}
        for each in jax.random.split(key(), layers)
    ]


def forward(model: Model, x: jax.Array) -> jax.Array:
    for layer in model[:-1]:
        x = jax.nn.relu(layer["weight"] @ x + layer["bias"])
    return model[-1]["weight"] @ x + model[-1]["bias"]


def loss(model: Model, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((jax.vmap(lambda one: forward(model, one))(x) - y) ** 2)


class Two:
    """What a Module of two fields would be if it were only a class."""

    def __init__(self, a: Any, b: Any) -> None:
        self.a = a
        self.b = b

    def method(self, x: Any) -> Any:
        return x
