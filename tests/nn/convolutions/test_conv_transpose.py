"""`ConvTranspose` and its kinds, beside the definition in NumPy and beside `Conv`."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_grad, tree_at
from eqx_nn import Conv, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

KEY = jax.random.PRNGKey(0)


def image(*shape):
    return np.cos(np.arange(1.0, math.prod(shape) + 1)).reshape(shape).astype(np.float32)


def defined(layer, x, pads):
    """Each input element times the kernel, added up where the two fall; then cut by `pads`."""
    weight = np.asarray(layer.weight, np.float64)
    reach = [(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    ends = [(size - 1) * s + 1 for size, s in zip(x.shape[1:], layer.stride, strict=True)]
    room = [e + r + s for e, r, s in zip(ends, reach, layer.stride, strict=True)]
    y = np.zeros((weight.shape[0], *room))
    outs, ins = weight.shape[0] // layer.groups, weight.shape[1]
    for o in range(weight.shape[0]):
        first = o // outs * ins
        for place in np.ndindex(*x.shape[1:]):
            for j in np.ndindex(*layer.kernel_size):
                at = [
                    i * s + r - tap * d
                    for i, s, r, tap, d in zip(
                        place, layer.stride, reach, j, layer.dilation, strict=True
                    )
                ]
                element = x[(slice(first, first + ins), *place)]
                y[(o, *at)] += np.sum(weight[(o, slice(None), *j)] * element)
    cut = [
        slice(before, end + r - after + more)
        for end, r, (before, after), more in zip(
            ends, reach, pads, layer.output_padding, strict=True
        )
    ]
    y = y[(slice(None), *cut)]
    return y if layer.bias is None else y + np.asarray(layer.bias)


class TestForward:
    @pytest.mark.parametrize("axes", [0, 1, 2, 3, 4])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_any_number_of_axes(self, axes, stride):
        layer, x = ConvTranspose(axes, 2, 3, 2, stride, key=KEY), image(2, *(4, 3, 2, 2)[:axes])
        expected = defined(layer, x, [(0, 0)] * axes)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("groups", [1, 2, 4])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_groups(self, axes, groups):
        layer = ConvTranspose(axes, 4, 8, 2, 2, groups=groups, key=KEY)
        x = image(4, *(3, 2, 2)[:axes])
        expected = defined(layer, x, [(0, 0)] * axes)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)

    @given(
        kernel=st.tuples(*[st.integers(1, 3)] * 3),
        stride=st.tuples(*[st.integers(1, 3)] * 3),
        dilation=st.tuples(*[st.integers(1, 2)] * 3),
        before=st.integers(0, 2),
        after=st.integers(0, 2),
        more=st.tuples(*[st.integers(0, 2)] * 3),
    )
    @settings(max_examples=8, deadline=None)
    def test_is_the_sum_of_the_definition(self, kernel, stride, dilation, before, after, more):
        """In three dimensions, where a stride takes another formulation than none."""
        more = tuple(min(m, s - 1) for m, s in zip(more, stride, strict=True))
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        pads = [(min(before, r), min(after, r)) for r in reach]
        layer = ConvTranspose3d(1, 2, kernel, stride, more, pads, dilation, key=KEY)
        x = image(1, 2, 3, 2)
        np.testing.assert_allclose(layer(x), defined(layer, x, pads), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("axes", [2, 3])
    @pytest.mark.parametrize("padding", ["same", "SAME_LOWER", "valid", -1, 1, 4])
    def test_is_the_transpose_of_a_convolution(self, axes, padding):
        """With the kernel flipped, and its channels swapped, as the docstring says."""
        kernel, stride = (3, 2, 4)[:axes], (2, 3, 1)[:axes]
        layer = ConvTranspose(axes, 2, 3, kernel, stride, padding, 0, 2, use_bias=False, key=KEY)
        back = Conv(axes, 3, 2, kernel, stride, padding, 2, use_bias=False, key=KEY)
        weight = jnp.flip(jnp.swapaxes(layer.weight, 0, 1), range(2, axes + 2))
        back = tree_at(lambda conv: conv.weight, back, weight)
        x = image(2, *(6, 7, 5)[:axes])
        y = layer(x)
        (expected,) = jax.linear_transpose(back, y)(jnp.asarray(x))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("axes", [1, 3])
    @pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER"])
    @pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (4, 2, 2), (1, 3, 1)])
    def test_circular_is_the_transpose_of_the_circular(
        self, axes, padding, kernel, stride, dilation
    ):
        sizes = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
        how = {**sizes, "padding": padding, "padding_mode": "circular", "use_bias": False}
        layer = ConvTranspose(axes, 2, 3, **how, key=KEY)
        back = Conv(axes, 3, 2, **how, key=KEY)
        weight = jnp.flip(jnp.swapaxes(layer.weight, 0, 1), range(2, axes + 2))
        back = tree_at(lambda conv: conv.weight, back, weight)
        x = image(2, *(4, 3, 5)[:axes])
        y = layer(x)
        (expected,) = jax.linear_transpose(back, y)(jnp.asarray(x))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("axes", [1, 3])
    def test_gradient_is_that_of_the_formula(self, axes):
        """The output is linear in the weight: its derivative is a difference."""
        layer = ConvTranspose(axes, 2, 3, 3, 2, 1, 1, key=KEY)
        x = image(2, *(4, 3, 2)[:axes])
        cotangent = image(*layer(x).shape)
        gradient, of_x = filter_grad(lambda pair: jnp.sum(pair[0](pair[1]) * cotangent))(
            (layer, jnp.asarray(x))
        )
        direction = image(*layer.weight.shape)
        bare = tree_at(lambda m: (m.weight, m.bias), layer, (direction, np.zeros((3, *[1] * axes))))
        expected = np.sum(defined(bare, x, layer.padding) * cotangent)
        np.testing.assert_allclose(np.sum(gradient.weight * direction), expected, rtol=1e-4)
        bare = tree_at(lambda m: m.bias, layer, np.zeros((3, *[1] * axes)))
        expected = np.sum(defined(bare, x, layer.padding) * cotangent)
        np.testing.assert_allclose(np.sum(of_x * x), expected, rtol=1e-4)

    @pytest.mark.parametrize("kind", [ConvTranspose1d, ConvTranspose3d])
    def test_under_the_transformations(self, kind):
        layer = kind(2, 3, 3, 2, key=KEY)
        x = image(2, *(4, 3, 2)[: layer.num_spatial_dims])
        expected = jnp.stack([layer(x), layer(-x)])
        for mapped in (jax.vmap(layer), jax.jit(jax.vmap(layer))):
            np.testing.assert_allclose(mapped(jnp.stack([x, -x])), expected, rtol=1e-5, atol=1e-6)
        out, tangent = jax.jvp(layer, (x,), (x,))
        np.testing.assert_allclose(tangent, out - layer.bias, rtol=1e-5, atol=1e-6)
        layers = jax.vmap(lambda key: kind(2, 3, 3, 2, key=key))(jax.random.split(KEY))
        assert jax.vmap(lambda layer: layer(x))(layers).shape == (2, *layer(x).shape)

    def test_size_of_the_output(self):
        x = image(2, 5)
        for more in range(3):
            layer = ConvTranspose1d(2, 3, 4, 3, more, padding=1, dilation=2, key=KEY)
            assert layer(x).shape == (3, 4 * 3 - 2 + 2 * 3 + more + 1)
            layer = ConvTranspose1d(2, 3, 4, 3, more, padding="SAME", key=KEY)
            assert layer(x).shape == (3, 15 - more)

    @pytest.mark.parametrize("size", [0, 1])
    def test_small_images(self, size):
        layer = ConvTranspose3d(2, 3, 3, 2, key=KEY)
        assert layer(image(2, 2, size, 2)).shape == (3, 5, size + 2, 5)
        layer = ConvTranspose3d(2, 3, 1, 2, padding=1, key=KEY)
        assert layer(image(2, 3, 3, 3)).shape == (3, 3, 3, 3)

    def test_operations_carry_the_name_of_the_layer(self, program_text):
        layer = ConvTranspose1d(2, 3, 3, key=KEY)
        assert "eqx.nn.ConvTranspose/" in program_text(layer, image(2, 5))


class TestDtypes:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_of_parameters_and_result(self, dtype):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            layer = ConvTranspose3d(2, 3, 3, 2, dtype=dtype, key=KEY)
            assert layer.weight.dtype == layer.bias.dtype == dtype
            assert layer(jnp.asarray(image(2, 2, 2, 2), dtype)).dtype == dtype

    def test_another_dtype_is_refused(self):
        with pytest.raises(TypeError, match="`ConvTranspose1d` expects `x` of the dtype of its"):
            ConvTranspose1d(2, 3, 3, key=KEY)(np.ones((2, 5), np.int32))


class TestFields:
    def test_are_normalised(self):
        layer = ConvTranspose2d(4, 6, [3, 2], 2, (0, 1), [1, [0, 2]], groups=2, key=KEY)
        assert (layer.kernel_size, layer.stride, layer.dilation) == ((3, 2), (2, 2), (1, 1))
        assert (layer.output_padding, layer.padding) == ((0, 1), ((1, 1), (0, 2)))
        assert layer.weight.shape == (6, 2, 3, 2)
        assert layer.bias.shape == (6, 1, 1)

    @pytest.mark.parametrize("kind", [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d])
    def test_kinds_take_output_padding_first(self, kind):
        names = list(inspect.signature(kind).parameters)
        assert names[3:6] == ["stride", "output_padding", "padding"]
        assert sorted([*names, "num_spatial_dims"]) == sorted(
            inspect.signature(ConvTranspose).parameters
        )


class TestMistakes:
    @pytest.mark.parametrize("more", [2, (0, 3)])
    def test_output_padding(self, more):
        with pytest.raises(ValueError, match=r"`output_padding` below `stride` along each axis"):
            ConvTranspose2d(2, 3, 3, 2, more, key=KEY)
        with pytest.raises(TypeError, match=r"2 of them as `output_padding`, got None"):
            ConvTranspose2d(2, 3, 3, 2, None, key=KEY)

    @pytest.mark.parametrize(
        "how",
        [
            {"padding_mode": "REFLECT", "padding": "SAME"},
            {"padding_mode": "replicate"},
            {"padding_mode": "CIRCULAR", "padding": 1},
            {"padding_mode": "CIRCULAR", "padding": "VALID"},
            {"padding_mode": "CIRCULAR", "padding": "SAME", "stride": 2, "output_padding": 1},
        ],
        ids=str,
    )
    def test_padding_modes(self, how):
        with pytest.raises(NotImplementedError, match=r'`"CIRCULAR"` with `padding` of `"SAME"`'):
            ConvTranspose2d(2, 3, 3, **how, key=KEY)

    def test_groups(self):
        with pytest.raises(ValueError, match="`in_channels=2` and `groups=3`"):
            ConvTranspose2d(2, 3, 3, groups=3, key=KEY)

    def test_shape_of_input(self):
        layer = ConvTranspose2d(2, 3, 3, key=KEY)
        with pytest.raises(ValueError, match=r"`ConvTranspose2d`.*use `jax.vmap\(layer\)`"):
            layer(image(7, 2, 5, 6))
        with pytest.raises(ValueError, match=r"of shape \(2, dim_1, dim_2\), got shape \(3, 5, 6"):
            layer(image(3, 5, 6))
        with pytest.raises(AttributeError, match="`ConvTranspose2d` expects an array `x`"):
            layer([1.0])
