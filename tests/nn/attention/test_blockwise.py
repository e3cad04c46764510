"""Attention block by block: results and derivatives of the plain formula, and less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_nn.attention import _blocks
from eqx_nn.attention._blockwise import blockwise
from eqx_nn.attention._plain import plain
from eqx_nn.attention._request import Extras, Request

HEADS, KV_HEADS, ROWS, COLUMNS, SIZE, V_SIZE = 4, 2, 37, 53, 8, 6


def normal(seed, *shape):
    """Made by NumPy, since it is made in each process."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


Q, K = normal(0, HEADS, ROWS, SIZE), normal(1, KV_HEADS, COLUMNS, SIZE)
V, COTANGENT = normal(2, KV_HEADS, COLUMNS, V_SIZE), normal(3, HEADS, ROWS, V_SIZE)
MASK = jax.random.bernoulli(jax.random.key(4), 0.5, (1, ROWS, COLUMNS)).at[0, 3].set(False)
BIAS = normal(5, HEADS, 1, COLUMNS)
SEGMENTS = {"q_segments": jnp.arange(ROWS) // 20, "kv_segments": jnp.arange(COLUMNS) // 18}
REQUESTS = {
    "nothing more": (Request(0.3), Extras()),
    "causal": (Request(0.3, is_causal=True), Extras()),
    "window": (Request(0.3, window=(5, 3)), Extras()),
    "causal window": (Request(0.3, is_causal=True, window=(4, None)), Extras()),
    "mask": (Request(0.3), Extras(mask=MASK)),
    "bias": (Request(0.3), Extras(bias=BIAS)),
    "segments": (Request(0.3), Extras(**SEGMENTS)),
    "softcap": (Request(0.3, softcap=2.0), Extras()),
    "offset": (Request(0.3, is_causal=True), Extras(offset=jnp.asarray(10))),
    "length": (Request(0.3), Extras(length=jnp.asarray(30))),
    "all": (
        Request(0.3, is_causal=True, window=(20, None), softcap=5.0),
        Extras(BIAS, MASK, **SEGMENTS, offset=jnp.asarray(16), length=jnp.asarray(50)),
    ),
}


def by_numpy(q, k, v, extras, request):
    """The formula in float64, pair by pair of what may meet."""
    bias, mask, q_segments, kv_segments, offset, length, *_ = extras
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[0] // k.shape[0], 0) for x in (k, v))
    scores = request.scale * np.einsum("hsd,hSd->hsS", q, k)
    if request.softcap:
        scores = request.softcap * np.tanh(scores / request.softcap)
    scores = scores if bias is None else scores + np.asarray(bias, np.float64)
    rows, columns = np.ogrid[: q.shape[1], : k.shape[1]]
    places = rows + (0 if offset is None else int(offset))
    seen = (
        np.ones(scores.shape, bool)
        if mask is None
        else np.asarray(mask) & np.ones_like(scores, bool)
    )
    seen &= columns < (k.shape[1] if length is None else int(length))
    left, right = request.window
    if request.is_causal:
        seen &= columns <= places
    if left is not None:
        seen &= places - columns <= left
    if right is not None:
        seen &= columns - places <= right
    if q_segments is not None:
        seen &= np.asarray(q_segments)[:, None] == np.asarray(kv_segments)[None]
    scores = np.where(seen, scores, np.where(seen.any(-1, keepdims=True), -np.inf, 0))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hsS,hSd->hsd", weights / weights.sum(-1, keepdims=True), v)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "ROWS", 16)
    monkeypatch.setattr(_blocks, "COLUMNS", 32)


def close(one, other, rtol=1e-4, atol=2e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), one, other)


def arrays_of(extras):
    return (Q, K, V) if extras.bias is None else (Q, K, V, extras.bias)


def of(compute, extras, request):
    """Attention as a function of what has a derivative."""

    def call(q, k, v, bias=None):
        return compute(q, k, v, extras._replace(bias=bias), request)

    return call


@pytest.mark.parametrize("name", REQUESTS)
def test_result_gradient_and_tangent(name):
    request, extras = REQUESTS[name]
    arrays = arrays_of(extras)
    moved = tuple(map(jnp.cos, arrays))

    def everything(compute):
        call = of(compute, extras, request)

        @jax.jit
        def run(arrays, moved):
            out, back = jax.vjp(call, *arrays)
            return out, back(COTANGENT), jax.jvp(call, arrays, moved)[1]

        return run(arrays, moved)

    ours = everything(blockwise)
    close(ours, everything(plain))
    close(ours[0], by_numpy(Q, K, V, extras, request))


@pytest.mark.parametrize("name", ["nothing more", "all"])
def test_second_derivatives(name):
    request, extras = REQUESTS[name]
    arrays = arrays_of(extras)

    def everything(compute):
        def loss(*arrays):
            return jnp.sum(of(compute, extras, request)(*arrays) * COTANGENT)

        places = tuple(range(len(arrays)))

        def length(*arrays):
            grads = jax.grad(loss, places)(*arrays)
            return sum(jnp.sum(it**2) for it in grads)

        @jax.jit
        def run(*arrays):
            forward = jax.jvp(jax.grad(loss), arrays, arrays)[1]
            return jax.grad(length, places)(*arrays), forward

        return run(*arrays)

    close(everything(blockwise), everything(plain), rtol=1e-3, atol=1e-3)


def test_padding_does_not_overflow():
    bias = jnp.full((1, 1, COLUMNS), 1e4)

    def grads(compute):
        def loss(*arrays):
            return jnp.sum(of(compute, Extras(), Request(0.3))(*arrays) * COTANGENT)

        return jax.jit(jax.grad(loss, (0, 1, 2, 3)))(Q, K, V, bias)

    close(grads(blockwise), grads(plain), atol=1e-3)


def test_under_vmap_of_grad():
    request, extras = REQUESTS["all"]
    qs = jnp.stack([Q, 2 * Q])

    def grads(compute):
        def loss(q, k):
            return jnp.sum(compute(q, k, V, extras, request) * COTANGENT)

        return jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None)))(qs, K)

    close(grads(blockwise), grads(plain))


@pytest.mark.parametrize("lengths", [(1, 53), (37, 1), (16, 32), (1, 1), (5, 100)])
def test_lengths_that_blocks_do_not_divide(lengths):
    rows, columns = lengths
    q, k, v = normal(6, 4, rows, 8), normal(7, 2, columns, 8), normal(8, 2, columns, 6)

    def everything(compute):
        def loss(*arrays):
            return jnp.sum(jnp.sin(compute(*arrays, Extras(), Request(0.3))))

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(q, k, v)

    close(everything(blockwise), everything(plain))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_in_few_bits(dtype):
    half = [x.astype(dtype) for x in (Q, K, V)]
    out = blockwise(*half, *REQUESTS["causal"][::-1])
    assert out.dtype == dtype
    exact = by_numpy(*half, Extras(), REQUESTS["causal"][0])
    close(out.astype(jnp.float32), exact, rtol=0, atol=8 * float(jnp.finfo(dtype).eps))


def test_dropout_is_the_same_in_each_pass_and_keeps_the_mean():
    request = Request(0.3, dropout=True)
    ones = jnp.ones((KV_HEADS, COLUMNS, 1))

    def call(v, seed):
        extras = Extras(key=jax.random.key_data(jax.random.key(seed)), rate=jnp.asarray(0.5))
        return blockwise(Q, K, v, extras, request)

    @jax.jit
    def both(v, seed):
        out, back = jax.vjp(lambda v: call(v, seed), v)
        return out, back(jnp.ones_like(out))[0]

    out, gradient = both(ones, 0)
    close(jnp.sum(out), jnp.sum(gradient))  # it is linear in the values
    assert jnp.std(out) > 0.05
    means = [jnp.mean(both(ones, seed)[0]) for seed in range(8)]
    assert abs(np.mean(means) - 1) < 0.05
    nothing = Extras(key=jax.random.key_data(jax.random.key(0)), rate=jnp.asarray(1.0))
    assert not jnp.any(blockwise(Q, K, ones, nothing, request))


def test_memory_is_that_of_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "ROWS", 128)
    monkeypatch.setattr(_blocks, "COLUMNS", 128)
    q = jax.ShapeDtypeStruct((2, 2048, 8), jnp.float32)

    def temporary(compute):
        def loss(q, k, v):
            return jnp.sum(compute(q, k, v, Extras(), Request(1.0)) ** 2)

        program = jax.jit(jax.grad(loss, (0, 1, 2))).lower(q, q, q).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporary(blockwise) < temporary(plain) / 10


def test_a_length_beyond_the_keys_lets_no_padding_be_seen():
    extras = Extras(length=jnp.asarray(60))  # of 53 keys, padded to 64

    def grads(extras):
        def loss(q, k, v):
            return jnp.sum(blockwise(q, k, v, extras, Request(0.3)) * COTANGENT)

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(Q, K, V)

    close(grads(extras), grads(Extras()))


def test_each_member_of_a_batch_has_its_own_length_offset_and_segments():
    def call(compute, length, offset, segments):
        extras = Extras(q_segments=segments, kv_segments=SEGMENTS["kv_segments"])
        extras = extras._replace(length=length, offset=offset)
        return compute(Q, K, V, extras, Request(0.3, is_causal=True, window=(9, None)))

    ids = SEGMENTS["q_segments"]
    arrays = jnp.array([7, 50]), jnp.array([0, 16]), jnp.stack([ids, ids[::-1]])
    both = [jax.jit(jax.vmap(lambda *it, f=f: call(f, *it)))(*arrays) for f in (blockwise, plain)]
    close(*both)


@pytest.fixture
def count_blocks(monkeypatch):
    """Give how many blocks are computed for a request, of 32 queries and keys in blocks of 16."""
    counted = []
    original = _blocks.scores

    def scores(*args):
        jax.debug.callback(lambda: counted.append(1))
        return original(*args)

    monkeypatch.setattr(_blocks, "scores", scores)
    monkeypatch.setattr(_blocks, "COLUMNS", 16)

    def count(request, **extras):
        counted.clear()
        out = blockwise(Q[:, :32], K[:, :32], V[:, :32], Extras(**extras), request)
        jax.block_until_ready(out)
        jax.effects_barrier()
        return len(counted)

    return count


def test_blocks_that_nobody_sees_are_skipped(count_blocks):
    ids = jnp.arange(32) // 16
    segments = {"q_segments": ids, "kv_segments": ids}
    assert count_blocks(Request(0.3)) == 4
    assert count_blocks(Request(0.3, is_causal=True)) == 3
    assert count_blocks(Request(0.3, window=(0, 0))) == 2
    assert count_blocks(Request(0.3, window=(0, 0)), offset=jnp.asarray(16)) == 1
    assert count_blocks(Request(0.3), length=jnp.asarray(16)) == 2
    assert count_blocks(Request(0.3), **segments) == 2
