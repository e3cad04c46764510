"""Small models to look into."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from eqx_pytree import Module, field


class Linear(Module):
    weight: jax.Array
    bias: jax.Array

    def __call__(self, x):
        return self.weight @ x + self.bias


class Layers(Module):
    """Layers one after the other, with a function of their elements after each but the last."""

    layers: tuple
    activation: Callable

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Noise(Module):
    """Takes a key and a state, and has no array."""

    scale: float = field(static=True)

    def __call__(self, x, state, *, key):
        return x + self.scale * jax.random.normal(key, x.shape), {"n": state["n"] + 1}


def linear(n_in, n_out):
    size = n_in * n_out
    return Linear(jnp.linspace(-1, 1, size).reshape(n_out, n_in), jnp.linspace(0, 1, n_out))


def layers(*sizes):
    return Layers(tuple(linear(*pair) for pair in itertools.pairwise(sizes)), jnp.tanh)
