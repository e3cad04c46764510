"""An `equinox`: filtered calls, a training step, tracing."""

import equinox as eqx
from sides import settings
from sides.equinox import side
from sides.equinox.models import loss, mlp
from sides.settings import BATCH, DEEP, LAYERS, OPTIMISER, X, fresh, heavy


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


@side.figure
def blocked_share():
    call = eqx.filter_jit(heavy)
    return lambda: settings.blocked_share(call)
