"""`Pool` and its kinds, beside the definition in NumPy."""

import inspect
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from eqx_nn import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d, Pool

KINDS = [AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d]


def image(*shape):
    return np.cos(np.arange(1.0, math.prod(shape) + 1)).reshape(shape).astype(np.float32)


def defined(reduce, fill, x, pads, kernel, stride, *, ceil=False):
    """The reduction of one window after another; rounded up, a window may end past the padding."""
    room = [(0, 0), *((before, after + s) for (before, after), s in zip(pads, stride, strict=True))]
    rounding = math.ceil if ceil else math.floor
    counts = [
        rounding((size + before + after - k) / s) + 1
        for size, k, s, (before, after) in zip(x.shape[1:], kernel, stride, pads, strict=True)
    ]
    x = np.pad(np.asarray(x, np.float64), room, constant_values=fill)
    y = np.zeros((x.shape[0], *counts))
    for channel, *place in itertools.product(range(x.shape[0]), *map(range, counts)):
        cut = [slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True)]
        y[(channel, *place)] = reduce(x[(channel, *cut)])
    return y


X = image(2, 5, 6)
TWO = st.tuples(st.integers(1, 4), st.integers(1, 4))


class TestForward:
    @given(kernel=TWO, stride=TWO, data=st.data())
    @settings(max_examples=25, deadline=None)
    def test_reduces_each_window(self, kernel, stride, data):
        pads = tuple((data.draw(st.integers(0, k)), data.draw(st.integers(0, k))) for k in kernel)
        average, most = AvgPool2d(kernel, stride, pads), MaxPool2d(kernel, stride, pads)
        mean, largest = jax.jit(lambda x: (average(x), most(x)))(X)
        expected = defined(np.mean, 0, X, pads, kernel, stride)
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)
        expected = defined(np.max, -np.inf, X, pads, kernel, stride)
        np.testing.assert_allclose(largest, expected, rtol=1e-6)

    @pytest.mark.parametrize("size", [5, 6, 7, 8])
    @pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, 0), (4, 2, 1), (4, 3, 1)])
    def test_use_ceil(self, size, kernel, stride, pad):
        x = image(2, size)
        for kind, reduce, fill in ((AvgPool1d, np.mean, 0), (MaxPool1d, np.max, -np.inf)):
            expected = defined(reduce, fill, x, [(pad, pad)], [kernel], [stride], ceil=True)
            got = kind(kernel, stride, pad, use_ceil=True)(x)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("axes", [0, 1, 2, 3, 4])
    def test_any_number_of_axes(self, axes):
        x = image(2, *(3, 2, 4, 2)[:axes])
        got = Pool(0, lax.add, axes, 2)(x)
        expected = defined(np.sum, 0, x, [(0, 0)] * axes, [2] * axes, [1] * axes)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)

    def test_other_operations(self):
        shape = [(0, 0)] * 2, [2, 2], [1, 1]
        for init, operation, reduce in (
            (jnp.inf, lax.min, np.min),
            (-jnp.inf, lax.max, np.max),
            (1.0, lax.mul, np.prod),
            (jnp.array(1.0), lambda a, b: a * b, np.prod),
        ):
            got = Pool(init, operation, 2, 2)(X)
            np.testing.assert_allclose(got, defined(reduce, 0, X, *shape), rtol=1e-5, atol=1e-6)

    def test_negative_padding_takes_away(self):
        got = AvgPool2d(2, padding=((-1, 0), (0, -2)))(X)
        np.testing.assert_allclose(got, AvgPool2d(2)(X[:, 1:, :-2]), rtol=1e-6)

    def test_under_the_transformations(self):
        for layer in (AvgPool2d(2), MaxPool2d(2)):
            expected = jnp.stack([layer(X), layer(-X)])
            for mapped in (jax.vmap(layer), jax.jit(jax.vmap(layer))):
                np.testing.assert_allclose(mapped(np.stack([X, -X])), expected, rtol=1e-6)

    def test_names_key_and_strictness(self, program_text, key):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            for layer in (AvgPool2d(2), MaxPool2d(2)):
                np.testing.assert_array_equal(layer(X, key=key), layer(X))
        assert "eqx.nn.AvgPool/" in program_text(AvgPool2d(2), X)
        assert "eqx.nn.Pool/" in program_text(MaxPool2d(2), X)


class TestDerivatives:
    def test_of_a_mean(self):
        gradient = jax.grad(lambda x: AvgPool1d(2)(x).sum())(jnp.ones((1, 4)))
        np.testing.assert_allclose(gradient, [[0.5, 1, 1, 0.5]])

    def test_of_a_maximum_goes_to_the_first_of_equals(self):
        x = jnp.array([[0.0, 1, 1, 0, 2, 2]])
        gradient = jax.grad(lambda x: MaxPool1d(3, 3)(x).sum())(x)
        np.testing.assert_array_equal(gradient, [[0, 1, 0, 0, 1, 0]])

    @pytest.mark.parametrize("layer", [AvgPool2d(2), MaxPool2d(3, 2, 1)], ids=["avg", "max"])
    def test_forward_and_reverse_agree(self, layer):
        forward, reverse = jax.jit(lambda x: (jax.jacfwd(layer)(x), jax.jacrev(layer)(x)))(X)
        np.testing.assert_allclose(forward, reverse, rtol=1e-6)

    @pytest.mark.parametrize("layer", [AvgPool2d(2), MaxPool2d(2)], ids=["avg", "max"])
    def test_second_order(self, layer):
        """Both are linear nearby, so that the second derivative is that of the square."""
        hessian = jax.hessian(lambda x: jnp.sum(layer(x) ** 2))
        jacobian, hessian = jax.jit(lambda x: (jax.jacfwd(layer)(x), hessian(x)))(X)
        jacobian = np.asarray(jacobian, np.float64).reshape(-1, X.size)
        expected = 2 * jacobian.T @ jacobian
        np.testing.assert_allclose(hessian.reshape(X.size, X.size), expected, atol=1e-5)


class TestDtypes:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_is_kept(self, dtype):
        x = jnp.asarray(X, dtype)
        assert AvgPool2d(2)(x).dtype == MaxPool2d(2)(x).dtype == dtype

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
    def test_integers(self, dtype):
        x = np.array([[5, 7, 0]], dtype)
        assert MaxPool1d(2)(x).tolist() == [[7, 7]]
        assert MaxPool1d(2)(x).dtype == dtype
        assert AvgPool1d(2)(x).tolist() == [[6.0, 3.5]]
        assert AvgPool1d(2)(x).dtype == "float32"

    def test_padding_is_never_the_largest(self):
        x = jnp.full((1, 2), -100, jnp.int8)
        assert MaxPool1d(2, padding=1)(x).tolist() == [[-100] * 3]


class TestFields:
    def test_are_normalised(self):
        layer = MaxPool3d([3, 2, 1], 2, [1, (0, 2), [3, 4]])
        assert (layer.kernel_size, layer.stride) == ((3, 2, 1), (2, 2, 2))
        assert layer.padding == ((1, 1), (0, 2), (3, 4))
        assert (layer.init, layer.operation, layer.use_ceil) == (-jnp.inf, lax.max, False)
        assert (AvgPool1d(2).init, AvgPool1d(2).operation) == (0, lax.add)
        assert AvgPool2d(np.int64(2)).kernel_size == (2, 2)

    @pytest.mark.parametrize("kind", KINDS)
    def test_arguments(self, kind):
        names = ["kernel_size", "stride", "padding", "use_ceil", "data_format"]
        assert list(inspect.signature(kind).parameters) == names
        assert kind(2).num_spatial_dims == int(kind.__name__[-2])


class TestMistakes:
    @pytest.mark.parametrize("name", ["kernel_size", "stride"])
    def test_sizes(self, name):
        for value, kind, told in (
            (1.5, ValueError, "got 1.5 of type `float`"),
            ((1.5, 2), TypeError, "got the element 1.5"),
            ((2,), ValueError, "one for each spatial axis"),
            (0, ValueError, "each at least 1, got 0"),
        ):
            with pytest.raises(kind, match=f"`AvgPool2d` needs .* as `{name}`.*{told}"):
                AvgPool2d(**{"kernel_size": 2, name: value})

    @pytest.mark.parametrize("padding", ["SAME", 1.0, None, (1,), ((1, 2, 3), 1)])
    def test_padding(self, padding):
        with pytest.raises(ValueError, match="`MaxPool2d` needs as `padding` an integer, or"):
            MaxPool2d(2, padding=padding)

    def test_number_of_axes(self):
        with pytest.raises(TypeError, match=r"integer as `num_spatial_dims`, got 1\.0"):
            Pool(0, lax.add, 1.0, 2)

    def test_more_padding_than_kernel(self):
        with pytest.raises(RuntimeError, match=r"pads spatial axis 1 with \(0, 3\), which is more"):
            MaxPool2d(2, padding=((0, 0), (0, 3)))(X)
        with pytest.raises(RuntimeError, match="Of it 3 come from `use_ceil` and `stride`"):
            MaxPool1d(2, 3, use_ceil=True)(image(1, 6))

    @pytest.mark.parametrize(
        ("shape", "told"),
        [((7, 2, 5, 6), r"use `jax.vmap\(layer\)`"), ((5, 6), r"add it with `x\[None\]`")],
    )
    def test_shape_of_input(self, shape, told):
        for layer in (AvgPool2d(2), MaxPool2d(2)):
            with pytest.raises(AssertionError, match=rf"\(channels, dim_1, dim_2\), .*{told}"):
                layer(jnp.ones(shape))

    @pytest.mark.parametrize("x", [1.0, [1.0], None], ids=["number", "list", "None"])
    def test_no_array(self, x):
        with pytest.raises(AttributeError, match="`AvgPool1d` expects an array `x`"):
            AvgPool1d(2)(x)
