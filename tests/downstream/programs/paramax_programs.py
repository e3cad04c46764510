"""Parameters of other forms with paramax: computed ones, weight norm, and what is not trained."""

from typing import Any

import jax
import jax.numpy as jnp
import paramax
from program import Program

import equinox as eqx

X = jnp.array([0.5, -0.3, 0.8])
KEY = jax.random.key(0)


class Affine(eqx.Module):
    """`scale * x + shift`, with a positive scale."""

    scale: Any
    shift: jax.Array

    def __init__(self, scale: jax.Array, shift: jax.Array) -> None:
        self.scale = paramax.Parameterize(jnp.exp, jnp.log(scale))
        self.shift = shift

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.scale * x + self.shift


def parameterized(x: jax.Array) -> Any:
    model = Affine(jnp.abs(x) + 1, x)
    held = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    return paramax.unwrap(model)(jnp.ones(3)), held, paramax.contains_unwrappables(model)


def gradient_step(x: jax.Array) -> Any:
    """One part of the model is not trained."""
    model = Affine(jnp.array([1.0, 2.0, 3.0]), x)
    model = eqx.tree_at(lambda m: m.shift, model, replace_fn=paramax.non_trainable)

    def loss(model: Affine) -> jax.Array:
        return jnp.sum(paramax.unwrap(model)(x) ** 2)

    value, gradients = eqx.filter_value_and_grad(loss)(model)
    return value, paramax.unwrap(eqx.apply_updates(model, gradients))


def weight_norm(x: jax.Array) -> jax.Array:
    layer = eqx.nn.Linear(3, 2, key=KEY)
    layer = eqx.tree_at(lambda it: it.weight, layer, replace_fn=paramax.WeightNormalization)
    return paramax.unwrap(layer)(x)


def increasing(x: jax.Array) -> jax.Array:
    wrapped = paramax.RealToIncreasingOnInterval(
        x, (-1.0, 2.0), min_width=0.1, include_endpoints="both"
    )
    return paramax.unwrap(wrapped)


def vectorised(x: jax.Array) -> Any:
    """Several wrapped models at once: `unwrap` under `filter_vmap`."""
    models = eqx.filter_vmap(Affine)(jnp.abs(x)[:, None] + 1, x[:, None])
    return eqx.filter_vmap(lambda model: paramax.unwrap(model)(jnp.ones(1)))(models)


PROGRAMS = {
    "parameterized": Program(parameterized, X),
    "gradient_step": Program(gradient_step, X),
    "weight_norm": Program(weight_norm, X),
    "increasing": Program(increasing, X),
    "vectorised": Program(vectorised, X),
}
