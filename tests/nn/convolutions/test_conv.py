"""`Conv` and its kinds, beside the definition in NumPy."""

import inspect
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_grad, filter_jit, tree_at
from eqx_nn import Conv, Conv1d, Conv2d, Conv3d
from eqx_pytree import tree_equal

MODES = {"REFLECT": "reflect", "REPLICATE": "edge", "CIRCULAR": "wrap", "ZEROS": "constant"}


def image(*shape):
    return np.cos(np.arange(1.0, math.prod(shape) + 1)).reshape(shape).astype(np.float32)


def defined(layer, x, pads, mode="constant"):
    """The sum of the definition, one output element after another."""
    weight, x = np.asarray(layer.weight, np.float64), np.pad(x, [(0, 0), *pads], mode=mode)
    sizes = [
        (size - (k - 1) * d - 1) // s + 1
        for size, k, s, d in zip(
            x.shape[1:], layer.kernel_size, layer.stride, layer.dilation, strict=True
        )
    ]
    y = np.zeros((weight.shape[0], *sizes))
    outs, ins = weight.shape[0] // layer.groups, weight.shape[1]
    for o, *place in np.ndindex(*y.shape):
        first = o // outs * ins
        for j in np.ndindex(*layer.kernel_size):
            steps = zip(place, layer.stride, j, layer.dilation, strict=True)
            at = [i * s + tap * d for i, s, tap, d in steps]
            element = x[(slice(first, first + ins), *at)]
            y[(o, *place)] += np.sum(weight[(o, slice(None), *j)] * element)
    return y if layer.bias is None else y + np.asarray(layer.bias)


def same(layer, sizes, *, lower):
    """The padding that makes the output `ceil(size / stride)` long."""
    pads = []
    for size, k, s, d in zip(sizes, layer.kernel_size, layer.stride, layer.dilation, strict=True):
        total = max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pads.append(((total + 1) // 2, total // 2) if lower else (total // 2, (total + 1) // 2))
    return pads


@pytest.fixture
def conv(key):
    return Conv2d(2, 4, 3, key=key)


X = image(2, 5, 6)


class TestForward:
    @pytest.mark.parametrize(
        ("axes", "sizes"), [(0, ()), (1, (7,)), (2, (5, 6)), (3, (4, 3, 5)), (4, (3, 2, 3, 2))]
    )
    def test_any_number_of_axes(self, key, axes, sizes):
        layer, x = Conv(axes, 2, 3, 2, key=key), image(2, *sizes)
        expected = defined(layer, x, [(0, 0)] * axes)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)

    @given(
        kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
        pads=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
        groups=st.sampled_from([1, 2, 4, 8]),
    )
    @settings(max_examples=6, deadline=None)
    def test_is_the_sum_of_the_definition(self, kernel, stride, dilation, pads, groups):
        layer = Conv2d(
            8, 8, kernel, stride, pads, dilation, groups=groups, key=jax.random.PRNGKey(0)
        )
        x = image(8, 5, 6)
        expected = defined(layer, x, pads)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("padding", ["same", "Same_Lower", "VALID", 1, ((1, 2), (0, 3))])
    def test_padding_modes(self, key, mode, padding):
        layer = Conv2d(
            2, 3, (3, 2), (1, 2), padding, dilation=2, padding_mode=mode.lower(), key=key
        )
        assert layer.padding_mode == mode
        if isinstance(padding, str):
            pads = [(0, 0)] * 2
            if layer.padding != "VALID":
                pads = same(layer, X.shape[1:], lower=layer.padding == "SAME_LOWER")
        else:
            pads = layer.padding
        expected = defined(layer, X, pads, MODES[mode])
        np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-5)

    def test_negative_padding_takes_away(self, key):
        layer = Conv2d(2, 4, 2, padding=((-1, 0), (0, -2)), key=key)
        expected = defined(layer, X[:, 1:, :-2], [(0, 0)] * 2)
        np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("groups", [2, 4, 8])
    def test_groups_do_not_see_each_other(self, key, groups):
        """Not even what is no number."""
        layer = Conv2d(8, 8, 3, groups=groups, key=key)
        x = image(8, 5, 6)
        x[-1] = np.nan
        is_nan = np.isnan(np.asarray(layer(x))).all(axis=(1, 2))
        within = 8 // groups
        assert is_nan.tolist() == [False] * (8 - within) + [True] * within

    @pytest.mark.parametrize("groups", [1, 2, 8])
    def test_gradient_is_that_of_the_formula(self, key, groups):
        """The output is linear in the weight: its derivative is a difference."""
        layer, x = Conv2d(8, 8, 2, groups=groups, key=key), image(8, 3, 3)
        cotangent = image(8, 2, 2)
        gradient = filter_grad(lambda m: jnp.sum(m(x) * cotangent))(layer)
        direction = image(*layer.weight.shape)
        moved = tree_at(lambda m: (m.weight, m.bias), layer, (direction, np.zeros((8, 1, 1))))
        expected = np.sum(defined(moved, x, [(0, 0)] * 2) * cotangent)
        np.testing.assert_allclose(np.sum(gradient.weight * direction), expected, rtol=1e-4)
        np.testing.assert_allclose(gradient.bias[:, 0, 0], cotangent.sum((1, 2)), rtol=1e-5)

    def test_under_the_transformations(self, conv):
        batch = jnp.stack([X, -X])
        expected = jnp.stack([conv(X), conv(-X)])
        for mapped in (jax.vmap(conv), jax.jit(jax.vmap(conv))):
            np.testing.assert_allclose(mapped(batch), expected, rtol=1e-5, atol=1e-6)
        out, tangent = jax.jvp(conv, (X,), (X,))
        np.testing.assert_allclose(tangent, out - conv.bias, rtol=1e-5, atol=1e-6)

    def test_without_bias(self, key):
        layer = Conv2d(2, 4, 3, use_bias=False, key=key)
        assert layer.bias is None
        np.testing.assert_allclose(layer(X), defined(layer, X, [(0, 0)] * 2), rtol=1e-4, atol=1e-5)

    def test_key_is_ignored(self, conv, key):
        assert tree_equal(conv(X, key=key), conv(X))

    def test_operations_carry_the_name_of_the_layer(self, conv, program_text):
        assert "eqx.nn.Conv/" in program_text(conv, X)

    def test_nothing_to_see(self, key):
        assert Conv2d(2, 4, 7, key=key)(X).shape == (4, 0, 0)
        layer = Conv1d(0, 4, 3, key=key)
        assert tree_equal(layer(jnp.ones((0, 5))), jnp.broadcast_to(layer.bias, (4, 3)))


class TestDtypes:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_of_parameters_and_result(self, key, dtype):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            layer = Conv2d(2, 4, 3, padding="SAME", padding_mode="REFLECT", dtype=dtype, key=key)
            assert layer.weight.dtype == layer.bias.dtype == dtype
            assert layer(jnp.asarray(X, dtype)).dtype == dtype

    @pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "complex64"])
    def test_another_dtype_is_refused(self, conv, dtype):
        message = rf"`x` of the dtype of its `weight`, float32, got {dtype}. Use `x.astype"
        with pytest.raises(TypeError, match=message):
            conv(np.ones((2, 5, 6), dtype))

    @pytest.mark.usefixtures("x64")
    def test_64_bit_mode(self, key):
        layer = Conv1d(2, 4, 3, key=key)
        assert layer.weight.dtype == layer(np.ones((2, 5))).dtype == "float64"

    def test_numpy_parameters(self, conv):
        held = jax.tree_util.tree_map(np.asarray, conv)
        np.testing.assert_allclose(held(X), conv(X), rtol=1e-6)


class TestFields:
    def test_are_normalised(self, key):
        layer = Conv3d(2, 4, [3, 2, 1], padding=[1, (0, 2), [3, 4]], dilation=2, key=key)
        assert layer.kernel_size == (3, 2, 1)
        assert (layer.stride, layer.dilation) == ((1, 1, 1), (2, 2, 2))
        assert layer.padding == ((1, 1), (0, 2), (3, 4))
        assert layer.weight.shape == (4, 2, 3, 2, 1)
        assert layer.bias.shape == (4, 1, 1, 1)
        assert (layer.num_spatial_dims, layer.groups, layer.padding_mode) == (3, 1, "ZEROS")

    @pytest.mark.parametrize("size", [np.int64(2), jnp.array(2)])
    def test_any_integer_becomes_an_int(self, key, size):
        layer = Conv(size, size, size, size, size, size, size, size, key=key)
        assert tree_equal(layer, Conv(2, 2, 2, 2, 2, 2, 2, 2, key=key))
        assert isinstance(hash(jax.tree_util.tree_structure(layer)), int)

    @pytest.mark.parametrize("kind", [Conv1d, Conv2d, Conv3d])
    def test_kinds_take_the_arguments_of_conv(self, kind):
        names = list(inspect.signature(kind).parameters)
        assert names == list(inspect.signature(Conv).parameters)[1:]

    def test_limit_of_the_first_values(self, key):
        layer = Conv2d(8, 8, 5, groups=2, key=key)
        limit = 1 / math.sqrt(4 * 25)
        for leaf in (layer.weight, layer.bias):
            assert 0.7 * limit < np.abs(leaf).max() <= limit

    def test_pickle_and_eval_shape(self, conv, key):
        assert tree_equal(pickle.loads(pickle.dumps(conv)), conv)
        assert jax.eval_shape(lambda k: Conv2d(2, 4, 3, key=k), key).bias.shape == (4, 1, 1)


class TestMistakes:
    @pytest.mark.parametrize("name", ["kernel_size", "stride", "dilation"])
    def test_sizes(self, key, name):
        for value, kind, told in (
            (1.5, TypeError, "got 1.5 of type `float`"),
            ((1.5, 2), TypeError, "got the element 1.5 of type `float`"),
            ((2,), ValueError, r"one for each spatial axis, got \(2,\)"),
            ("ab", ValueError, "one for each spatial axis, got 'ab'"),
            ((0, 1), ValueError, r"each at least 1, got \(0, 1\)"),
        ):
            sizes = {"kernel_size": 3, name: value}
            rule = f"`Conv2d` needs an integer or 2 of them as `{name}`"
            with pytest.raises(kind, match=f"{rule}.*{told}"):
                Conv2d(2, 4, **sizes, key=key)

    @pytest.mark.parametrize("name", ["in_channels", "out_channels", "groups"])
    def test_channels(self, key, name):
        channels = {"in_channels": 2, "out_channels": 4, "kernel_size": 3}
        with pytest.raises(TypeError, match=f"non-negative integer as `{name}`, got 2.5"):
            Conv2d(**{**channels, name: 2.5}, key=key)
        with pytest.raises(ValueError, match=f"non-negative integer as `{name}`, got -1"):
            Conv2d(**{**channels, name: -1}, key=key)

    @pytest.mark.parametrize("groups", [0, 3])
    def test_groups(self, key, groups):
        told = f"`in_channels=4` and `groups={groups}`"
        with pytest.raises(ValueError, match=f"a multiple of `groups`, got {told}"):
            Conv2d(4, 4, 3, groups=groups, key=key)

    def test_groups_of_the_output(self, key):
        with pytest.raises(ValueError, match="needs `out_channels` to be a multiple of `groups`"):
            Conv2d(4, 3, 3, groups=2, key=key)

    @pytest.mark.parametrize(
        "padding", [1.0, None, (1,), ((1, 2),), ((1, 2, 3), 1), ((1.0, 2), 1), ("a", 1), "SAME "]
    )
    def test_padding(self, key, padding):
        with pytest.raises(ValueError, match=r'`Conv2d` .*`padding`.*`"SAME"`, `"SAME_LOWER"` or'):
            Conv2d(2, 4, 3, padding=padding, key=key)

    def test_padding_mode(self, key):
        with pytest.raises(ValueError, match=r"`padding_mode`.*`\"CIRCULAR\"`, got 'foo'"):
            Conv2d(2, 4, 3, padding_mode="foo", key=key)
        with pytest.raises(AttributeError, match="a `int` has no attribute 'upper'"):
            Conv2d(2, 4, 3, padding_mode=1, key=key)

    def test_negative_padding_with_a_mode(self, key):
        layer = Conv2d(2, 4, 3, padding=-1, padding_mode="REFLECT", key=key)
        with pytest.raises(ValueError, match='cannot take elements away with `padding_mode="REF'):
            layer(X)

    @pytest.mark.parametrize(
        ("shape", "told"),
        [
            ((7, 2, 5, 6), r"for a batch along the first axis use `jax.vmap\(layer\)`"),
            ((5, 6), r"axis of channels is missing, add it with `x\[None\]`"),
            ((6,), r"got shape \(6,\)\.(\n|$)"),
            ((3, 5, 6), r"got shape \(3, 5, 6\)\.(\n|$)"),
        ],
    )
    def test_shape_of_input(self, conv, shape, told):
        for layer in (conv, filter_jit(conv)):
            with pytest.raises(ValueError, match=rf"`x` of shape \(2, dim_1, dim_2\).*{told}"):
                layer(jnp.ones(shape))

    @pytest.mark.parametrize("x", [1.0, [1.0], None], ids=["number", "list", "None"])
    def test_no_array(self, conv, x):
        with pytest.raises(AttributeError, match=r"has no attribute 'shape'. Use `jax.numpy.asar"):
            conv(x)

    def test_bias_is_no_argument(self, key):
        with pytest.raises(TypeError, match="'bias'"):
            Conv2d(2, 4, 3, bias=False, key=key)
