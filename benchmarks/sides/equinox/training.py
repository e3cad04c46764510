"""An `equinox`: what training asks for besides gradients. On the peer it is written by hand."""

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.equinox.calls import training_step
from sides.equinox.models import loss, mlp
from sides.settings import BATCH, LARGE_BATCH, LAYERS, OPTIMISER, PARTS

IS_OURS = hasattr(eqx, "Optimizer")


@side.row
def optimizer_step():
    if not IS_OURS:
        return training_step()
    model = mlp(LAYERS)
    optimizer = eqx.Optimizer(OPTIMISER, model)

    @eqx.filter_jit
    def step(model, optimizer, x, y):
        value, gradients = eqx.filter_value_and_grad(loss)(model, x, y)
        return *optimizer.update(gradients, model), value

    return lambda: step(model, optimizer, BATCH, BATCH)


@side.row
def averages():
    average = model = mlp(LAYERS)
    if IS_OURS:
        return lambda: eqx.ema(average, model, 0.9)

    @eqx.filter_jit
    def moved(average, model):
        old, new = (eqx.filter(it, eqx.is_inexact_array) for it in (average, model))
        return eqx.combine(jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, old, new), model)

    return lambda: moved(average, model)


@side.row
def accumulated():
    model, gradient = mlp(LAYERS), eqx.filter_grad(loss)
    if IS_OURS:
        in_parts = eqx.filter_jit(eqx.accumulate(gradient, PARTS))
        return lambda: in_parts(model, LARGE_BATCH, LARGE_BATCH)

    @eqx.filter_jit
    def by_hand(model, x, y):
        def add(total, part):
            return jax.tree.map(jnp.add, total, gradient(model, *part)), None

        rows = [jnp.reshape(it, (PARTS, -1, it.shape[-1])) for it in (x, y)]
        zero = jax.tree.map(jnp.zeros_like, eqx.filter(model, eqx.is_inexact_array))
        total, _ = jax.lax.scan(add, zero, rows)
        return jax.tree.map(lambda leaf: leaf / PARTS, total)

    return lambda: by_hand(model, LARGE_BATCH, LARGE_BATCH)


@side.row
def in_half():
    model = mlp(LAYERS)

    def by_hand(model, x, y):
        arrays, rest = eqx.partition((model, x, y), eqx.is_inexact_array)
        arrays = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), arrays)
        return loss(*eqx.combine(arrays, rest))

    computed = eqx.Precision(compute=jnp.bfloat16)(loss) if IS_OURS else by_hand
    gradient = eqx.filter_jit(eqx.filter_grad(computed))
    return lambda: gradient(model, LARGE_BATCH, LARGE_BATCH)
