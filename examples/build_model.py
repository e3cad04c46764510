"""Build a model from scratch with `equinox.Module`, and pass it to JIT and grad.

The classes look like those of other libraries. What they make is data: a PyTree, with methods that
are functions of it. So a model goes wherever an argument goes. Run it with

    python examples/build_model.py
"""

import argparse
import functools as ft
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr

import equinox as eqx


class Affine(eqx.Module):
    weight: jax.Array
    bias: jax.Array

    def __init__(self, in_size, out_size, key):
        self.weight = jr.normal(key, (out_size, in_size)) / jnp.sqrt(in_size)
        self.bias = jnp.zeros(out_size)

    def __call__(self, x):
        return self.weight @ x + self.bias


class Perceptron(eqx.Module):
    """Modules may hold modules, in tuples, lists and dictionaries too, and what is no array."""

    layers: tuple[Affine, ...]
    activation: Callable

    def __init__(self, sizes, activation, key):
        keys = jr.split(key, len(sizes) - 1)
        self.layers = tuple(map(Affine, sizes[:-1], sizes[1:], keys))
        self.activation = activation

    def __call__(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)


# The model is an argument like any other: it goes into `jax.vmap`, `value_and_grad_f` and `jitf`.
@ft.partial(eqx.jitf, filter_fn=eqx.is_inexact_array)
@ft.partial(eqx.value_and_grad_f, filter_fn=eqx.is_inexact_array)
def loss(model, x, y):
    logits = jax.vmap(model)(x)  # (points, 1)
    return jnp.mean(jnp.logaddexp(0, logits[:, 0]) - y * logits[:, 0])


def circle(key, size):
    """Points of the square, shape (size, 2), and 1 for those that are inside the unit circle."""
    x = jr.uniform(key, (size, 2), minval=-1.5, maxval=1.5)
    return x, (jnp.sum(x**2, axis=1) < 1).astype(x.dtype)


def main(*, dataset_size=1000, steps=500, width=16, learning_rate=0.5, seed=0):
    """Return the share of new points that the trained model puts on the right side."""
    train_key, test_key, model_key = jr.split(jr.key(seed), 3)
    x, y = circle(train_key, dataset_size)
    model = Perceptron([2, width, width, 1], jnp.tanh, model_key)
    for step in range(steps):
        value, grads = loss(model, x, y)
        # Gradient descent by hand. Models are immutable: this makes a new one.
        updates = jax.tree_util.tree_map(lambda g: -learning_rate * g, grads)
        model = eqx.apply_updates(model, updates)
        if step % 100 == 0:
            print(f"step {step:4d}: loss {value:.4f}")

    x, y = circle(test_key, dataset_size)
    accuracy = float(jnp.mean((jax.vmap(model)(x)[:, 0] > 0) == (y == 1)))
    print(f"accuracy on new points: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="steps of training")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    main(**vars(parser.parse_args()))
