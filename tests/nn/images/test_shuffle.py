"""`PixelShuffle` and `PixelUnshuffle`: element by element, and that they undo each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_nn import PixelShuffle, PixelUnshuffle


def test_each_element_is_where_the_equation_says():
    x = np.arange(2 * 6 * 2 * 2).reshape(12, 2, 2)
    y = PixelShuffle((2, 3))(x)
    assert y.shape == (2, 4, 6)
    for c, i, j, h, w in itertools.product(range(2), range(2), range(3), range(2), range(2)):
        assert y[c, 2 * h + i, 3 * w + j] == x[6 * c + 3 * i + j, h, w]


@given(
    channels=st.integers(1, 2),
    sizes=st.lists(st.integers(0, 2), min_size=1, max_size=3),
    data=st.data(),
)
@settings(max_examples=20, deadline=None)
def test_they_undo_each_other(channels, sizes, data):
    factor = [data.draw(st.integers(1, 2)) for _ in sizes]
    shuffle = PixelShuffle(factor, num_spatial_dims=len(sizes))
    unshuffle = PixelUnshuffle(factor, num_spatial_dims=len(sizes))
    shape = (channels * int(np.prod(factor)), *sizes)
    x = np.arange(np.prod(shape)).reshape(shape)
    y = shuffle(x)
    assert y.shape == (channels, *np.multiply(sizes, factor))
    np.testing.assert_array_equal(unshuffle(y), x)


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.bfloat16, jnp.complex64])
def test_any_dtype_is_kept(dtype):
    x = jnp.arange(16).reshape(4, 2, 2).astype(dtype)
    assert PixelShuffle(2)(x).dtype == x.dtype
    assert jax.vmap(PixelUnshuffle(2))(x[None]).dtype == x.dtype


def test_wrong_inputs_are_told():
    with pytest.raises(ValueError, match=r"needs a multiple of 4 channels, got `x` of shape \(6,"):
        PixelShuffle(2)(np.zeros((6, 2, 2)))
    with pytest.raises(ValueError, match=r"multiple of its `factor`, got `factor=\(2, 2\)` and"):
        PixelUnshuffle(2)(np.zeros((6, 2, 3)))
    for layer in (PixelShuffle(2), PixelUnshuffle(2)):
        with pytest.raises(ValueError, match=r"\(channels, dim_1, dim_2\), got shape \(1, 4,"):
            layer(np.zeros((1, 4, 2, 2)))
        with pytest.raises(AttributeError, match="expects an array `x`"):
            layer([1])


@pytest.mark.parametrize("cls", [PixelShuffle, PixelUnshuffle])
def test_wrong_factors_are_told(cls):
    with pytest.raises(ValueError, match="2 of them as `factor`, each at least 1, got 0"):
        cls(0)
    with pytest.raises(TypeError, match=r"as `factor`, got 1\.5 of type `float`"):
        cls(1.5)
    with pytest.raises(ValueError, match="3 of them as `factor`, one for each spatial axis"):
        cls((2, 2), num_spatial_dims=3)
