"""`Upsample`: by hand, on polynomials, and beside repeated elements; tests/parity has PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from eqx_nn import Upsample

X = np.sin(1.7 * np.arange(30.0)).reshape(2, 5, 3).astype(np.float32)
WAYS = [("nearest", False), ("linear", False), ("linear", True), ("cubic", False), ("cubic", True)]


def test_nearest_repeats_elements():
    expected = X.repeat(2, 1).repeat(3, 2)
    np.testing.assert_array_equal(Upsample((2, 3))(X), expected)
    np.testing.assert_array_equal(Upsample(size=(10, 9))(X), expected)


@given(size=st.integers(1, 7), out=st.integers(1, 15))
@settings(max_examples=20, deadline=None)
def test_nearest_to_any_size_takes_elements_in_order(size, out):
    x = np.arange(size)[None]
    y = Upsample(size=out, num_spatial_dims=1)(x)
    np.testing.assert_array_equal(y[0], [o * size // out for o in range(out)])


def test_linear_by_hand():
    x = np.array([[0.0, 4.0, 8.0]], np.float32)
    between = Upsample(2, mode="linear", num_spatial_dims=1)(x)
    np.testing.assert_allclose(between, [[0, 1, 3, 5, 7, 8]], rtol=1e-6)
    aligned = Upsample(size=5, mode="linear", align_corners=True, num_spatial_dims=1)(x)
    np.testing.assert_allclose(aligned, [[0, 2, 4, 6, 8]], rtol=1e-6)


def test_cubic_convolution_by_its_kernel():
    """The weights of Keys's equation for a place half way between two elements."""
    x = np.array([[1.0, -2.0, 5.0, 7.0]], np.float32)
    y = Upsample(size=7, mode="cubic", align_corners=True, num_spatial_dims=1)(x)
    outer = -0.75 * (1.5**3 - 5 * 1.5**2 + 8 * 1.5 - 4)
    inner = (2 - 0.75) * 0.5**3 - (3 - 0.75) * 0.5**2 + 1
    np.testing.assert_allclose(y[0, 3], outer * 8 + inner * 3, rtol=1e-5)
    np.testing.assert_allclose(y[0, ::2], x[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_constants_stay_and_the_same_size_changes_nothing(mode, align_corners):
    layer = Upsample((1.7, 0.6), mode=mode, align_corners=align_corners)
    y = layer(np.full((1, 5, 4), 3, np.float32))
    assert y.shape == (1, 8, 2)
    np.testing.assert_allclose(y, 3, rtol=1e-5)
    layer = Upsample(size=(5, 3), mode=mode, align_corners=align_corners)
    np.testing.assert_allclose(layer(X), X, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_it_batches_and_is_differentiated(mode, align_corners):
    layer = Upsample(2, mode=mode, align_corners=align_corners)
    xs = np.stack([X, X[::-1] + 1])
    each = np.stack([layer(x) for x in xs])
    np.testing.assert_allclose(jax.jit(jax.vmap(layer))(xs), each, rtol=1e-5, atol=1e-6)
    check_grads(layer, (X[:1],), 1, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.complex64, jnp.int32])
def test_dtypes(dtype):
    x = jnp.asarray(8 * X).astype(dtype)
    assert Upsample(2)(x).dtype == dtype
    y = Upsample(2, mode="linear")(x)
    assert y.dtype == (jnp.float32 if dtype == jnp.int32 else dtype)
    wide = Upsample(2, mode="linear")(x.real.astype(jnp.float32))
    eps = float(jnp.finfo(y.dtype).eps)
    np.testing.assert_allclose(y.real.astype(jnp.float32), wide, rtol=eps, atol=8 * eps)


def test_what_is_not_finite_stays_where_it_is():
    x = X.copy()
    x[0, 0, 0] = np.inf
    y = Upsample(2, mode="linear")(x)
    assert np.isfinite(y[:, 3:]).all()
    assert np.isfinite(y[1]).all()


def test_no_spatial_axes_are_as_they_are():
    np.testing.assert_array_equal(Upsample(2, num_spatial_dims=0)(X[:, 0, 0]), X[:, 0, 0])


def test_wrong_inputs_are_told():
    with pytest.raises(ValueError, match=r"\(channels, dim_1, dim_2\), got shape \(1, 2, 5"):
        Upsample(2)(X[None])
    with pytest.raises(ValueError, match=r"sizes \(0, 0\) from `x` of shape \(2, 5, 3\): an"):
        Upsample(0.1)(X)
    with pytest.raises(ValueError, match=r"sizes \(2, 2\) from `x` of shape \(2, 0, 3\): an"):
        Upsample(size=2)(X[:, :0])
    with pytest.raises(AttributeError, match="expects an array `x`"):
        Upsample(2)(X.tolist())


@pytest.mark.parametrize(
    ("kind", "told", "options"),
    [
        (ValueError, "needs one of `scale` and `size`, got None and None", {}),
        (ValueError, "needs one of `scale` and `size`, got 2 and 2", {"scale": 2, "size": 2}),
        (ValueError, "needs a positive number or 2 of them as `scale`, got -1", {"scale": -1}),
        (ValueError, "as `scale`, got nan", {"scale": float("nan")}),
        (ValueError, r"as `scale`, got \(1, 2, 3\)", {"scale": (1, 2, 3)}),
        (TypeError, "as `scale`, got 'two' of type `str`", {"scale": "two"}),
        (ValueError, "as `size`, each at least 1, got 0", {"size": 0}),
        (ValueError, '`"linear"` or `"cubic"`, in any number', {"size": 1, "mode": "bilinear"}),
        (ValueError, "there is nothing to align", {"size": 1, "align_corners": True}),
    ],
)
def test_wrong_arguments_are_told(kind, told, options):
    with pytest.raises(kind, match=told):
        Upsample(**options)
