"""Plain JAX: its transformations of a function of dicts, called and traced."""

import jax
import jax.numpy as jnp

from sides.plain import side
from sides.plain.models import forward, mlp
from sides.settings import BATCH, LAYERS, X, both_ways


def total(model, x):
    return jnp.sum(forward(model, x))


def carried(model, x):
    return model, forward(model, x)


def grad(model):
    return jax.grad(total)(model, X)


def vmap(model):
    return jax.vmap(forward, in_axes=(None, 0))(model, BATCH)


def jvp(model):
    return jax.jvp(forward, (model, X), (model, X))


def vjp(model):
    out, pullback = jax.vjp(forward, model, X)
    return pullback(out)


def scan(model):
    return jax.lax.scan(carried, model, BATCH)


def trace(function, model):
    return jax.make_jaxpr(function)(model)


both_ways(side, lambda: mlp(LAYERS), trace, grad, vmap, jvp, vjp, scan)
