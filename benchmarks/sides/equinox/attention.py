"""An `equinox`: attention of many tokens, and of one more. The peer has no cache."""

import importlib

import jax
import jax.numpy as jnp

import equinox as eqx
from sides import growing
from sides.equinox import side
from sides.settings import HEAD_SIZE, HEADS, HELD, NEW, compile_seconds, key

SIZE = HEADS * HEAD_SIZE
IS_OURS = hasattr(eqx.nn, "dot_product_attention")


def full(q, k, v):
    if IS_OURS:
        return eqx.nn.dot_product_attention(q, k, v)
    return by_head(q, k, v, None)


def causal(q, k, v):
    if IS_OURS:
        return eqx.nn.dot_product_attention(q, k, v, is_causal=True)
    return by_head(q, k, v, jnp.tril(jnp.ones((q.shape[0], k.shape[0]), bool)))


def by_head(q, k, v, mask):
    """The peer's function is of one head, takes a mask alone, and is in a private module."""
    module = importlib.import_module("equinox.nn._attention")
    return jax.vmap(module.dot_product_attention, (1, 1, 1, None), 1)(q, k, v, mask)


@side.family
def tokens():
    return growing.attention(full, causal, in_blocks=IS_OURS)


@side.figure
def attention_compile():
    return lambda: compile_seconds(full)


def decode():
    layer = eqx.nn.MultiheadAttention(HEADS, SIZE, key=key())
    cache = layer.init_cache(HELD)
    cache = eqx.tree_at(lambda it: it.position, cache, jnp.asarray(HELD - NEW))

    @eqx.filter_jit
    def tokens(layer, x, cache):
        def step(carry, _):
            x, cache = carry
            return layer(x, x, x, cache=cache), None

        return jax.lax.scan(step, (x, cache), None, NEW)[0]

    return lambda: jax.block_until_ready(tokens(layer, jnp.ones((1, SIZE)), cache))


if IS_OURS:
    side.row(decode)
