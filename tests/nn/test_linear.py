"""`Linear` and `Identity`."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, tree_at
from eqx_nn import Identity, Linear
from eqx_pytree import tree_equal


@pytest.fixture
def linear(key):
    return Linear(3, 4, key=key)


X = np.array([0.5, -1.0, 2.0], np.float32)


class TestForward:
    def test_is_an_affine_map(self, linear):
        expected = np.asarray(linear.weight) @ X + np.asarray(linear.bias)
        np.testing.assert_allclose(linear(jnp.asarray(X)), expected, rtol=1e-6)

    def test_gradient_is_that_of_the_formula(self, linear):
        grads = filter_grad(lambda layer, x: jnp.sum(layer(x) ** 2))(linear, X)
        cotangent = 2 * np.asarray(linear(X))
        np.testing.assert_allclose(grads.weight, np.outer(cotangent, X), rtol=1e-5)
        np.testing.assert_allclose(grads.bias, cotangent, rtol=1e-6)

    def test_without_bias(self, key):
        linear = Linear(3, 4, use_bias=False, key=key)
        assert linear.bias is None
        np.testing.assert_allclose(linear(X), np.asarray(linear.weight) @ X, rtol=1e-6)

    def test_scalar_in_and_out(self, key):
        linear = Linear("scalar", "scalar", key=key)
        assert linear.weight.shape == (1, 1)
        for x in (2.0, 2, np.float32(2), np.array(2.0), jnp.array(2.0)):
            y = linear(x)
            assert y.shape == ()
            np.testing.assert_allclose(y, linear.weight[0, 0] * 2 + linear.bias[0], rtol=1e-6)

    @pytest.mark.parametrize("size", [0, 1])
    def test_sizes_of_zero(self, key, size):
        assert Linear(size, 4, key=key)(jnp.ones(size)).shape == (4,)
        assert Linear(3, 0, key=key)(X).shape == (0,)

    def test_key_is_ignored(self, linear, key):
        assert tree_equal(linear(X, key=key), linear(X))

    def test_under_the_transformations(self, linear):
        batch = jnp.stack([X, 2 * X])
        expected = jnp.stack([linear(X), linear(2 * X)])
        for mapped in (jax.vmap(linear), jax.jit(jax.vmap(linear))):
            np.testing.assert_allclose(mapped(batch), expected, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(Linear.__call__)(linear, X), linear(X), rtol=1e-6)
        np.testing.assert_allclose(filter_jit(linear)(X), linear(X), rtol=1e-6)

    def test_operations_carry_the_name_of_the_layer(self, linear, program_text):
        assert "eqx.nn.Linear/dot_general" in program_text(linear, X)


class TestDtypes:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_dtype_of_parameters_and_result(self, key, dtype):
        linear = Linear(3, 4, dtype=dtype, key=key)
        assert linear.weight.dtype == linear.bias.dtype == dtype
        assert linear(jnp.asarray(X, dtype)).dtype == dtype
        assert linear(jnp.asarray(X)).dtype == jnp.promote_types(dtype, "float32")

    @pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "complex64"])
    def test_input_is_promoted(self, linear, dtype):
        y = linear(np.array([0, 1, 1], dtype))
        assert y.dtype == jnp.promote_types("float32", dtype)
        expected = linear.weight[:, 1] + linear.weight[:, 2] + linear.bias
        np.testing.assert_allclose(y, expected, rtol=1e-5)

    def test_strict_promotion(self, key):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            for dtype in ("float16", "float32", "complex64"):
                linear = Linear(3, 4, dtype=dtype, key=key)
                assert linear(jnp.asarray(X, dtype)).dtype == dtype

    def test_strict_promotion_still_refuses(self, linear):
        with (
            jax.numpy_dtype_promotion("strict"),
            pytest.raises(ValueError, match="jax_numpy_dtype_promotion=strict"),
        ):
            linear(jnp.asarray(X, "float16"))

    def test_numpy_parameters(self, linear):
        held = jax.tree_util.tree_map(np.asarray, linear)
        np.testing.assert_allclose(held(X), linear(X), rtol=1e-6)

    @pytest.mark.usefixtures("x64")
    def test_64_bit_mode(self, key):
        linear = Linear(3, 4, key=key)
        assert linear.weight.dtype == linear(np.ones(3)).dtype == "float64"


class TestBias:
    @pytest.mark.parametrize("use_bias", [True, False])
    def test_either_spelling(self, key, use_bias):
        layers = [
            Linear(3, 4, use_bias, key=key),
            Linear(3, 4, use_bias=use_bias, key=key),
            Linear(3, 4, bias=use_bias, key=key),
            Linear(3, 4, use_bias, bias=use_bias, key=key),
            Linear(3, 4, bias=use_bias, use_bias=use_bias, key=key),
        ]
        assert all(layer.use_bias is use_bias for layer in layers)
        assert all(tree_equal(layers[0], layer) for layer in layers)

    @pytest.mark.parametrize("use_bias", [True, False])
    def test_both_and_different(self, key, use_bias):
        with pytest.raises(
            ValueError, match=f"both `use_bias={use_bias}` and `bias={not use_bias}`"
        ):
            Linear(3, 4, use_bias=use_bias, bias=not use_bias, key=key)
        with pytest.raises(ValueError, match="`Linear` was given both"):
            Linear(3, 4, use_bias, bias=not use_bias, key=key)

    def test_subclasses_have_both_too(self, key):
        class Mine(Linear):
            pass

        assert Mine(3, 4, bias=False, key=key).bias is None
        with pytest.raises(ValueError, match="`Mine` was given both"):
            Mine(3, 4, True, bias=False, key=key)

    def test_bias_taken_away_later(self, linear):
        bare = tree_at(lambda layer: layer.bias, linear, None)
        np.testing.assert_allclose(bare(X), np.asarray(linear.weight) @ X, rtol=1e-6)


class TestSizes:
    @pytest.mark.parametrize("size", [np.int64(3), np.uint8(3), jnp.array(3)])
    def test_any_integer_becomes_an_int(self, key, size):
        linear = Linear(size, size, key=key)
        assert type(linear.in_features) is type(linear.out_features) is int
        assert tree_equal(linear, Linear(3, 3, key=key))

    @pytest.mark.parametrize("name", ["in_features", "out_features"])
    @pytest.mark.parametrize("size", [2.0, "3", "scaler", None, [3]])
    def test_no_integer(self, key, name, size):
        sizes = {"in_features": 3, "out_features": 4, name: size}
        message = f'`Linear` needs a non-negative integer or `"scalar"` as `{name}`, got'
        with pytest.raises(TypeError, match=message):
            Linear(**sizes, key=key)

    @pytest.mark.parametrize("name", ["in_features", "out_features"])
    def test_negative(self, key, name):
        sizes = {"in_features": 3, "out_features": 4, name: -2}
        with pytest.raises(ValueError, match=f"as `{name}`, got -2"):
            Linear(**sizes, key=key)


class TestWrongInput:
    def test_wrong_size(self, linear):
        with pytest.raises(
            TypeError, match=r"`Linear` expects `x` of shape \(3,\), got shape \(5,\)"
        ):
            linear(jnp.ones(5))

    def test_batch_along_the_first_axis(self, linear):
        message = (
            r"shape \(3,\), got shape \(8, 3\).*batch along the first axis use `jax.vmap\(layer\)`"
        )
        with pytest.raises(TypeError, match=message):
            linear(jnp.ones((8, 3)))

    @pytest.mark.parametrize("columns", [1, 4, 8])
    def test_batch_along_the_last_axis(self, linear, columns):
        """4 is `out_features`: the bias could be added, along the wrong axis."""
        with pytest.raises(ValueError, match=r"last axis use `jax.vmap\(layer, in_axes=1\)`"):
            linear(jnp.ones((3, columns)))

    def test_number(self, linear):
        with pytest.raises(ValueError, match=r"shape \(3,\), got shape \(\)\.$"):
            linear(1.0)

    def test_no_array(self, linear):
        with pytest.raises(
            TypeError, match=r"got a `list`, which is no array. Use `jax.numpy.asarray"
        ):
            linear([1.0, 2.0, 3.0])

    def test_vector_for_a_scalar(self, key):
        message = r"x must have scalar shape: `Linear` expects `x` of shape \(\), got shape \(1,\)"
        with pytest.raises(ValueError, match=message):
            Linear("scalar", 4, key=key)(jnp.ones(1))
        with pytest.raises(ValueError, match="got a `list`"):
            Linear("scalar", 4, key=key)([1.0])

    def test_columns_for_a_scalar_out(self, key):
        with pytest.raises(
            ValueError, match=r"`Linear` expects `x` of shape \(3,\), got shape \(3, 2\)"
        ):
            Linear(3, "scalar", use_bias=False, key=key)(jnp.ones((3, 2)))

    def test_under_jit_too(self, linear):
        with pytest.raises(TypeError, match=r"got shape \(5,\)"):
            filter_jit(linear)(jnp.ones(5))


class TestWhatWeightTimesXAllows:
    def test_columns_without_a_bias(self, key):
        linear = Linear(3, 4, use_bias=False, key=key)
        columns = jnp.stack([X, -X], axis=1)
        np.testing.assert_allclose(linear(columns)[:, 1], linear(-X), rtol=1e-6)

    def test_columns_with_a_bias_of_one(self, key):
        linear = Linear(3, 1, key=key)
        np.testing.assert_allclose(linear(jnp.stack([X, -X], axis=1))[:, 1], linear(-X), rtol=1e-6)

    def test_stacked_layers_on_one_input(self, key):
        stacked = jax.vmap(lambda k: Linear(3, 4, key=k))(jax.random.split(key, 2))
        expected = jax.vmap(lambda layer: layer(X))(stacked)
        np.testing.assert_allclose(stacked(X), expected, rtol=1e-6)

    def test_weight_of_another_size(self, linear):
        wider = tree_at(lambda layer: layer.weight, linear, jnp.ones((4, 6)))
        np.testing.assert_allclose(wider(jnp.ones(6)), 6 + linear.bias, rtol=1e-6)
        with pytest.raises(TypeError, match=r"expects `x` of shape \(6,\), got shape \(3,\)"):
            wider(X)


class TestAsData:
    def test_structure(self, linear):
        leaves = jax.tree_util.tree_leaves_with_path(linear)
        assert [jax.tree_util.keystr(path) for path, _ in leaves] == [".weight", ".bias"]
        assert (linear.in_features, linear.out_features, linear.use_bias) == (3, 4, True)

    def test_eval_shape(self, key):
        shapes = jax.eval_shape(lambda k: Linear(3, 4, key=k), key)
        assert shapes.weight == jax.ShapeDtypeStruct((4, 3), jnp.float32)
        assert jax.eval_shape(Linear(3, 4, key=key), X).shape == (4,)

    def test_pickle(self, linear):
        assert tree_equal(pickle.loads(pickle.dumps(linear)), linear)

    def test_a_key_is_needed(self):
        with pytest.raises(TypeError, match="'key'"):
            Linear(3, 4)


class TestIdentity:
    def test_ignores_arguments(self):
        x = object()
        assert Identity()(x) is Identity(1, two=2)(x, key=3) is x
        assert jax.tree_util.tree_leaves(Identity(jnp.ones(2))) == []

    def test_refuses_another_input(self):
        with pytest.raises(TypeError, match="positional argument"):
            Identity()(1, 2)
