"""Flax NNX: `nnx.dot_product_attention`."""

import jax.numpy as jnp
from flax import nnx

from sides import growing
from sides.nnx import side


@side.family
def tokens():
    def causal(q, k, v):
        mask = jnp.tril(jnp.ones((1, q.shape[0], k.shape[0]), bool))
        return nnx.dot_product_attention(q, k, v, mask=mask)

    return growing.attention(nnx.dot_product_attention, causal)
