"""A transformation of gradients as Optax has them, where Optax is not installed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Transformation(NamedTuple):
    init: Any
    update: Any


def momentum(rate=0.5, decay=0.1):
    """Heavy ball, with weight decay."""

    def init(params):
        return {"velocity": jax.tree.map(jnp.zeros_like, params), "count": jnp.zeros((), int)}

    def update(grads, state, params=None):
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, state["velocity"], grads)
        updates = jax.tree.map(lambda v, p: -rate * (v + decay * p), velocity, params)
        return updates, {"velocity": velocity, "count": state["count"] + 1}

    return Transformation(init, update)
