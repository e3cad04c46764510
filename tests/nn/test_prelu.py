"""`PReLU`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit
from eqx_nn import PReLU

X = np.array([-2.0, -0.5, 0.0, 3.0], np.float32)


def test_is_the_formula():
    for slope in (0.25, 0.1, -1.0):
        expected = np.where(X >= 0, X, slope * X)
        np.testing.assert_allclose(PReLU(slope)(X), expected, rtol=1e-6)
        np.testing.assert_allclose(filter_jit(PReLU(slope))(X), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(PReLU())(X), PReLU()(X))
    assert PReLU()(-1.0) == -0.25


def test_special_values():
    y = PReLU()(jnp.array([jnp.nan, -jnp.inf, jnp.inf, -0.0]))
    np.testing.assert_array_equal(y, [np.nan, -np.inf, np.inf, 0])
    assert np.signbit(y[3])


def test_gradients():
    slope = filter_grad(lambda layer: layer(X).sum())(PReLU()).negative_slope
    assert slope == -2.5
    grads = jax.grad(lambda x: PReLU()(x).sum())(X)
    np.testing.assert_array_equal(grads, [0.25, 0.25, 1, 1])


def test_slopes_broadcast_whatever_the_mode():
    slopes = np.array([0.1, 0.2, 0.3], np.float32)
    with jax.numpy_rank_promotion("raise"):
        np.testing.assert_allclose(PReLU(slopes)(-np.ones((2, 3))), [-slopes, -slopes])
        np.testing.assert_allclose(PReLU(slopes)(-1.0), -slopes)
        image = PReLU(slopes[:, None, None])(-np.ones((3, 2, 2)))
    np.testing.assert_allclose(image[:, 0, 1], -slopes)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_number_does_not_widen(dtype):
    with jax.numpy_dtype_promotion("strict"):
        assert PReLU(0.1)(jnp.asarray(X).astype(dtype)).dtype == dtype
    assert PReLU(jnp.float32(0.1))(jnp.asarray(X, "float16")).dtype == "float32"
    assert PReLU()(jnp.arange(-2, 2)).dtype == "float32"


def test_operations_carry_the_name_of_the_layer(program_text):
    assert "eqx.nn.PReLU" in program_text(PReLU(), jnp.asarray(X))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: PReLU(None), ValueError, "as `init_alpha`, got `None`"),
        (lambda: PReLU()([1.0]), TypeError, "got a `list`"),
        (lambda: PReLU()(None), TypeError, "got a `NoneType`"),
        (
            lambda: PReLU(jnp.ones(3))(jnp.ones((2, 2))),
            ValueError,
            r"slopes of shape \(3,\), and `x` of shape \(2, 2\)",
        ),
    ],
    ids=["None", "list", "x of None", "shapes"],
)
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    ("slope", "x", "dtype"),
    [
        (0.25, "float16", "float16"),
        (0.25, "int32", "float32"),
        (0.25, "bool", "float32"),
        (np.float32(0.25), "bfloat16", "float32"),
        (jnp.bfloat16(0.25), "float32", "float32"),
    ],
)
def test_promotes_in_strict_mode_too(slope, x, dtype):
    x = jnp.asarray(X, x)
    expected = PReLU(slope)(x)
    with jax.numpy_dtype_promotion("strict"):
        result = PReLU(slope)(x)
    assert result.dtype == expected.dtype == dtype
    np.testing.assert_array_equal(result, expected)
