"""A small model for plans: two arrays, and a leaf that is none."""

import jax
import jax.numpy as jnp

from eqx_pytree import Module


class Net(Module):
    first: jax.Array
    second: jax.Array
    activation: object = jnp.tanh

    def __call__(self, x):
        return self.activation(x @ self.first) @ self.second


def make(key):
    one, two = jax.random.split(key)
    return Net(jax.random.normal(one, (8, 16)), jax.random.normal(two, (16, 4)))
