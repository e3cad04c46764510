"""`AdaptivePool` and its kinds, beside the definition in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_nn import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AdaptivePool,
)

KINDS = {
    1: (AdaptiveAvgPool1d, AdaptiveMaxPool1d),
    2: (AdaptiveAvgPool2d, AdaptiveMaxPool2d),
    3: (AdaptiveAvgPool3d, AdaptiveMaxPool3d),
}


def image(*shape):
    return np.cos(np.arange(1.0, math.prod(shape) + 1)).reshape(shape).astype(np.float32)


def defined(x, target, reduce):
    """Reduce one axis after another; NumPy too makes the first pieces longer."""
    for axis, count in enumerate(target, start=1):
        pieces = np.array_split(x, count, axis)
        x = np.stack([np.apply_along_axis(reduce, axis, piece) for piece in pieces], axis)
    return x


X = image(2, 5, 6)


class TestForward:
    @given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.data())
    @settings(max_examples=20, deadline=None)
    def test_reduces_each_window(self, sizes, data):
        target = tuple(data.draw(st.integers(1, size)) for size in sizes)
        x = image(2, *sizes)
        layers = [kind(target) for kind in KINDS[len(sizes)]]
        mean, largest = jax.jit(lambda x: [layer(x) for layer in layers])(x)
        np.testing.assert_allclose(mean, defined(x, target, np.mean), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(largest, defined(x, target, np.max), rtol=1e-6)

    @pytest.mark.parametrize("target", [(5, 3), (2, 4)], ids=["even", "uneven"])
    @pytest.mark.parametrize(
        ("operation", "reduce"),
        [
            (jnp.sum, np.sum),
            (jnp.min, np.min),
            (jnp.median, np.median),
            (jnp.std, np.std),
            (lambda x: x[0], lambda x: x[0]),
            (lambda x: 2 * x.max(), lambda x: 2 * x.max()),
            (lambda x: 1.0, lambda x: 1.0),
        ],
        ids=["sum", "min", "median", "std", "first", "twice", "constant"],
    )
    def test_other_operations(self, target, operation, reduce):
        layer = AdaptivePool(target, 2, operation)
        got = jax.jit(layer)(X)
        np.testing.assert_allclose(got, defined(X, target, reduce), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("target", [(5, 3), (2, 4)], ids=["even", "uneven"])
    def test_under_the_transformations(self, target):
        layer = AdaptiveAvgPool2d(target)
        batch, expected = np.stack([X, -X]), np.stack([layer(X), layer(-X)])
        for mapped in (jax.vmap(layer), jax.jit(jax.vmap(layer))):
            np.testing.assert_allclose(mapped(batch), expected, rtol=1e-5, atol=1e-6)
        jacobian, reverse = jax.jit(lambda x: (jax.jacfwd(layer)(x), jax.jacrev(layer)(x)))(X)
        np.testing.assert_allclose(jacobian, reverse, rtol=1e-6)
        np.testing.assert_allclose(np.sum(jacobian * X, (3, 4, 5)), layer(X), atol=1e-6)

    def test_operations_do_not_grow_with_the_target(self):
        few, many = (
            len(jax.make_jaxpr(AdaptiveMaxPool1d(target))(jnp.ones((1, 100))).eqns)
            for target in (3, 70)
        )
        assert few == many

    def test_names_key_and_strictness(self, program_text, key):
        layer = AdaptiveAvgPool2d((2, 4))
        assert "eqx.nn.AdaptivePool/" in program_text(layer, X)
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            np.testing.assert_array_equal(layer(X, key=key), layer(X))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "int8", "bool"])
    def test_dtypes(self, dtype):
        x = jnp.asarray(X > 0, dtype)
        assert AdaptiveMaxPool2d(2)(x).dtype == dtype
        expected = "float32" if dtype in ("int8", "bool") else dtype
        assert AdaptiveAvgPool2d(2)(x).dtype == expected

    def test_no_axes(self):
        np.testing.assert_array_equal(AdaptivePool((), 0, jnp.mean)(X[:, 0, 0]), X[:, 0, 0])


class TestFields:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_target_shape(self, axes):
        for kind, operation in zip(KINDS[axes], (jnp.mean, jnp.max), strict=True):
            for target in (2, np.int64(2), [2] * axes, (2,) * axes):
                layer = kind(target)
                assert layer.target_shape == (2,) * axes
                assert layer.operation is operation


class TestMistakes:
    @pytest.mark.parametrize("target", [1.0, None, "ab", (2,), 0, (-1, 2)])
    def test_target_shape(self, target):
        message = "`AdaptiveAvgPool2d` needs an integer or 2 of them as `target_shape`"
        with pytest.raises(ValueError, match=message):
            AdaptiveAvgPool2d(target)

    def test_number_of_axes(self):
        with pytest.raises(TypeError, match=r"`AdaptivePool` needs .* as `num_spatial_dims`"):
            AdaptivePool(2, 1.0, jnp.mean)

    def test_larger_than_the_input(self):
        with pytest.raises(ZeroDivisionError, match=r"`target_shape` \(7, 7\) and .* \(2, 5, 6\)"):
            AdaptiveAvgPool2d(7)(X)

    @pytest.mark.parametrize(
        ("operation", "told"),
        [(lambda x: x, r"1 arrays of shapes \[\(2,\)\]"), (lambda x: (1, 2), "2 arrays of shapes")],
        ids=["vector", "pair"],
    )
    def test_operation(self, operation, told):
        with pytest.raises(TypeError, match=f"from a vector to a scalar; it gave {told}"):
            AdaptivePool(4, 1, operation)(jnp.ones((1, 8)))

    def test_shape_of_input(self):
        with pytest.raises(ValueError, match=r"`AdaptiveAvgPool2d`.*`jax.vmap\(layer\)`"):
            AdaptiveAvgPool2d(2)(image(7, 2, 5, 6))
        with pytest.raises(AttributeError, match="`AdaptiveMaxPool1d` expects an array"):
            AdaptiveMaxPool1d(2)([1.0])
