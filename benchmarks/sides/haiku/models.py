"""The models of Haiku: a pure function and its parameters; and the loss."""

from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from sides.settings import WIDTH, X, key

Params = dict[str, dict[str, jax.Array]]


def mlp(layers: int) -> tuple[Params, Callable[[Params, jax.Array], jax.Array]]:
    def forward(x: jax.Array) -> jax.Array:
        model = hk.nets.MLP([WIDTH] * layers)
        return model(x)

    pure = hk.without_apply_rng(hk.transform(forward))
    return pure.init(key(), X), pure.apply


def loss_of(apply: Callable[[Params, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean((apply(params, x) - y) ** 2)

    return loss


class Two(hk.Module):
    def __init__(self, a: Any, b: Any) -> None:
        super().__init__()
        self.a = a
        self.b = b

    def method(self, x: Any) -> Any:
        return x
