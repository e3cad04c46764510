"""Flax NNX: its transformations of a Module, called and traced."""

import jax
import jax.numpy as jnp
from flax import nnx

from sides.nnx import side
from sides.nnx.models import MLP
from sides.settings import BATCH, LAYERS, X, both_ways


def forward(model, x):
    return model(x)


def total(model, x):
    return jnp.sum(model(x))


def grad(model):
    return nnx.grad(total)(model, X)


def vmap(model):
    return nnx.vmap(forward, in_axes=(None, 0))(model, BATCH)


def trace(function, model):
    graph, state = nnx.split(model)
    return jax.make_jaxpr(lambda state: function(nnx.merge(graph, state)))(state)


both_ways(side, lambda: MLP(LAYERS), trace, grad, vmap)
