"""Plain JAX: a product with an update of low rank, and one with integers, by hand."""

import jax
import jax.numpy as jnp

from sides.plain import side
from sides.settings import MANY, RANK, WIDE


@side.row
def lora_forward():
    weight, a, b = jnp.ones((WIDE, WIDE)), jnp.ones((RANK, WIDE)), jnp.ones((WIDE, RANK))
    forward = jax.jit(lambda x, weight, a, b: x @ weight.T + (x @ a.T) @ b.T)
    return lambda: forward(MANY, weight, a, b)


@side.row
def quantised_forward():
    values, scale = jnp.ones((WIDE, WIDE), jnp.int8), jnp.ones(WIDE)
    forward = jax.jit(lambda x, values, scale: x @ values.T.astype(x.dtype) * scale)
    return lambda: forward(MANY, values, scale)
