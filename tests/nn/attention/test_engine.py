"""What attention may be asked for: heads, options, ways to compute, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, tree_at, tree_equal
from eqx_nn import Dropout, MultiheadAttention, RotaryPositionalEmbedding, dot_product_attention

KEY = jax.random.key(0)
ROWS, COLUMNS = 6, 8


def normal(seed, *shape):
    """Made by NumPy, since it is made in each process."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


Q, K, V = normal(0, ROWS, 4), normal(1, COLUMNS, 4), normal(2, COLUMNS, 3)
HEADS_Q, HEADS_K, HEADS_V = (
    normal(3, ROWS, 4, 8),
    normal(4, COLUMNS, 2, 8),
    normal(5, COLUMNS, 2, 3),
)


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


class TestOneHead:
    def test_options_are_masks_written_out(self):
        causal = np.tri(ROWS, COLUMNS, dtype=bool)
        near = np.abs(np.subtract.outer(np.arange(ROWS), np.arange(COLUMNS))) <= 2
        ids = jnp.arange(ROWS) // 3, jnp.arange(COLUMNS) // 3
        together = np.equal.outer(*map(np.asarray, ids))
        there = np.arange(COLUMNS)[None].repeat(ROWS, 0) < 5
        cases = [
            ({"is_causal": True}, causal),
            ({"window": 2}, near),
            ({"window": (2, None)}, near | ~causal),
            ({"window": (None, 0)}, causal),
            ({"window": 2, "is_causal": True}, near & causal),
            ({"segment_ids": ids}, together),
            ({"length": 5}, there),
            ({"is_causal": True, "offset": 2}, np.tri(ROWS, COLUMNS, 2, dtype=bool)),
            ({"is_causal": True, "length": 5, "mask": jnp.asarray(near)}, near & causal & there),
        ]
        for options, mask in cases:
            got = dot_product_attention(Q, K, V, **options)
            close(got, dot_product_attention(Q, K, V, mask=jnp.asarray(mask)))

    def test_scale_softcap_and_bias(self):
        plain = dot_product_attention(Q, K, V)
        close(dot_product_attention(Q, K, V, scale=0.5), plain)
        close(dot_product_attention(Q, K, V, softcap=1e4), plain, 1e-4)
        close(dot_product_attention(Q, K, V, bias=jnp.full((1, COLUMNS), 3.0)), plain)
        bias = normal(6, ROWS, COLUMNS)
        weights = jax.nn.softmax(Q @ K.T / 2 + bias)
        close(dot_product_attention(Q, K, V, bias=bias), weights @ V)

    def test_as_jax_has_it(self):
        theirs = jax.nn.dot_product_attention(HEADS_Q, HEADS_K, HEADS_K, is_causal=True)
        close(dot_product_attention(HEADS_Q, HEADS_K, HEADS_K, is_causal=True), theirs)

    @pytest.mark.parametrize("implementation", ["plain", "blockwise"])
    def test_what_stands_in_the_padding_has_no_part(self, implementation):
        options = {"length": 5, "implementation": implementation}

        @jax.jit
        def grads(q, k, v):
            def loss(*arrays):
                return jnp.sum(dot_product_attention(*arrays, **options) ** 2)

            return jax.value_and_grad(loss, (0, 1, 2))(q, k, v)

        padded = [x.at[5:].set(jnp.nan) for x in (K, V)]
        jax.tree.map(close, grads(Q, *padded), grads(Q, K.at[5:].set(0), V.at[5:].set(0)))

    def test_no_keys_and_no_queries(self):
        for options in ({"is_causal": True}, {"window": 2}):
            assert not jnp.any(dot_product_attention(Q, K[:0], V[:0], **options))
            assert dot_product_attention(Q[:0], K, V, **options).shape == (0, 3)


class TestHeads:
    def test_each_serves_as_many_queries_in_a_row(self):
        got = dot_product_attention(HEADS_Q, HEADS_K, HEADS_V)
        for head in range(4):
            own = HEADS_Q[:, head], HEADS_K[:, head // 2], HEADS_V[:, head // 2]
            close(got[:, head], dot_product_attention(*own))

    @pytest.mark.parametrize("implementation", ["plain", "blockwise"])
    def test_masks_and_biases_of_each_head(self, implementation):
        mask = jax.random.bernoulli(KEY, 0.5, (4, ROWS, COLUMNS))
        bias = normal(7, 4, 1, COLUMNS)
        options = {"is_causal": True, "implementation": implementation}
        traced = filter_jit(
            lambda mask: dot_product_attention(
                HEADS_Q, HEADS_K, HEADS_V, mask, bias=bias, **options
            )
        )
        got = traced(mask)
        for head in range(4):
            own = HEADS_Q[:, head], HEADS_K[:, head // 2], HEADS_V[:, head // 2]
            seen = mask[head] & np.tri(ROWS, COLUMNS, dtype=bool)
            close(got[:, head], dot_product_attention(*own, seen, bias=bias[head]))


@pytest.mark.parametrize("implementation", ["plain", "blockwise", None])
class TestWays:
    def test_give_the_same(self, implementation):
        got = dot_product_attention(Q, K, V, implementation=implementation)
        close(got, dot_product_attention(Q, K, V))

    def test_long_sequences(self, implementation):
        q, k, v = (normal(i, 600, 1, 4) for i in range(3))
        got = dot_product_attention(q, k, v, implementation=implementation)
        close(got[:, 0], dot_product_attention(q[:, 0], k[:, 0], v[:, 0]))

    def test_dropout(self, implementation):
        options = {"dropout": Dropout(0.5), "implementation": implementation, "is_causal": True}
        one, again, other = (
            dot_product_attention(Q, K, V, key=jax.random.key(seed), **options)
            for seed in (0, 0, 1)
        )
        assert tree_equal(one, again)
        assert not tree_equal(one, other)
        still = dot_product_attention(Q, K, V, inference=True, **options)
        close(still, dot_product_attention(Q, K, V, is_causal=True))
        raw = jax.random.PRNGKey(0)
        assert dot_product_attention(Q, K, V, key=raw, **options).shape == (ROWS, 3)


def test_long_sequences_go_block_by_block_and_sooner_where_blocks_are_skipped():
    def goes_by_blocks(length, **options):
        q = jax.ShapeDtypeStruct((length, 2, 4), jnp.float32)
        attend = lambda q: dot_product_attention(q, q, q, **options)  # noqa: E731
        return " attention[" in str(jax.make_jaxpr(attend)(q))

    assert goes_by_blocks(1024)
    assert not goes_by_blocks(1023)
    assert goes_by_blocks(512, is_causal=True)
    assert goes_by_blocks(512, window=3)
    assert not goes_by_blocks(511, window=3)


class TestMultihead:
    def test_options_are_those_of_the_function(self):
        layer, x = MultiheadAttention(2, 8, key=KEY), normal(0, ROWS, 8)
        causal = jnp.tri(ROWS, dtype=bool)
        close(layer(x, x, x, is_causal=True), layer(x, x, x, mask=causal))
        close(layer(x, x, x, implementation="blockwise"), layer(x, x, x))
        turn = RotaryPositionalEmbedding(4)

        def process(q, k, v):
            turned = jax.vmap(turn, in_axes=1, out_axes=1)
            return turned(q), turned(k), v

        options = {"process_heads": process}
        got = layer(x, x, x, window=(None, 0), **options)
        close(got, layer(x, x, x, mask=causal, **options))

    @pytest.mark.parametrize("kv_heads", [1, 2, 4])
    def test_fewer_heads_of_keys_and_values(self, kv_heads):
        layer = MultiheadAttention(4, 8, num_kv_heads=kv_heads, key=KEY)
        assert layer.key_proj.weight.shape == (2 * kv_heads, 8)
        whole = MultiheadAttention(4, 8, key=KEY)
        for name in ("key_proj", "value_proj"):
            weight = getattr(layer, name).weight.reshape(kv_heads, 2, 8)
            repeated = jnp.repeat(weight, 4 // kv_heads, 0).reshape(8, 8)
            whole = tree_at(f"{name}.weight", whole, repeated)
        for name in ("query_proj", "output_proj"):
            whole = tree_at(f"{name}.weight", whole, getattr(layer, name).weight)
        x = normal(0, ROWS, 8)
        close(layer(x, x, x), whole(x, x, x))

    def test_without_options_nothing_has_changed(self):
        layer, x = MultiheadAttention(2, 8, dropout_p=0.5, key=KEY), normal(0, ROWS, 8)
        same = MultiheadAttention(2, 8, dropout_p=0.5, num_kv_heads=2, key=KEY)
        assert tree_equal(same, layer)
        q, k, v = (jax.vmap(p)(x) for p in (layer.query_proj, layer.key_proj, layer.value_proj))
        heads = [
            dot_product_attention(*(y[:, i * 4 : i * 4 + 4] for y in (q, k, v))) for i in range(2)
        ]
        expected = jax.vmap(layer.output_proj)(jnp.concatenate(heads, -1))
        close(layer(x, x, x, inference=True), expected)

    def test_dropout(self):
        layer, x = MultiheadAttention(2, 8, dropout_p=0.5, key=KEY), normal(0, ROWS, 8)
        got = layer(x, x, x, is_causal=True, key=KEY)
        assert not tree_equal(got, layer(x, x, x, is_causal=True, inference=True))
        with pytest.raises(RuntimeError, match="requires a `key` where its dropout drops"):
            layer(x, x, x, is_causal=True)


class TestRefusals:
    def test_heads_that_do_not_divide(self):
        with pytest.raises(ValueError, match="got 4, 3 and 3 heads, of shapes"):
            dot_product_attention(HEADS_Q, normal(0, 8, 3, 8), normal(0, 8, 3, 3))
        with pytest.raises(ValueError, match="a `num_kv_heads` that divides `num_heads=4`; got 3"):
            MultiheadAttention(4, 8, num_kv_heads=3, key=KEY)
        with pytest.raises(ValueError, match="got 0"):
            MultiheadAttention(4, 8, num_kv_heads=0, key=KEY)

    def test_shapes(self):
        with pytest.raises(
            ValueError, match=r"expects `query`, `key_` and `value` as matrices, or"
        ):
            dot_product_attention(HEADS_Q, K, V, is_causal=True)
        with pytest.raises(ValueError, match=r"broadcasts to \(heads, q_length, kv_length\)"):
            dot_product_attention(Q, K, V, bias=jnp.ones((3, 3)))
        with pytest.raises(ValueError, match="`key_` and `value` of equal length, got 8 and 6"):
            dot_product_attention(Q, K, V[:6], is_causal=True)
        with pytest.raises(ValueError, match="`query` and `key_` of equal size"):
            dot_product_attention(Q, K[:, :2], V, is_causal=True)

    @pytest.mark.parametrize("window", [-1, (1, -2), (1,), (1, 2, 3), 1.5, (True, 1)])
    def test_windows(self, window):
        with pytest.raises(ValueError, match="two numbers from 0 on or None for all; got"):
            dot_product_attention(Q, K, V, window=window)

    def test_segments_of_another_length(self):
        with pytest.raises(
            ValueError, match=r"of shapes \(6,\) and \(8,\); got \(\(6,\), \(6,\)\)"
        ):
            dot_product_attention(Q, K, V, segment_ids=jnp.zeros(6))

    def test_what_contradicts(self):
        mask = np.ones((ROWS, COLUMNS), bool)
        mask[2, :3] = False
        with pytest.raises(ValueError, match="that contradict: in head 0, query 2 may see only"):
            dot_product_attention(Q, K, V, jnp.asarray(mask), is_causal=True)
        with pytest.raises(
            ValueError, match=r"lets a query see 1 keys after its own. Pass \(2, 0\)"
        ):
            dot_product_attention(Q, K, V, window=(2, 1), is_causal=True)

    def test_ways_that_cannot_serve(self):
        with pytest.raises(
            ValueError, match='is one of "plain", "blockwise", "cudnn"; got \'fast\''
        ):
            dot_product_attention(Q, K, V, implementation="fast")
        with pytest.raises(ValueError, match=r"cuDNN (is for NVIDIA's GPUs|takes float16)"):
            dot_product_attention(Q, K, V, implementation="cudnn")
        with pytest.raises(ValueError, match="complex numbers have no largest score"):
            dot_product_attention(Q + 0j, K, V, implementation="blockwise")

    @pytest.mark.parametrize("name", ["length", "offset"])
    def test_places_are_integers(self, name):
        for value in (1.5, jnp.ones(3, int)):
            with pytest.raises(ValueError, match=f"as `{name}` an integer of shape"):
                dot_product_attention(Q, K, V, is_causal=True, **{name: value})

    def test_numbers_are_known_while_tracing(self):
        for name in ("scale", "softcap"):
            with pytest.raises(TypeError, match=f"a `{name}` that is traced; it is a number"):
                jax.jit(lambda x, name=name: dot_product_attention(Q, K, V, **{name: x}))(1.0)
        with pytest.raises(ValueError, match="a `softcap` from 0 on, 0 for none; got -1"):
            dot_product_attention(Q, K, V, softcap=-1)

    def test_another_kind_of_dropout(self):
        with pytest.raises(TypeError, match="drops by a `Dropout` where it is asked for more"):
            dot_product_attention(Q, K, V, dropout=lambda x, **_: x, is_causal=True)
