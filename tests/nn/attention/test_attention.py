"""`MultiheadAttention`, and the attention of a single head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_grad, filter_jit, is_array, tree_at
from eqx_nn import (
    MLP,
    Dropout,
    Identity,
    Linear,
    MultiheadAttention,
    RotaryPositionalEmbedding,
    inference_mode,
)
from eqx_nn.attention._attention import dot_product_attention, dot_product_attention_weights
from eqx_pytree import tree_equal


def sequence(length, size, seed=0):
    return np.random.default_rng(seed).normal(size=(length, size)).astype(np.float32)


X = sequence(3, 4)
MASK = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], bool)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def affine(layer, x):
    y = x @ np.asarray(layer.weight, np.float64).T
    return y if layer.bias is None else y + np.asarray(layer.bias, np.float64)


def reference(layer, query, key, value, mask=None, process_heads=None):
    """Section 3.2 of Vaswani et al. (2017), a head and a query at a time."""
    count = layer.num_heads
    q, k, v = (
        affine(layer.query_proj, query),
        affine(layer.key_proj, key),
        affine(layer.value_proj, value),
    )
    q, k, v = (x.reshape(len(x), count, -1) for x in (q, k, v))
    if process_heads is not None:
        q, k, v = process_heads(q, k, v)
    heads = np.zeros((len(q), count, v.shape[2]))
    for head in range(count):
        for i in range(len(q)):
            logits = k[:, head] @ q[i, head] / np.sqrt(q.shape[2])
            if mask is not None:
                row = mask[i] if mask.ndim == 2 else mask[head, i]
                logits = np.where(row, logits, np.finfo(np.float32).min)
            heads[i, head] = softmax(logits) @ v[:, head]
    return affine(layer.output_proj, heads.reshape(len(q), -1))


@pytest.fixture
def attention(key):
    return MultiheadAttention(2, 4, key=key)


@pytest.fixture
def wide(key):
    """A layer whose sizes all differ, with every bias."""
    return MultiheadAttention(2, 4, 5, 6, 7, 3, 8, True, True, True, True, key=key)


def inputs(layer):
    sizes = layer.query_size, layer.key_size, layer.value_size
    return [sequence(n, size, n) for n, size in zip((5, 3, 3), sizes, strict=True)]


class TestForward:
    @pytest.mark.parametrize("num_heads", [1, 2, 4])
    def test_is_the_formula(self, key, num_heads):
        layer = MultiheadAttention(num_heads, 4, key=key)
        np.testing.assert_allclose(layer(X, X, X), reference(layer, X, X, X), rtol=1e-4, atol=1e-6)

    @settings(max_examples=6, deadline=None)
    @given(st.tuples(*[st.integers(1, 4)] * 7), st.integers(1, 5), st.integers(1, 5), st.booleans())
    def test_is_the_formula_for_all_sizes(self, sizes, q_length, kv_length, bias):
        layer = MultiheadAttention(*sizes, bias, bias, bias, bias, key=jax.random.key(1))
        query = sequence(q_length, layer.query_size)
        key, value = sequence(kv_length, layer.key_size), sequence(kv_length, layer.value_size)
        y = layer(query, key, value)
        assert y.shape == (q_length, layer.output_size)
        np.testing.assert_allclose(y, reference(layer, query, key, value), rtol=1e-3, atol=1e-5)

    def test_masks(self, attention):
        for mask in (MASK, np.stack([MASK, ~MASK]), MASK.astype(np.int32)):
            expected = reference(attention, X, X, X, mask)
            np.testing.assert_allclose(attention(X, X, X, mask), expected, rtol=1e-4, atol=1e-6)
            y = attention(X, X, X, jnp.asarray(mask))
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
    def test_floating_masks_are_booleans_and_warn(self, attention, dtype):
        mask = jnp.asarray(MASK, dtype)
        expected = reference(attention, X, X, X, MASK)
        rule = rf"`MultiheadAttention` was given a `mask` of dtype `{dtype}`.*as `mask == 0`"
        for call in (attention, filter_jit(attention)):
            with pytest.warns(UserWarning, match=rule) as caught:
                y = call(X, X, X, mask)
            assert len(caught) == 1
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)
        with pytest.warns(UserWarning, match=rule) as caught:
            attention(X, X, X, jnp.where(MASK, 0, -1e9).astype(dtype))
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        "call",
        [
            lambda mask: dot_product_attention(X, X, X, mask),
            lambda mask: dot_product_attention_weights(X, X, mask),
        ],
    )
    def test_floating_masks_of_one_head_warn(self, call):
        with pytest.warns(UserWarning, match=r"`dot_product_attention.*as `mask == 0`") as caught:
            y = call(MASK.astype(np.float32))
        assert [it.filename for it in caught] == [__file__]
        np.testing.assert_array_equal(y, call(MASK))

    @pytest.mark.parametrize("module", [np, jnp])
    def test_integer_masks_warn_if_a_number_is_negative(self, module):
        additive = module.where(MASK, 0, -(10**9))
        rule = r"`dot_product_attention_weights` was given a `mask` of dtype `int.*as `mask == 0`"
        with pytest.warns(UserWarning, match=rule) as caught:
            dot_product_attention_weights(X, X, additive)
        assert [it.filename for it in caught] == [__file__]
        for mask in (module.asarray(MASK, int), module.asarray(MASK, "uint8")):
            dot_product_attention_weights(X, X, mask)  # a warning would be an error
        dot_product_attention_weights(X[:0], X, module.zeros((0, 3), int))
        jax.jit(dot_product_attention_weights)(X, X, additive)  # is traced

    def test_a_query_without_keys_attends_to_all_alike(self, attention):
        mean = affine(attention.value_proj, X).mean(axis=0)
        expected = affine(attention.output_proj, mean)
        nothing = np.zeros((3, 3), bool)
        np.testing.assert_allclose(
            attention(X, X, X, nothing), np.stack([expected] * 3), rtol=1e-4, atol=1e-6
        )

    def test_what_is_masked_does_not_matter(self, attention):
        other = X.copy()
        other[2] = 1e3
        mask = np.array([[1, 1, 0]] * 3, bool)
        expected = attention(X, X[:2], X[:2])
        np.testing.assert_allclose(attention(X, X, X, mask), expected, rtol=1e-5, atol=1e-6)

    def test_order_of_keys_does_not_matter(self, wide):
        query, key, value = inputs(wide)
        np.testing.assert_allclose(
            wide(query, key[::-1], value[::-1]), wide(query, key, value), rtol=1e-4, atol=1e-6
        )

    def test_no_queries_and_no_keys(self, attention):
        assert attention(X[:0], X, X).shape == (0, 4)
        np.testing.assert_array_equal(attention(X, X[:0], X[:0]), np.zeros((3, 4)))

    def test_gradient_is_that_of_the_sum_written_out(self, wide):
        given = inputs(wide)

        def loss(layer, given):
            return jnp.sum(layer(*given) ** 2)

        def written_out(layer, given):
            q, k, v = (
                (x @ p.weight.T + p.bias).reshape(len(x), 2, -1)
                for x, p in zip(
                    given, (layer.query_proj, layer.key_proj, layer.value_proj), strict=True
                )
            )
            logits = jnp.einsum("shd,Shd->hsS", q, k) / np.sqrt(3)
            heads = jnp.einsum("hsS,Shd->shd", jax.nn.softmax(logits), v).reshape(5, -1)
            return jnp.sum((heads @ layer.output_proj.weight.T + layer.output_proj.bias) ** 2)

        expected = filter_jit(filter_grad(written_out))(wide, given)
        for grad in (filter_grad, lambda f: filter_jit(filter_grad(f))):
            given_grads = grad(loss)(wide, given)
            for a, b in zip(jax.tree.leaves(given_grads), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)

    def test_under_the_transformations(self, wide):
        given = [jnp.stack([x, 2 * x]) for x in inputs(wide)]
        expected = jnp.stack([wide(*(x[i] for x in given)) for i in range(2)])
        for mapped in (jax.vmap(wide), jax.jit(jax.vmap(wide))):
            np.testing.assert_allclose(mapped(*given), expected, rtol=1e-4, atol=1e-6)
        with jax.disable_jit():
            np.testing.assert_allclose(wide(*inputs(wide)), expected[0], rtol=1e-4, atol=1e-6)

    def test_operations_carry_the_name_of_the_layer(self, attention, program_text):
        assert "eqx.nn.MultiheadAttention" in program_text(attention, X, X, X)


class TestProcessHeads:
    def test_is_given_all_heads_and_replaces_them(self, wide):
        seen = []

        def process_heads(q, k, v):
            seen.append((q.shape, k.shape, v.shape))
            return 2 * q, -k, v + 1

        given = inputs(wide)
        y = wide(*given, process_heads=process_heads)
        assert seen == [((5, 2, 3), (3, 2, 3), (3, 2, 8))]
        expected = reference(wide, *given, process_heads=process_heads)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)

    def test_rotary_embedding_makes_scores_depend_on_distance(self, key):
        layer = MultiheadAttention(1, 4, key=key)
        rotary = jax.vmap(RotaryPositionalEmbedding(4), in_axes=1, out_axes=1)

        def process_heads(q, k, v):
            return rotary(q), rotary(k), v

        row = np.concatenate([np.ones((6, 4), np.float32)])
        mask = np.eye(6, k=-1, dtype=bool) | np.eye(6, k=0, dtype=bool)
        values = sequence(2, 4)[np.arange(6) % 2]
        y = layer(row, row, values, mask, process_heads=process_heads)
        np.testing.assert_allclose(y[1], y[3], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(y[2], y[4], rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(
        ("made", "error", "match"),
        [
            (lambda q, k, v: (q, k), ValueError, "three arrays, `.query, key, value.`"),
            (lambda q, k, v: None, TypeError, "three arrays"),
            (lambda q, k, v: (q[:1], k, v), ValueError, r"returned \(\(1, 2, 2\)"),
            (lambda q, k, v: (q, k, v[..., :1]), ValueError, "of the shapes"),
            (lambda q, k, v: (q, k, 1.0), ValueError, "of the shapes"),
        ],
        ids=["two", "none", "queries", "values", "number"],
    )
    def test_other_results_are_refused(self, attention, made, error, match):
        with pytest.raises(error, match=match):
            attention(X, X, X, process_heads=made)


class TestDropout:
    def test_drops_weights_of_each_head_with_a_key_of_its_own(self, key):
        layer = MultiheadAttention(2, 4, dropout_p=0.5, key=key)
        heads = [
            np.asarray(affine(p, X), np.float32).reshape(3, 2, 2)
            for p in (layer.query_proj, layer.key_proj, layer.value_proj)
        ]
        drop_key = jax.random.key(5)
        outs = []
        for head, head_key in enumerate(jax.random.split(drop_key, 2)):
            q, k, v = (x[:, head] for x in heads)
            weights = softmax(q @ k.T / np.sqrt(2))
            keep = jax.random.bernoulli(head_key, 0.5, (3, 3))
            outs.append(np.where(keep, weights / 0.5, 0) @ v)
        expected = affine(layer.output_proj, np.concatenate(outs, axis=1))
        for call in (layer, filter_jit(layer)):
            y = call(X, X, X, key=drop_key)
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)

    def test_inference(self, key):
        layer = MultiheadAttention(2, 4, dropout_p=0.5, key=key)
        plain = MultiheadAttention(2, 4, key=key)(X, X, X)
        still = MultiheadAttention(2, 4, dropout_p=0.5, inference=True, key=key)
        for y in (
            layer(X, X, X, inference=True),
            still(X, X, X),
            inference_mode(layer)(X, X, X),
            layer(X, X, X, inference=jnp.array(True)),
            tree_at(lambda m: m.dropout, layer, None, is_leaf=lambda x: x is None)(X, X, X),
        ):
            np.testing.assert_allclose(y, plain, rtol=1e-5, atol=1e-7)
        dropped = layer(X, X, X, key=key)
        assert tree_equal(still(X, X, X, key=key, inference=False), dropped)
        assert not np.allclose(dropped, plain)

    def test_key_is_needed(self, key):
        layer = MultiheadAttention(2, 4, dropout_p=0.5, key=key)
        with pytest.raises(RuntimeError, match="Dropout requires a key"):
            layer(X, X, X)

    def test_deterministic_is_deprecated_and_wins(self, key):
        layer = MultiheadAttention(2, 4, dropout_p=0.5, key=key)
        with pytest.warns(UserWarning, match="`deterministic` is the deprecated name") as seen:
            y = layer(X, X, X, deterministic=True, inference=False)
        assert seen[0].filename == __file__
        assert tree_equal(y, layer(X, X, X, inference=True))


class TestDtypes:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_strict_promotion_of_equal_dtypes(self, key, dtype):
        layer = MultiheadAttention(
            2, 4, use_query_bias=True, use_output_bias=True, dtype=dtype, key=key
        )
        x = jnp.asarray(X, dtype)
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            assert layer(x, x, x, MASK).dtype == dtype
            assert layer(x, x, x, process_heads=lambda *h: h).dtype == dtype

    def test_strict_promotion_refuses_unequal_dtypes(self, attention):
        x = jnp.asarray(X, "bfloat16")
        with (
            jax.numpy_dtype_promotion("strict"),
            pytest.raises(ValueError, match="no available implicit dtype promotion path"),
        ):
            attention(x, x, x)

    def test_softmax_of_half_precision_is_computed_in_single(self):
        query = jnp.asarray(sequence(4, 8), "bfloat16")
        key = jnp.asarray(sequence(40, 8, 1), "bfloat16")
        scaled = query / jnp.asarray(np.sqrt(8), "bfloat16")
        logits = np.asarray(jnp.einsum("sd,Sd->sS", scaled, key), np.float32)
        weights = dot_product_attention_weights(query, key)
        assert weights.dtype == jnp.bfloat16
        expected = jnp.asarray(softmax(logits), jnp.bfloat16)
        np.testing.assert_allclose(
            np.asarray(weights, np.float32), np.asarray(expected, np.float32), rtol=1e-2
        )

    @pytest.mark.usefixtures("x64")
    def test_64_bit_mode(self):
        layer = MultiheadAttention(2, 4, key=jax.random.key(0))
        x = X.astype(np.float64)
        y = layer(x, x, x)
        assert y.dtype == layer.query_proj.weight.dtype == jnp.float64
        np.testing.assert_allclose(y, reference(layer, x, x, x), rtol=1e-10)


class TestConstruction:
    def test_projections_are_drawn_as_linear_layers(self, key):
        layer = MultiheadAttention(2, 4, 5, 6, 7, 3, 8, use_key_bias=True, key=key)
        q, k, v, o = jax.random.split(key, 4)
        assert tree_equal(layer.query_proj, Linear(4, 6, use_bias=False, key=q))
        assert tree_equal(layer.key_proj, Linear(5, 6, key=k))
        assert tree_equal(layer.value_proj, Linear(6, 16, use_bias=False, key=v))
        assert tree_equal(layer.output_proj, Linear(16, 7, use_bias=False, key=o))

    def test_sizes_that_are_not_given(self, key):
        with pytest.warns(UserWarning, match="3 heads do not divide a size of 7") as caught:
            layer = MultiheadAttention(3, 7, key=key)
        assert [it.filename for it in caught] == [__file__]
        assert "pass `qk_size=2` and `vo_size=2`" in str(caught[0].message)
        assert (layer.key_size, layer.value_size, layer.output_size) == (7, 7, 7)
        assert (layer.qk_size, layer.vo_size) == (2, 2)
        assert layer(*[sequence(2, 7)] * 3).shape == (2, 7)

    def test_sizes_of_heads_that_are_given_are_not_warned_of(self, key):
        assert MultiheadAttention(3, 7, qk_size=2, vo_size=2, key=key).vo_size == 2
        with pytest.warns(UserWarning, match="so `vo_size` became 7 // 3 = 2"):
            MultiheadAttention(3, 7, qk_size=4, key=key)

    def test_traced_key_and_numpy_sizes(self, key):
        made = filter_jit(lambda k: MultiheadAttention(np.int64(2), np.int32(4), key=k))(key)
        expected = MultiheadAttention(2, 4, key=key)
        for name in ("query_proj", "key_proj", "value_proj", "output_proj"):
            assert tree_equal(getattr(made, name), getattr(expected, name))
        assert type(made.num_heads) is type(made.query_size) is int

    @pytest.mark.parametrize(
        ("sizes", "error", "match"),
        [
            ({"num_heads": 0}, ZeroDivisionError, "`num_heads` of at least 1"),
            ({"num_heads": -1}, ValueError, "as `num_heads`, got -1"),
            ({"num_heads": 2.0}, TypeError, "as `num_heads`, got 2.0"),
            ({"query_size": None}, TypeError, "as `query_size`, got None"),
            ({"key_size": -1}, ValueError, "as `key_size`"),
            ({"value_size": "a"}, TypeError, "as `value_size`"),
            ({"output_size": 2.5}, TypeError, "as `output_size`"),
            ({"qk_size": -1}, ValueError, "as `qk_size`"),
            ({"vo_size": "scalar"}, TypeError, "as `vo_size`"),
            ({"dropout_p": 2.0}, ValueError, "probability"),
            ({"dtype": int}, ValueError, "`dtype` must be"),
        ],
        ids=lambda x: next(iter(x)) if isinstance(x, dict) else None,
    )
    def test_mistakes(self, key, sizes, error, match):
        with pytest.raises(error, match=match):
            MultiheadAttention(**{"num_heads": 2, "query_size": 4, "key": key, **sizes})


class TestReplacedProjections:
    def test_any_layer_of_one_vector_will_do(self, attention, key):
        same = tree_at(lambda m: m.query_proj, attention, Identity())
        eye = tree_at(lambda m: m.query_proj.weight, attention, jnp.eye(4))
        np.testing.assert_allclose(same(X, X, X), eye(X, X, X), rtol=1e-4, atol=1e-6)
        deep = tree_at(lambda m: m.output_proj, attention, MLP(4, 7, 3, 1, key=key))
        assert deep(X, X, X).shape == (3, 7)
        flat = tree_at(lambda m: m.output_proj, attention, Linear(4, "scalar", key=key))
        assert flat(X, X, X).shape == (3,)

    def test_numpy_weights(self, attention):
        layer = jax.tree.map(lambda x: np.asarray(x) if is_array(x) else x, attention)
        np.testing.assert_allclose(layer(X, X, X), attention(X, X, X), rtol=1e-5, atol=1e-6)


class TestMistakes:
    @pytest.mark.parametrize(
        ("given", "error", "match"),
        [
            ((X[0], X, X), ValueError, r"`query` of shape \(q_length, 4\), got shape \(4,\)\.$"),
            ((X[None], X, X), ValueError, r"`query` .*use `jax.vmap\(layer\)`"),
            ((X, X[None], X), ValueError, r"`key_` of shape \(kv_length, 4\).*jax.vmap"),
            ((X[:, :3], X, X), TypeError, r"`query` .*got shape \(3, 3\)"),
            ((X, X[:, :3], X), TypeError, "`key_`"),
            ((X, X, X[:, :3]), TypeError, "`value`"),
            ((X, X[:2], X), ValueError, "`key_` and `value` of equal length, got 2 and 3"),
            ((X.tolist(), X, X), AttributeError, "array `query`; a `list`"),
            ((X, None, X), AttributeError, "array `key_`; a `NoneType`"),
            ((X, X, X, MASK[0]), ValueError, r"`mask` of shape .*\(3, 3\) or .*\(2, 3, 3\)"),
            ((X, X, X, MASK[None]), ValueError, r"`mask` .*got shape \(1, 3, 3\)"),
            ((X, X, X, MASK.tolist()), AttributeError, "array `mask`; a `list`"),
        ],
    )
    def test_of_inputs(self, attention, given, error, match):
        with pytest.raises(error, match=match):
            attention(*given)


class TestSingleHead:
    def test_is_the_formula(self):
        q, k, v = sequence(5, 2), sequence(3, 2, 1), sequence(3, 6, 2)
        weights = softmax(q @ k.T / np.sqrt(2))
        np.testing.assert_allclose(dot_product_attention_weights(q, k), weights, rtol=1e-4)
        np.testing.assert_allclose(
            dot_product_attention(q, k, v), weights @ v, rtol=1e-4, atol=1e-6
        )

    def test_mask(self):
        weights = np.asarray(dot_product_attention_weights(X, X, MASK))
        np.testing.assert_allclose(weights[1], np.full(3, 1 / 3), rtol=1e-6)
        assert weights[0, 2] == weights[2, 1] == 0
        y = dot_product_attention(X, X, X, MASK)
        np.testing.assert_allclose(y, weights @ X, rtol=1e-4, atol=1e-6)

    def test_dropout(self, key):
        y = dot_product_attention(X, X, X, None, Dropout(0.5), key=key)
        weights = Dropout(0.5)(dot_product_attention_weights(X, X), key=key)
        np.testing.assert_allclose(y, weights @ X, rtol=1e-4, atol=1e-6)
        still = dot_product_attention(X, X, X, dropout=Dropout(0.5), inference=True)
        assert tree_equal(still, dot_product_attention(X, X, X), rtol=1e-5)
        with pytest.raises(RuntimeError, match="requires a key"):
            dot_product_attention(X, X, X, dropout=Dropout(0.5))

    @pytest.mark.parametrize(
        ("given", "error", "match"),
        [
            ((X[0], X, X), ValueError, "matrix `query`"),
            ((X, X[None], X), ValueError, "matrix `key_`.*jax.vmap"),
            ((X, X[:, :2], X), ValueError, "`query` and `key_` of equal size"),
            ((X, X, X[:2]), ValueError, "equal length, got 3 and 2"),
            ((X, X, [1.0]), AttributeError, "array `value`"),
            ((X, X, X, MASK[:2]), ValueError, r"`mask` of shape .*\(3, 3\), got shape \(2, 3\)"),
        ],
    )
    def test_mistakes(self, given, error, match):
        with pytest.raises(error, match=match):
            dot_product_attention(*given)
