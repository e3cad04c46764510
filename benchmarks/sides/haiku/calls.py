"""Haiku: the calls are those of `jax.jit`; tracing runs its Modules."""

import jax
import optax

from sides.haiku import side
from sides.haiku.models import loss_of, mlp
from sides.settings import BATCH, DEEP, LAYERS, OPTIMISER, X, fresh


@side.row
def jit_array_out():
    params, apply = mlp(LAYERS)
    call = jax.jit(apply)
    return lambda: call(params, X)


@side.row
def jit_model_out():
    params, _ = mlp(LAYERS)
    call = jax.jit(lambda params, x: params)
    return lambda: call(params, X)


@side.row
def training_step():
    params, apply = mlp(LAYERS)
    loss, state = loss_of(apply), OPTIMISER.init(params)

    @jax.jit
    def step(params, state, x, y):
        value, gradients = jax.value_and_grad(loss)(params, x, y)
        updates, state = OPTIMISER.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    return lambda: step(params, state, BATCH, BATCH)


@side.row
def trace_and_lower():
    params, apply = mlp(DEEP)
    loss = loss_of(apply)
    return lambda: jax.jit(jax.grad(fresh(loss))).lower(params, BATCH, BATCH)
