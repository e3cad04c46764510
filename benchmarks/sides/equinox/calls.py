"""An `equinox`: filtered calls, a training step, tracing."""

import jax

import equinox as eqx
from sides import settings
from sides.equinox import side
from sides.equinox.models import loss, mlp
from sides.settings import BATCH, CHECKS, DEEP, LAYERS, OPTIMISER, X, fresh, heavy


@side.row
def jit_array_out():
    model, call = mlp(LAYERS), eqx.filter_jit(lambda model, x: model(x))
    return lambda: call(model, X)


@side.row
def jit_model_out():
    model, call = mlp(LAYERS), eqx.filter_jit(lambda model, x: model)
    return lambda: call(model, X)


@side.row
def training_step():
    model = mlp(LAYERS)
    state = OPTIMISER.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def step(model, state, x, y):
        value, gradients = eqx.filter_value_and_grad(loss)(model, x, y)
        updates, state = OPTIMISER.update(gradients, state, model)
        return eqx.apply_updates(model, updates), state, value

    return lambda: step(model, state, BATCH, BATCH)


@side.row
def trace_and_lower():
    model = mlp(DEEP)
    return lambda: eqx.filter_jit(eqx.filter_grad(fresh(loss))).lower(model, BATCH, BATCH)


def checked(x):
    return eqx.error_if(x, (x < 0).any(), "`x` must not be negative.") * 2


def checked_often(x):
    for place in range(CHECKS):
        x = eqx.error_if(x, (x < 0).any(), f"`x` must not be negative in place {place}.") * 2
    return x


@side.row
def checked_call():
    call = eqx.filter_jit(checked)
    return lambda: jax.block_until_ready(call(X))


@side.row
def checked_trace():
    return lambda: jax.jit(fresh(checked_often)).lower(X)


@side.figure
def blocked_share():
    call = eqx.filter_jit(heavy)
    return lambda: settings.blocked_share(call)
