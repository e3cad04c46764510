"""`InstanceNorm` against its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, tree_at, tree_equal
from eqx_nn import GroupNorm, InstanceNorm

X = (np.cos(np.arange(24.0)) * np.arange(24) + 3).reshape(4, 3, 2).astype(np.float32)
WEIGHT = jnp.array([1.0, -2.0, 0.5, 3.0])


@pytest.fixture
def layer():
    norm = InstanceNorm(4, eps=0.1)
    return tree_at(lambda it: (it.weight, it.bias), norm, (WEIGHT, WEIGHT + 1))


def equation(x, weight, bias, eps):
    x = np.asarray(x, np.float64)
    mean, var = (f(x, (1, 2), keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(var + eps) * weight[:, None, None] + bias[:, None, None]


def test_it_follows_its_equation(layer):
    expected = equation(X, np.asarray(WEIGHT), np.asarray(WEIGHT + 1), 0.1)
    for y in (layer(X), filter_jit(layer)(X)):
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
    plain = InstanceNorm(4, 0.1, channelwise_affine=False)
    assert plain.weight is plain.bias is None
    expected = equation(X, np.ones(4), np.zeros(4), 0.1)
    np.testing.assert_allclose(plain(X), expected, rtol=2e-5, atol=2e-5)


def test_it_is_a_group_norm_with_a_group_for_each_channel():
    np.testing.assert_array_equal(InstanceNorm(4)(X), GroupNorm(4, 4)(X))


def test_each_example_of_a_batch_has_its_own_statistics(layer):
    xs = np.stack([X, 3 * X[::-1]])
    each = np.stack([layer(x) for x in xs])
    np.testing.assert_allclose(jax.vmap(layer)(xs), each, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.complex64, jnp.int32])
def test_the_dtype_is_kept_and_the_computation_wide(dtype):
    x = jnp.asarray(100 * X).astype(dtype)
    y = InstanceNorm(4)(x)
    assert y.dtype == (jnp.float32 if dtype == jnp.int32 else dtype)
    wide = equation(x.real.astype(jnp.float32), np.ones(4), np.zeros(4), 1e-5)
    tolerance = 4 * float(jnp.finfo(y.dtype).eps) + 1e-4
    np.testing.assert_allclose(y.real.astype(jnp.float32), wide, rtol=tolerance, atol=tolerance)


def test_a_state_is_passed_on(layer):
    y, state = layer(X, "state")
    assert state == "state"
    assert tree_equal(y, layer(X))


def test_wrong_inputs_are_told(layer):
    with pytest.raises(ValueError, match=r"\(4, dim_1, \.\.\.\), got shape \(4,\): it has no"):
        layer(X[:, 0, 0])
    with pytest.raises(ValueError, match=r"`x` of shape \(4, 3, 2\), got shape \(3, 3, 2\)"):
        layer(X[:3])
    with pytest.raises(ValueError, match=r"If the channels are the last axis, put them first"):
        layer(np.moveaxis(X, 0, -1))
    with pytest.raises(AttributeError, match=r"got a `list`, which is no array"):
        layer(X.tolist())


def test_wrong_numbers_of_channels_are_told():
    with pytest.raises(ValueError, match="needs at least one channel, got `channels=0`"):
        InstanceNorm(0)
    with pytest.raises(TypeError, match=r"non-negative integer as `channels`, got 2\.0"):
        InstanceNorm(2.0)
