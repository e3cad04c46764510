"""`SpectralNorm` and `WeightNorm` against NumPy's singular values and norms."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, tree_at
from eqx_nn import (
    GRUCell,
    Lambda,
    Linear,
    SpectralNorm,
    WeightNorm,
    inference_mode,
    make_with_state,
)
from eqx_pytree import Module, tree_equal

X = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.fixture
def linear(key):
    return Linear(3, 4, key=key)


def spectral(layer, name="weight", key=None, **kwargs):
    key = jax.random.PRNGKey(1) if key is None else key
    return make_with_state(SpectralNorm)(layer, name, **kwargs, key=key)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_the_weight_is_divided_by_its_largest_singular_value(key, dtype):
    linear = Linear(3, 4, dtype=dtype, key=key)
    layer, state = spectral(linear, num_power_iterations=30)
    for _ in range(3):
        y, state = layer(X, state)
    sigma = np.linalg.svd(linear.weight)[1][0]
    np.testing.assert_allclose(y, linear.weight @ X / sigma + linear.bias, rtol=1e-3)


def test_each_call_is_a_step_of_the_power_iteration(linear):
    layer, state = spectral(linear)
    u, v = map(np.asarray, state.get(layer.uv_index))
    W = np.asarray(linear.weight)
    y, state = layer(X, state)
    u = W @ v / np.linalg.norm(W @ v)
    v = W.T @ u / np.linalg.norm(W.T @ u)
    for ours, expected in zip(state.get(layer.uv_index), (u, v), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
    np.testing.assert_allclose(y, W @ X / (u @ W @ v) + linear.bias, rtol=1e-5)


def test_inference_leaves_the_vectors_as_they_are(linear):
    layer, state = spectral(linear)
    before = state.get(layer.uv_index)
    for call in (inference_mode(layer), lambda x, s: layer(x, s, inference=True)):
        _, state = call(X, state)
        assert tree_equal(state.get(layer.uv_index), before)
    _, state = layer(X, state)
    assert not tree_equal(state.get(layer.uv_index), before)


def test_no_gradient_passes_through_the_vectors(linear):
    layer, state = spectral(linear, num_power_iterations=0)
    u, v = state.get(layer.uv_index)

    def plain(weight):
        return (weight / (u @ weight @ v) @ X).sum()

    grads = filter_grad(lambda layer: (layer(X, state)[0] - linear.bias).sum())(layer)
    np.testing.assert_allclose(grads.layer.weight, jax.grad(plain)(linear.weight), rtol=1e-4)


def test_a_cell_and_a_weight_of_rank_three(key):
    layer, state = spectral(GRUCell(2, 3, key=key), "weight_ih")
    assert [it.shape for it in state.get(layer.uv_index)] == [(9,), (2,)]
    cube = tree_at(lambda it: it.weight, Linear(3, 4, key=key), jnp.ones((4, 3, 2)))
    layer, state = spectral(cube)
    assert [it.shape for it in state.get(layer.uv_index)] == [(4,), (6,)]


def test_narrow_and_strict(key):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        linear = Linear(3, 4, use_bias=False, dtype=jnp.float16, key=key)
        layer, state = spectral(linear, key=jax.random.key(1))
        y, state = layer(X.astype(np.float16), state)
        assert y.dtype == jnp.float16
        assert WeightNorm(linear)(X.astype(np.float16)).dtype == jnp.float16


def test_complex_and_strict(key):
    with jax.numpy_dtype_promotion("strict"):
        linear = Linear(3, 4, dtype=jnp.complex64, key=key)
        layer, state = spectral(linear)
        assert layer(X.astype(np.complex64), state)[0].dtype == jnp.complex64
        assert WeightNorm(linear)(X.astype(np.complex64)).dtype == jnp.complex64


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("foo", AttributeError, r"'Linear' object has no attribute 'foo'"),
        ("bias", ValueError, r"at least two axes and one element; `Linear.bias` has shape \(4,\)"),
        ("in_features", AttributeError, r"`Linear.in_features` is a `int`"),
    ],
)
def test_spectral_norm_refuses_what_is_no_matrix(linear, name, kind, match):
    with pytest.raises(kind, match=match):
        spectral(linear, name)


def test_power_iterations_are_counted(linear):
    with pytest.raises(ValueError, match=r"as `num_power_iterations`, got -1"):
        spectral(linear, num_power_iterations=-1)


@pytest.mark.parametrize(
    ("axis", "axes"), [(0, (1,)), (1, (0,)), (-1, (0,)), (None, (0, 1))], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_weight_norm_keeps_lengths_apart(key, axis, axes, dtype):
    linear = Linear(3, 4, dtype=dtype, key=key)
    layer = WeightNorm(linear, axis=axis)
    lengths = np.sqrt((abs(np.asarray(linear.weight)) ** 2).sum(axes, keepdims=True))
    np.testing.assert_allclose(layer.g, lengths, rtol=1e-6)
    np.testing.assert_allclose(layer(X), linear(X), rtol=1e-5)
    longer = tree_at(lambda it: it.g, layer, 2 * layer.g)
    np.testing.assert_allclose(longer(X) - linear.bias, 2 * (linear(X) - linear.bias), rtol=1e-5)
    scaled = tree_at(lambda it: it.layer.weight, layer, 3 * linear.weight)
    np.testing.assert_allclose(scaled(X), linear(X), rtol=1e-5)


def test_gradients_of_weight_norm_are_those_of_the_equation(linear):
    layer = WeightNorm(linear)

    def plain(v, g):
        return jnp.sin(g * v / jnp.linalg.norm(v, axis=1, keepdims=True) @ X + linear.bias).sum()

    grads = filter_grad(lambda layer: jnp.sin(layer(X)).sum())(layer)
    expected = jax.grad(plain, (0, 1))(linear.weight, layer.g)
    for ours, theirs in zip((grads.layer.weight, grads.g), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_weight_norms_of_equal_arguments_are_equal(linear):
    assert WeightNorm(linear) == WeightNorm(linear)
    assert jax.tree.structure(WeightNorm(linear)) == jax.tree.structure(WeightNorm(linear))


def test_weight_norm_of_a_bias(linear):
    layer = WeightNorm(linear, "bias")
    np.testing.assert_allclose(layer.g, abs(linear.bias), rtol=1e-6)
    np.testing.assert_allclose(layer(X), linear(X), rtol=1e-5)


@pytest.mark.parametrize("axis", [2, -3, (0, 1), 1.0])
def test_an_axis_that_is_not_there_is_refused(linear, axis):
    with pytest.raises(ValueError, match=r"`axis` to be an axis of `Linear.weight`"):
        WeightNorm(linear, axis=axis)


def test_weight_norm_refuses_what_is_no_array(key):
    with pytest.raises(AttributeError, match=r"'Lambda' object has no attribute 'weight'"):
        WeightNorm(Lambda(jnp.sin))
    with pytest.raises(ValueError, match=r"`Linear.bias` is a `NoneType`"):
        WeightNorm(Linear(3, 4, use_bias=False, key=key), "bias")


def test_names_stand_in_the_program(linear, program_text):
    layer, state = spectral(linear)
    assert "eqx.nn.SpectralNorm" in program_text(layer, X, state)
    assert "eqx.nn.WeightNorm" in program_text(WeightNorm(linear), X)


def test_a_state_that_gained_or_lost_an_axis_is_refused(key):
    layer, state = spectral(Linear(3, 3, key=key))
    xs = np.stack([X, X, X])
    told = r"`SpectralNorm.uv_index` of its `State`, and wrote shapes \(3,\), \(3,\)"
    with pytest.raises(ValueError, match=rf"shapes \(\), \(\) at {told}.*lost an axis.*`in_axes`"):
        jax.vmap(layer)(xs, state)
    _, state = jax.vmap(layer, in_axes=(0, None))(xs, state)
    with pytest.raises(ValueError, match=rf"{told}.*gained an axis.*`out_axes`") as caught:
        layer(X, state)
    assert "`jax.vmap(layer, in_axes=(0, None), out_axes=(0, None))`" in str(caught.value)


def test_annotations_name_the_layer(linear):
    class Model(Module):
        norm: SpectralNorm[Linear]
        others: list[WeightNorm[Linear]]

    model = Model(spectral(linear)[0], [WeightNorm[Linear](linear)])
    assert typing.get_args(Model.__annotations__["norm"]) == (Linear,)
    assert model.others[0] == WeightNorm(linear)
    assert jax.tree.structure(model.others[0]) == jax.tree.structure(WeightNorm(linear))
