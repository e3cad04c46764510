"""Plain JAX: jitted calls, a training step, tracing."""

import jax
import optax

from sides import settings
from sides.plain import side
from sides.plain.models import forward, loss, mlp
from sides.settings import BATCH, DEEP, LAYERS, OPTIMISER, X, fresh, heavy


@side.row
def jit_array_out():
    model, call = mlp(LAYERS), jax.jit(forward)
    return lambda: call(model, X)


@side.row
def jit_model_out():
    model, call = mlp(LAYERS), jax.jit(lambda model, x: model)
    return lambda: call(model, X)


@side.row
def training_step():
    model = mlp(LAYERS)
    state = OPTIMISER.init(model)

    @jax.jit
    def step(model, state, x, y):
        value, gradients = jax.value_and_grad(loss)(model, x, y)
        updates, state = OPTIMISER.update(gradients, state, model)
        return optax.apply_updates(model, updates), state, value

    return lambda: step(model, state, BATCH, BATCH)


@side.row
def trace_and_lower():
    model = mlp(DEEP)
    return lambda: jax.jit(jax.grad(fresh(loss))).lower(model, BATCH, BATCH)


def refuse(x):
    message = "`x` must not be negative."
    raise RuntimeError(message)


def checked(x):
    def fail(x):
        return jax.pure_callback(refuse, x, x)

    return jax.lax.cond((x < 0).any(), fail, lambda x: x, x) * 2


@side.row
def checked_call():
    call = jax.jit(checked)
    return lambda: jax.block_until_ready(call(X))


@side.figure
def blocked_share():
    call = jax.jit(heavy)
    return lambda: settings.blocked_share(call)
