"""Positions: the equations they are from, one by one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import EquinoxRuntimeError, filter_jit
from eqx_nn import (
    LearnedPositions,
    RotaryPositionalEmbedding,
    ScaledRotaryEmbedding,
    SinusoidalPositions,
    alibi_bias,
    dot_product_attention,
)

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (5, 8))


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


class TestSinusoidal:
    def test_is_the_equation(self):
        waves = np.zeros((5, 7))
        for place in range(5):
            for i in range(7):
                angle = place / 10_000 ** (2 * (i // 2) / 7)
                waves[place, i] = math.cos(angle) if i % 2 else math.sin(angle)
        close(SinusoidalPositions(7)(X[:, :7]), X[:, :7] + waves)

    def test_offset_and_dtype(self):
        layer, zeros = SinusoidalPositions(8), jnp.zeros((5, 8))
        close(layer(zeros[:2], offset=jnp.asarray(3)), layer(zeros)[3:])
        with jax.numpy_dtype_promotion("strict"):
            assert layer(X.astype(jnp.bfloat16)).dtype == jnp.bfloat16

    def test_another_shape(self):
        with pytest.raises(ValueError, match=r"`SinusoidalPositions` expects .* \(5, 6\)"):
            SinusoidalPositions(6)(X)


class TestLearned:
    def test_adds_rows(self):
        layer = LearnedPositions(7, 8, key=KEY)
        assert layer.weight.shape == (7, 8)
        close(layer(X), X + layer.weight[:5])
        close(layer(X, offset=2), X + layer.weight[2:])
        close(filter_jit(layer)(X, offset=jnp.asarray(1)), X + layer.weight[1:6])

    def test_beyond_the_last(self):
        layer = LearnedPositions(4, 8, key=KEY)
        with pytest.raises(ValueError, match="has 4 positions, and was given 5 rows"):
            layer(X)
        with pytest.raises(EquinoxRuntimeError, match="has 4 positions: 2 rows from this `offset`"):
            jax.block_until_ready(layer(X[:2], offset=3))
        with pytest.raises(ValueError, match=r"expects `x` of shape \(5, 8\), got shape \(5, 6\)"):
            layer(X[:, :6])


class TestAlibi:
    @pytest.mark.parametrize("heads", [1, 2, 8, 6, 12])
    def test_is_the_bias_by_distance(self, heads):
        x = jax.random.normal(KEY, (5, heads, 4))
        bias = alibi_bias(heads, 5)
        assert bias.shape == (heads, 1, 5)
        slopes = bias[:, 0, 1] - bias[:, 0, 0]
        by_distance = -slopes[:, None, None] * np.subtract.outer(np.arange(5), np.arange(5))
        got = dot_product_attention(x, x, x, bias=bias, is_causal=True)
        close(got, dot_product_attention(x, x, x, bias=by_distance, is_causal=True))

    def test_slopes_fall_by_halves(self):
        bias = alibi_bias(8, 2)
        close(bias[:, 0, 1] - bias[:, 0, 0], [2.0**-i for i in range(1, 9)])


class TestScaledRotary:
    def test_by_a_factor_of_one_nothing_is_scaled(self):
        for method in ("linear", "ntk", "yarn"):
            layer = ScaledRotaryEmbedding(8, method=method, factor=1.0)
            close(layer(X), RotaryPositionalEmbedding(8)(X))

    def test_linear_divides_positions(self):
        layer = ScaledRotaryEmbedding(8, method="linear", factor=2.0)
        close(layer(jnp.repeat(X, 2, 0))[::2], RotaryPositionalEmbedding(8)(X))

    def test_ntk_stretches_the_slowest_by_the_factor(self):
        plain = ScaledRotaryEmbedding(8, method="ntk", factor=1.0).frequencies()[0]
        scaled = ScaledRotaryEmbedding(8, method="ntk", factor=4.0).frequencies()[0]
        close(scaled[0], plain[0])
        close(scaled[-1], plain[-1] / 4)

    def test_yarn_mixes_by_turns(self):
        layer = ScaledRotaryEmbedding(64, factor=4.0, original_length=256)
        plain = ScaledRotaryEmbedding(64, factor=1.0).frequencies()[0]
        ratio = layer.frequencies()[0] / plain
        turns = 256 * np.asarray(plain) / (2 * np.pi)
        close(ratio[turns > 32], np.ones((turns > 32).sum()))
        close(ratio[turns < 1], np.full((turns < 1).sum(), 0.25))
        assert np.all(np.diff(ratio) <= 1e-6)
        lengths = np.linalg.norm(layer(jnp.ones((3, 64))), axis=1)
        close(lengths, np.full(3, 8 * (0.1 * math.log(4) + 1)))

    def test_offset(self):
        layer = ScaledRotaryEmbedding(8, factor=2.0)
        close(layer(X[3:], offset=jnp.asarray(3)), layer(X)[3:])

    def test_refusals(self):
        with pytest.raises(ValueError, match='takes as `method` "linear", "ntk" or "yarn"'):
            ScaledRotaryEmbedding(8, method="log", factor=2.0)
        with pytest.raises(ValueError, match=r"a `factor` of at least 1; got 'yarn' and 0.5"):
            ScaledRotaryEmbedding(8, factor=0.5)
        with pytest.raises(ValueError, match="`ScaledRotaryEmbedding` expects `x` of shape"):
            ScaledRotaryEmbedding(4, factor=2.0)(X)
