"""Plain JAX: `jax.nn.dot_product_attention`, and a cache by hand."""

import jax
import jax.numpy as jnp

from sides import growing
from sides.plain import side
from sides.settings import HEAD_SIZE, HEADS, HELD, NEW, compile_seconds, key

SIZE = HEADS * HEAD_SIZE


def by_formula(q, k, v):
    scores = jnp.einsum("shd,Shd->hsS", q / HEAD_SIZE**0.5, k)
    return jnp.einsum("hsS,Shd->shd", jax.nn.softmax(scores), v)


@side.family
def tokens():
    attend = jax.nn.dot_product_attention
    return growing.attention(attend, lambda *arrays: attend(*arrays, is_causal=True))


@side.figure
def attention_compile():
    return lambda: compile_seconds(by_formula)


@side.row
def decode():
    shapes = dict.fromkeys(("query", "key", "value", "output"), (SIZE, SIZE))
    keys = jax.random.split(key(), len(shapes))
    pairs = zip(shapes.items(), keys, strict=True)
    weights = {name: jax.random.normal(each, shape) / SIZE for (name, shape), each in pairs}

    def attend(weights, x, held_keys, held_values, position):
        q, k, v = (weights[name] @ x for name in ("query", "key", "value"))
        q, k, v = (it.reshape(HEADS, 1, HEAD_SIZE) for it in (q, k, v))
        held_keys = jax.lax.dynamic_update_slice_in_dim(held_keys, k, position, 1)
        held_values = jax.lax.dynamic_update_slice_in_dim(held_values, v, position, 1)
        scores = jnp.einsum("hsd,hSd->hsS", q / HEAD_SIZE**0.5, held_keys)
        scores = jnp.where(jnp.arange(HELD) <= position, scores, jnp.finfo(scores.dtype).min)
        out = jnp.einsum("hsS,hSd->hsd", jax.nn.softmax(scores), held_values)
        return weights["output"] @ out.reshape(SIZE), held_keys, held_values

    @jax.jit
    def tokens(weights, x, held_keys, held_values):
        def step(carry, position):
            x, *held = carry
            y, *held = attend(weights, x, *held, position)
            return (y, *held), None

        places = jnp.arange(HELD - NEW, HELD)
        return jax.lax.scan(step, (x, held_keys, held_values), places)[0]

    held = jnp.ones((HEADS, HELD, HEAD_SIZE))
    return lambda: jax.block_until_ready(tokens(weights, jnp.ones(SIZE), held, held))
