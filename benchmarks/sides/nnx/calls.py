"""Flax NNX: `nnx.jit`, which carries a Module's state in and out, and its own optimiser."""

from flax import nnx

from sides import settings
from sides.nnx import side
from sides.nnx.models import MLP, loss
from sides.settings import BATCH, DEEP, LAYERS, OPTIMISER, X, fresh, heavy


@side.row
def jit_array_out():
    model, call = MLP(LAYERS), nnx.jit(lambda model, x: model(x))
    return lambda: call(model, X)


@side.row
def jit_model_out():
    model, call = MLP(LAYERS), nnx.jit(lambda model, x: model)
    return lambda: call(model, X)


@side.row
def training_step():
    model = MLP(LAYERS)
    optimiser = nnx.Optimizer(model, OPTIMISER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimiser, x, y):
        value, gradients = nnx.value_and_grad(loss)(model, x, y)
        optimiser.update(model, gradients)
        return value

    return lambda: step(model, optimiser, BATCH, BATCH)


@side.row
def trace_and_lower():
    model = MLP(DEEP)
    return lambda: nnx.jit(nnx.grad(fresh(loss))).lower(model, BATCH, BATCH)


@side.figure
def blocked_share():
    call = nnx.jit(heavy)
    return lambda: settings.blocked_share(call)
