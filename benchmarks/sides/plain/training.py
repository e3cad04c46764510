"""Plain JAX: what training asks for besides gradients, by hand."""

import jax
import jax.numpy as jnp

from sides.plain import side
from sides.plain.calls import training_step
from sides.plain.models import loss, mlp
from sides.settings import LARGE_BATCH, LAYERS, PARTS


@side.row
def optimizer_step():
    return training_step()


@side.row
def averages():
    average = model = mlp(LAYERS)
    moved = jax.jit(lambda one, other: jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, one, other))
    return lambda: moved(average, model)


@side.row
def accumulated():
    model, gradient = mlp(LAYERS), jax.grad(loss)

    @jax.jit
    def by_hand(model, x, y):
        def add(total, part):
            return jax.tree.map(jnp.add, total, gradient(model, *part)), None

        rows = [jnp.reshape(it, (PARTS, -1, it.shape[-1])) for it in (x, y)]
        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, model), rows)
        return jax.tree.map(lambda leaf: leaf / PARTS, total)

    return lambda: by_hand(model, LARGE_BATCH, LARGE_BATCH)


@side.row
def in_half():
    model = mlp(LAYERS)

    def by_hand(model, x, y):
        return loss(*jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (model, x, y)))

    gradient = jax.jit(jax.grad(by_hand))
    return lambda: gradient(model, LARGE_BATCH, LARGE_BATCH)
