"""`DepthwiseConv` and `SeparableConv` against what they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import tree_equal
from eqx_nn import Conv, DepthwiseConv, SeparableConv, from_torch, to_torch

KEY = jax.random.key(0)
X = np.sin(1.7 * np.arange(60.0)).reshape(3, 4, 5).astype(np.float32)


def convolved(x, kernel):
    """One channel by one kernel, in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), kernel.shape)
    return np.einsum("hwij,ij->hw", windows, kernel)


def test_each_channel_is_convolved_for_itself():
    layer = DepthwiseConv(2, 3, (2, 3), 2, key=KEY)
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    assert (weight.shape, bias.shape) == ((6, 1, 2, 3), (6, 1, 1))
    y = layer(X)
    for c in range(3):
        for k in range(2):
            expected = convolved(X[c], weight[2 * c + k, 0]) + bias[2 * c + k]
            np.testing.assert_allclose(y[2 * c + k], expected, rtol=1e-5, atol=1e-5)


def test_it_is_a_convolution_with_groups():
    options = {"stride": 2, "padding": "SAME", "dilation": 2, "padding_mode": "REFLECT"}
    layer = DepthwiseConv(2, 3, 2, **options, key=KEY)
    conv = Conv(2, 3, 3, 2, groups=3, **options, key=KEY)
    assert tree_equal(layer.weight, conv.weight)
    np.testing.assert_array_equal(layer(X), conv(X))


def test_a_separable_one_is_its_two_parts():
    layer = SeparableConv(2, 3, 4, 2, 2, stride=2, padding=1, key=KEY)
    assert layer.depthwise.bias is None
    assert layer.pointwise.weight.shape == (4, 6, 1, 1)
    y, between = layer(X), np.asarray(layer.depthwise(X), np.float64)
    expected = np.einsum("oc,chw->ohw", layer.pointwise.weight[..., 0, 0], between)
    np.testing.assert_allclose(y, expected + layer.pointwise.bias, rtol=1e-5, atol=1e-5)
    each = np.stack([layer(X), layer(X + 1)])
    batched = jax.vmap(layer)(np.stack([X, X + 1]))
    np.testing.assert_allclose(batched, each, rtol=1e-5, atol=1e-5)


def test_weights_go_to_pytorch_and_back():
    layer = SeparableConv(1, 3, 4, 2, key=KEY)
    entries = to_torch(layer)
    assert list(entries) == ["depthwise.weight", "pointwise.weight", "pointwise.bias"]
    other = SeparableConv(1, 3, 4, 2, key=jax.random.key(1))
    assert tree_equal(from_torch(other, entries)[0], layer)


def test_first_values_are_drawn_by_initializers():
    ones, zeros = jax.nn.initializers.ones, jax.nn.initializers.zeros
    layer = SeparableConv(1, 3, 4, 2, weight_init=ones, bias_init=zeros, key=KEY)
    assert all(bool(jnp.all(x == 1)) for x in (layer.depthwise.weight, layer.pointwise.weight))
    assert not jnp.any(layer.pointwise.bias)


def test_wrong_sizes_are_told():
    with pytest.raises(ValueError, match="`DepthwiseConv` needs at least one as `multiplier`"):
        DepthwiseConv(1, 3, 2, 0, key=KEY)
    with pytest.raises(ValueError, match="`DepthwiseConv` needs at least one as `in_channels`"):
        DepthwiseConv(1, 0, 2, key=KEY)
    with pytest.raises(TypeError, match=r"non-negative integer as `multiplier`, got 1\.5"):
        SeparableConv(1, 3, 2, 2, 1.5, key=KEY)
    with pytest.raises(ValueError, match=r"`DepthwiseConv` expects `x` of shape \(3, dim_1\), got"):
        SeparableConv(1, 3, 2, 2, key=KEY)(X)
