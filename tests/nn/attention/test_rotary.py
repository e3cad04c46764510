"""`RotaryPositionalEmbedding`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_jit
from eqx_nn import RotaryPositionalEmbedding
from eqx_nn.attention._rotary import _cached


def sequence(length, size, seed=0):
    return np.random.default_rng(seed).normal(size=(length, size)).astype(np.float32)


def reference(x, theta=10_000.0):
    """Each pair as a complex number, times `exp(i m theta^(-2j/d))`."""
    length, size = x.shape
    half = size // 2
    angles = np.outer(np.arange(length), float(theta) ** (-np.arange(half) * 2.0 / size))
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=1)


class TestForward:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 40), st.integers(1, 5), st.sampled_from([2.0, 100, 10_000.0]))
    def test_is_a_rotation_of_pairs(self, length, half, theta):
        x = sequence(length, 2 * half)
        rotary = RotaryPositionalEmbedding(2 * half, theta)
        y = jax.jit(rotary)(x)
        assert y.shape == x.shape
        np.testing.assert_allclose(y, reference(x, theta), rtol=1e-3, atol=1e-4)

    def test_dot_products_depend_on_distance_alone(self):
        q, k = (np.broadcast_to(sequence(1, 8, seed), (20, 8)) for seed in (1, 2))
        rotary = RotaryPositionalEmbedding(8)
        scores = np.asarray(rotary(q)) @ np.asarray(rotary(k)).T
        for distance in (-5, 0, 3):
            diagonal = np.diagonal(scores, distance)
            np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-3, atol=1e-4)

    def test_is_undone_by_its_transpose(self):
        rotary, x = RotaryPositionalEmbedding(6), jnp.asarray(sequence(9, 6))
        (back,) = jax.vjp(rotary, x)[1](rotary(x))
        np.testing.assert_allclose(back, x, rtol=1e-5, atol=1e-6)

    def test_under_the_transformations(self):
        x = jnp.asarray(np.stack([sequence(5, 4), sequence(5, 4, 1)]))
        rotary = RotaryPositionalEmbedding(4)
        expected = np.stack([reference(np.asarray(each)) for each in x])
        for mapped in (jax.vmap(rotary), filter_jit(jax.vmap(rotary))):
            np.testing.assert_allclose(mapped(x), expected, rtol=1e-4, atol=1e-5)

    def test_key_is_ignored_and_operations_are_named(self, key, program_text):
        rotary, x = RotaryPositionalEmbedding(4), sequence(3, 4)
        np.testing.assert_array_equal(rotary(x, key=key), rotary(x))
        assert "eqx.nn.RotaryPositionalEmbedding" in program_text(rotary, x)


class TestTables:
    def test_do_not_leak_tracers(self):
        rotary = RotaryPositionalEmbedding(4, theta=123.0)
        x = jnp.asarray(sequence(5, 4))
        with jax.checking_leaks():
            traced = jax.jit(rotary)(x)
        np.testing.assert_allclose(rotary(x), reference(np.asarray(x), 123.0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(traced, rotary(x), rtol=1e-5, atol=1e-6)

    def test_are_of_the_theta_and_the_mode_at_hand(self, request):
        x = sequence(5, 4)
        for theta in (10.0, 1000.0, 10.0):
            y = RotaryPositionalEmbedding(4, theta)(x)
            np.testing.assert_allclose(y, reference(x, theta), rtol=1e-4, atol=1e-5)
        rotary = RotaryPositionalEmbedding(4, 10.0, dtype=None)
        rotary(x)
        request.getfixturevalue("x64")
        y = rotary(x.astype(np.float64))
        np.testing.assert_allclose(y, reference(x.astype(np.float64), 10.0), rtol=1e-12)

    def test_are_kept_for_a_bounded_number_of_layers(self):
        for theta in range(2, 50):
            RotaryPositionalEmbedding(2, float(theta))(sequence(2, 2))
        assert _cached.cache_info().currsize <= _cached.cache_info().maxsize <= 16

    def test_are_shared_by_lengths(self):
        rotary = RotaryPositionalEmbedding(2, 7.5)
        before = _cached.cache_info().misses
        for length in (1, 5, 16, 3):
            rotary(sequence(length, 2))
        assert _cached.cache_info().misses == before + 1

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", None])
    def test_cosines_and_sines(self, dtype):
        cos, sin = RotaryPositionalEmbedding.precompute_freqs_cis(6, 7, 100.0, dtype)
        angles = np.outer(np.arange(7), 100.0 ** (-np.arange(3) / 3))
        assert cos.dtype == sin.dtype == (dtype or "float32")
        for table, expected in ((cos, np.cos(angles)), (sin, np.sin(angles))):
            np.testing.assert_allclose(np.asarray(table, np.float32), expected, atol=1e-2)

    def test_theta_that_cannot_be_hashed(self):
        with pytest.warns(UserWarning, match="set as static"):
            rotary = RotaryPositionalEmbedding(4, jnp.array(10.0))
        x = sequence(3, 4)
        np.testing.assert_allclose(rotary(x), reference(x, 10.0), rtol=1e-4, atol=1e-5)


class TestDtypes:
    @pytest.mark.parametrize("of", ["float16", "bfloat16", "float32", None])
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "complex64"])
    def test_result_has_the_dtype_of_the_input(self, of, dtype):
        x = jnp.asarray(sequence(3, 4)).astype(dtype)
        assert RotaryPositionalEmbedding(4, dtype=of)(x).dtype == dtype

    def test_default_is_that_of_the_mode(self, request):
        assert RotaryPositionalEmbedding(4).dtype is jnp.float32
        request.getfixturevalue("x64")
        assert RotaryPositionalEmbedding(4).dtype is jnp.float64

    def test_strict_promotion(self):
        x = jnp.asarray(sequence(3, 4), "bfloat16")
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            assert RotaryPositionalEmbedding(4, dtype=jnp.bfloat16)(x).dtype == "bfloat16"
            with pytest.raises(ValueError, match="tables of dtype `float32`, and `x` is of dtype"):
                RotaryPositionalEmbedding(4)(x)


def test_rotate_half():
    x = jnp.arange(12.0).reshape(3, 4)
    expected = np.concatenate([-x[:, 2:], x[:, :2]], axis=1)
    np.testing.assert_array_equal(RotaryPositionalEmbedding.rotate_half(x), expected)
    np.testing.assert_array_equal(RotaryPositionalEmbedding(4).rotate_half(x[0]), expected[0])
    np.testing.assert_array_equal(RotaryPositionalEmbedding.rotate_half(x[None]), expected[None])


def test_has_no_leaves_and_is_equal_to_its_like():
    assert jax.tree.leaves(RotaryPositionalEmbedding(4)) == []
    assert RotaryPositionalEmbedding(4) == RotaryPositionalEmbedding(4)
    assert RotaryPositionalEmbedding(4) != RotaryPositionalEmbedding(4, 10.0)


@pytest.mark.parametrize(
    ("size", "error", "match"),
    [
        (3, ValueError, "even `embedding_size`; got 3"),
        (-2, ValueError, "as `embedding_size`, got -2"),
        (2.0, TypeError, "as `embedding_size`, got 2.0"),
    ],
)
def test_sizes_are_checked(size, error, match):
    with pytest.raises(error, match=match):
        RotaryPositionalEmbedding(size)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.ones((3, 6)), ValueError, r"\(length, 4\), got shape \(3, 6\)"),
        (np.ones(4), ValueError, r"got shape \(4,\)"),
        (
            np.ones((2, 3, 4)),
            ValueError,
            r"\(length, heads, size\).* use `jax.vmap\(layer, in_axes=1, out_axes=1\)`, and for "
            r"shape \(batch, length, size\) `jax.vmap\(layer\)`",
        ),
        (
            np.ones((5, 2, 3, 4)),
            ValueError,
            r"use `jax.vmap\(jax.vmap\(layer, in_axes=1, out_axes=1\)\)`",
        ),
        ([[1.0]], AttributeError, "array `x`; a `list`"),
        (np.ones((3, 4), bool), TypeError, "bool"),
    ],
    ids=["size", "vector", "heads", "batch of heads", "list", "bool"],
)
def test_inputs_are_checked(x, error, match):
    with pytest.raises(error, match=match):
        RotaryPositionalEmbedding(4)(x)
