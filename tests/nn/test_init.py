"""First values, sizes and the two spellings of `bias`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_nn import Linear
from eqx_nn._init import checked_size, default_init


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float32"])
def test_draws_uniformly_within_the_limit(key, dtype):
    values = np.asarray(default_init(key, (100, 100), dtype, 0.5), np.float32)
    assert values.dtype == "float32"
    assert -0.5 <= values.min() < -0.49
    assert 0.49 < values.max() <= 0.5
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 0.5 / np.sqrt(3)) < 0.01


def test_complex_parts_are_drawn_apart(key):
    values = np.asarray(default_init(key, (1000,), "complex64", 0.5))
    real, imag = jax.random.split(key)
    np.testing.assert_array_equal(values.real, default_init(real, (1000,), "float32", 0.5))
    np.testing.assert_array_equal(values.imag, default_init(imag, (1000,), "float32", 0.5))


def test_python_types_are_dtypes_of_the_mode(key):
    assert default_init(key, (2,), float, 1.0).dtype == "float32"
    assert default_init(key, (2,), complex, 1.0).dtype == "complex64"


@pytest.mark.usefixtures("x64")
def test_python_types_in_64_bit_mode(key):
    assert default_init(key, (2,), float, 1.0).dtype == "float64"
    assert default_init(key, (2,), complex, 1.0).dtype == "complex128"
    assert default_init(key, (2,), None, 1.0).dtype == "float64"


@pytest.mark.parametrize("dtype", ["int32", bool, jnp.uint8])
def test_other_dtypes(key, dtype):
    name = jnp.dtype(dtype).name
    with pytest.raises(ValueError, match=f"must be a floating or a complex dtype.* got `{name}`"):
        Linear(2, 3, dtype=dtype, key=key)


def test_unknown_dtype(key):
    with pytest.raises(TypeError, match="foo"):
        Linear(2, 3, dtype="foo", key=key)


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("float64")])
def test_wide_dtype_without_64_bit_mode_is_told_by_jax(key, dtype):
    with pytest.warns(UserWarning, match=r"float64.* is not available"):
        assert Linear(2, 3, dtype=dtype, key=key).weight.dtype == "float32"


def test_sizes():
    assert checked_size("L", "n", 0) == 0
    assert checked_size("L", "n", "scalar", scalar=True) == "scalar"
    with pytest.raises(TypeError, match="`L` needs a non-negative integer as `n`, got 'scalar'"):
        checked_size("L", "n", "scalar")


def test_traced_size_is_refused(key):
    with pytest.raises(TypeError, match="`in_features`, got"):
        jax.jit(lambda n: Linear(n, 3, key=key))(2)


@pytest.mark.parametrize("bad", [None, 3, "key"])
def test_no_key(bad):
    with pytest.raises(TypeError, match="key"):
        Linear(2, 3, key=bad)


def test_many_keys(key):
    with pytest.raises(ValueError, match="single key"):
        Linear(2, 3, key=jax.random.split(key))


def test_fan_in_sets_the_limit(key):
    for size in (1, 4, 100):
        weight = np.asarray(Linear(size, 1000, key=key).weight)
        assert 0.97 / np.sqrt(size) < np.abs(weight).max() <= 1 / np.sqrt(size)
