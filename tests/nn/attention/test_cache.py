"""`Cache`: a sequence that comes in parts gives what it gives at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import EquinoxRuntimeError, filter_jit, filter_vmap
from eqx_nn import MultiheadAttention, RotaryPositionalEmbedding

KEY = jax.random.key(0)
LENGTH, SIZE = 7, 8
X = jax.random.normal(jax.random.key(1), (LENGTH, SIZE))
ROTARY = RotaryPositionalEmbedding(4)


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def turned(start):
    turn = jax.vmap(lambda x: ROTARY(x, offset=start), in_axes=1, out_axes=1)
    return lambda q, k, v: (turn(q), turn(k), v)


@filter_jit
def step(layer, x, cache, options, rotary):
    more = {"process_heads": turned(cache.position)} if rotary else {}
    return layer(x, x, x, cache=cache, **more, **options)


def in_parts(layer, parts, cache, options, *, rotary=False):
    found, start = [], 0
    for count in parts:
        y, cache = step(layer, X[start : start + count], cache, options, rotary)
        found.append(y)
        start += count
    assert cache.position == start
    return jnp.concatenate(found)


@pytest.mark.parametrize("kv_heads", [2, 1])
@pytest.mark.parametrize("rotary", [False, True], ids=["plain", "rotary"])
@pytest.mark.parametrize(
    "options",
    [{}, {"window": (2, 0)}, {"softcap": 2.0, "scale": 0.7}],
    ids=["all", "window", "cap"],
)
def test_prompt_and_tokens_give_what_the_whole_gives(kv_heads, rotary, options):
    layer = MultiheadAttention(2, SIZE, num_kv_heads=kv_heads, key=KEY)
    more = {"process_heads": turned(0)} if rotary else {}
    whole = layer(X, X, X, is_causal=True, **more, **options)
    for parts in ((LENGTH,), (4, 1, 1, 1), (2, 2, 3)):
        close(in_parts(layer, parts, layer.init_cache(10), options, rotary=rotary), whole)
    if "window" in options:
        ring = layer.init_cache(5, ring=True)
        close(in_parts(layer, (3, 1, 1, 2), ring, options, rotary=rotary), whole)


def test_masks_and_biases_are_of_the_rows_of_the_cache():
    layer, cache = MultiheadAttention(2, SIZE, key=KEY), None
    bias = jax.random.normal(KEY, (2, LENGTH, 10))
    whole = layer(X, X, X, is_causal=True, bias=bias[..., :LENGTH])
    cache = layer.init_cache(10)
    first, cache = layer(X[:4], X[:4], X[:4], cache=cache, bias=bias[:, :4])
    mask = jnp.ones((3, 10), bool)
    last, cache = layer(X[4:], X[4:], X[4:], mask, cache=cache, bias=bias[:, 4:])
    close(jnp.concatenate([first, last]), whole)


def test_in_a_batch_and_in_a_loop():
    layer = MultiheadAttention(2, SIZE, key=KEY)
    xs = jnp.stack([X, X[::-1]])
    whole = jax.vmap(lambda x: layer(x, x, x, is_causal=True))(xs)

    def token(cache, x):
        y, cache = filter_vmap(lambda x, cache: layer(x, x, x, cache=cache))(x[:, None], cache)
        return cache, y[:, 0]

    cache = layer.init_cache(LENGTH, batch=2)
    cache, ys = jax.jit(lambda c: jax.lax.scan(token, c, xs.swapaxes(0, 1)))(cache)
    close(ys.swapaxes(0, 1), whole)
    assert cache.position.tolist() == [LENGTH, LENGTH]


def test_is_written_in_place():
    layer, x = MultiheadAttention(2, SIZE, key=KEY), X[:1]
    cache = layer.init_cache(4096)
    program = filter_jit(lambda x, cache: layer(x, x, x, cache=cache), donate="all-except-first")
    lowered = program.lower(x, cache).compile()
    held = cache.key.nbytes + cache.value.nbytes
    memory = lowered.compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= held
    assert memory.temp_size_in_bytes < held / 2


def test_dtypes():
    layer = MultiheadAttention(2, SIZE, key=KEY)
    cache = layer.init_cache(8, jnp.bfloat16)
    y, cache = layer(X, X, X, cache=cache)
    assert (cache.key.dtype, y.dtype) == (jnp.bfloat16, jnp.float32)
    close(y, layer(X, X, X, is_causal=True), 5e-2)


class TestRefusals:
    def test_a_cache_of_another_layer(self):
        other = MultiheadAttention(2, 8, key=KEY).init_cache(4)
        layer, x = MultiheadAttention(2, 16, key=KEY), jnp.ones((1, 16))
        with pytest.raises(
            ValueError, match="2 heads of size 4 for each `key`, and was given 2 of"
        ):
            layer(x, x, x, cache=other)

    def test_a_cache_that_is_full(self):
        layer = MultiheadAttention(2, SIZE, key=KEY)
        _, cache = layer(X, X, X, cache=layer.init_cache(LENGTH))
        with pytest.raises(EquinoxRuntimeError, match="`Cache` of 7 tokens is full"):
            jax.block_until_ready(step(layer, X[:1], cache, {}, False))
        with pytest.raises(ValueError, match="holds 3 tokens, and was given 7 at once"):
            layer(X, X, X, cache=layer.init_cache(3))

    def test_a_ring_that_forgets_too_early(self):
        layer = MultiheadAttention(2, SIZE, key=KEY)
        with pytest.raises(ValueError, match="with 3 new tokens it needs 6 rows"):
            layer(X[:3], X[:3], X[:3], cache=layer.init_cache(5, ring=True), window=(3, 0))
        with pytest.raises(ValueError, match="it needs a window"):
            layer(X[:3], X[:3], X[:3], cache=layer.init_cache(5, ring=True))

    @pytest.mark.parametrize(
        ("length", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)]
    )
    def test_lengths(self, length, error):
        with pytest.raises(error, match="length"):
            MultiheadAttention(2, SIZE, key=KEY).init_cache(length)
