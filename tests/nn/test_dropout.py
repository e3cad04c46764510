"""`Dropout`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, tree_at
from eqx_nn import Dropout

X = jnp.arange(1.0, 201.0)


class TestForward:
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
    def test_elements_are_dropped_or_scaled(self, key, p):
        x = jnp.ones(20_000)
        y = np.asarray(Dropout(p)(x, key=key))
        np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - p)], rtol=1e-6)
        assert abs((y == 0).mean() - p) < 0.02

    def test_same_key_same_result(self, key):
        dropout = Dropout()
        y = dropout(X, key=key)
        np.testing.assert_array_equal(y, dropout(X, key=key))
        assert not np.array_equal(y, dropout(X, key=jax.random.PRNGKey(1)))
        np.testing.assert_array_equal(y, dropout(X, key=jax.random.key(0)))

    def test_gradient_is_the_mask(self, key):
        dropout = Dropout(0.3)
        grads = jax.grad(lambda x: dropout(x, key=key).sum())(X)
        np.testing.assert_allclose(grads * X, dropout(X, key=key), rtol=1e-6)

    def test_drops_all_with_a_gradient_of_zero(self, key):
        for dropout in (Dropout(1), Dropout(1.0), Dropout(jnp.array(1.0))):
            value, grads = jax.value_and_grad(lambda x, d=dropout: d(x, key=key).sum())(X)
            assert value == 0
            np.testing.assert_array_equal(grads, jnp.zeros_like(X))

    def test_traced_probability(self, key):
        dropped = jax.jit(lambda p: Dropout(p)(X, key=key))(0.25)
        np.testing.assert_allclose(dropped, Dropout(0.25)(X, key=key), rtol=1e-6)
        assert jax.grad(lambda p: Dropout(p)(X, key=key).sum())(0.25) == 0

    def test_operations_carry_the_name_of_the_layer(self, key, program_text):
        text = program_text(lambda x: Dropout()(x, key=key), X)
        assert "eqx.nn.Dropout" in text

    def test_vmap_with_a_key_each(self, key):
        keys = jax.random.split(key, 3)
        rows = jax.vmap(lambda k: Dropout()(X, key=k))(keys)
        np.testing.assert_array_equal(rows[1], Dropout()(X, key=keys[1]))


class TestInference:
    @pytest.mark.parametrize(
        "dropout",
        [
            Dropout(0.5, True),
            Dropout(inference=True),
            Dropout(deterministic=True),
            Dropout(inference=False, deterministic=True),
            Dropout(0),
            Dropout(0.0),
            tree_at(lambda d: d.deterministic, Dropout(), True),
            tree_at(lambda d: d.inference, Dropout(), True),
        ],
    )
    def test_is_the_identity(self, dropout):
        x = object()
        assert dropout(x) is x

    def test_flag_under_both_names(self):
        for flag in (True, False):
            dropout = Dropout(deterministic=flag)
            assert dropout.inference is dropout.deterministic is flag
        assert Dropout(inference=True, deterministic=False).inference is False

    @pytest.mark.parametrize("name", ["inference", "deterministic"])
    @pytest.mark.parametrize("flag", [True, False])
    def test_flag_of_the_call_wins(self, key, name, flag):
        y = Dropout(inference=not flag)(X, key=key, **{name: flag})
        assert np.array_equal(y, X) is flag

    def test_deterministic_wins_over_inference_at_the_call(self, key):
        assert Dropout()(X, inference=False, deterministic=True) is X
        assert Dropout()(X, key=key, inference=True, deterministic=False) is not X

    def test_concrete_array_as_flag(self):
        assert Dropout()(X, inference=jnp.array(True)) is X

    def test_traced_flag_is_refused(self, key):
        with pytest.raises(jax.errors.TracerBoolConversionError):
            filter_jit(lambda d: d(X, key=key))(Dropout(inference=jnp.array(True)))

    def test_no_key(self):
        message = "Dropout requires a key when running in non-deterministic mode.*`inference_mode"
        with pytest.raises(RuntimeError, match=message):
            Dropout()(X)
        with pytest.raises(RuntimeError, match=r"key=jax.random.key"):
            Dropout(inference=True)(X, deterministic=False)


class TestInputs:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_dtype_is_kept(self, key, dtype):
        y = Dropout(0.3)(X.astype(dtype), key=key)
        assert y.dtype == dtype
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            np.testing.assert_array_equal(Dropout(0.3)(X.astype(dtype), key=key), y)

    @pytest.mark.parametrize("x", [np.arange(5), jnp.arange(5), np.ones(5, bool), 3.0, 3])
    def test_numbers_and_integers_become_floats(self, key, x):
        y = Dropout()(x, key=key)
        assert isinstance(y, jax.Array)
        assert y.shape == np.shape(x)
        assert y.dtype == "float32"

    def test_any_shape(self, key):
        for shape in ((), (0,), (2, 3, 4)):
            assert Dropout()(jnp.ones(shape), key=key).shape == shape

    def test_no_array(self, key):
        with pytest.raises(AttributeError, match="`Dropout` expects an array `x`; a `list` has no"):
            Dropout()([1.0], key=key)

    @pytest.mark.parametrize("p", [-0.1, 1.5, 2, -1, float("nan")])
    def test_no_probability(self, p):
        with pytest.raises(ValueError, match=r"0 <= p <= 1`; got `p="):
            Dropout(p)


def test_leaves():
    leaves = jax.tree_util.tree_leaves_with_path(Dropout(0.25))
    assert [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves] == [
        (".p", 0.25),
        (".inference", False),
    ]
