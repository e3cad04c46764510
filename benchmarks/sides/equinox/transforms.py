"""An `equinox`: its transformations of a Module, called and traced."""

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.equinox.models import mlp
from sides.settings import BATCH, LAYERS, X, both_ways


def forward(model, x):
    return model(x)


def total(model, x):
    return jnp.sum(model(x))


def carried(model, x):
    return model, model(x)


def grad(model):
    return eqx.filter_grad(total)(model, X)


def vmap(model):
    return eqx.filter_vmap(forward, in_axes=(None, 0))(model, BATCH)


def jvp(model):
    tangents = eqx.filter(model, eqx.is_array)
    return eqx.filter_jvp(forward, (model, X), (tangents, X))


def vjp(model):
    out, pullback = eqx.filter_vjp(forward, model, X)
    return pullback(out)


def scan(model):
    return eqx.filter_scan(carried, model, BATCH)


def trace(function, model):
    arrays, static = eqx.partition(model, eqx.is_array)

    def of_arrays(arrays):
        return eqx.filter(function(eqx.combine(arrays, static)), eqx.is_array)

    return jax.make_jaxpr(of_arrays)(arrays)


both_ways(side, lambda: mlp(LAYERS), trace, grad, vmap, jvp, vjp)
if hasattr(eqx, "filter_scan"):  # the peer has no loops
    both_ways(side, lambda: mlp(LAYERS), trace, scan)
