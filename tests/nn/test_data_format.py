"""`data_format="channels_last"`: the same numbers as with the axis moved before and after."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import filter_grad, filter_jit, tree_equal

KEY = jax.random.key(0)
LAST = {"data_format": "channels_last"}


def x(*shape):
    return np.sin(1.7 * np.arange(np.prod(shape))).reshape(shape).astype(np.float32)


def conv(cls, *args, **options):
    return lambda **more: cls(*args, **options, **more, key=KEY)


CONVOLUTIONS = {
    "Conv1d": (conv(nn.Conv1d, 2, 3, 2, stride=2), (2, 5)),
    "Conv2d": (conv(nn.Conv2d, 2, 3, (3, 2), padding=((1, 0), (0, 2))), (2, 5, 4)),
    "Conv2d, split groups": (conv(nn.Conv2d, 4, 6, 2, groups=2, use_bias=False), (4, 3, 4)),
    "Conv2d, many groups": (conv(nn.Conv2d, 6, 6, 2, groups=6), (6, 3, 4)),
    "Conv2d, reflected": (
        conv(nn.Conv2d, 2, 3, 3, padding="SAME", padding_mode="REFLECT", dilation=2),
        (2, 5, 6),
    ),
    "Conv3d": (conv(nn.Conv3d, 2, 3, 2), (2, 3, 2, 4)),
    "Conv of no axes": (conv(nn.Conv, 0, 2, 3, ()), (2,)),
    "ConvTranspose1d, circular": (
        conv(nn.ConvTranspose1d, 2, 3, 3, stride=2, padding="SAME", padding_mode="CIRCULAR"),
        (2, 4),
    ),
    "ConvTranspose2d": (conv(nn.ConvTranspose2d, 2, 4, 3, stride=2, groups=2), (2, 3, 4)),
    "ConvTranspose3d": (conv(nn.ConvTranspose3d, 2, 3, 2, stride=2), (2, 2, 3, 2)),
    "DepthwiseConv": (conv(nn.DepthwiseConv, 1, 2, 2, 2), (2, 5)),
    "SeparableConv": (conv(nn.SeparableConv, 2, 2, 3, 2), (2, 3, 4)),
}
LAYERS = CONVOLUTIONS


@pytest.mark.parametrize("name", LAYERS)
def test_results_and_gradients_are_those_with_the_axis_moved(name):
    make, shape = LAYERS[name]
    first, last = make(), make(**LAST)
    assert tree_equal(jax.tree.leaves(first), jax.tree.leaves(last))
    image = x(*shape)
    moved = np.moveaxis(image, 0, -1)
    expected, y = filter_jit(first)(image), filter_jit(last)(moved)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(np.moveaxis(y, -1, 0), expected, rtol=1e-5, atol=1e-5)
    expected = filter_jit(filter_grad(lambda layer: (layer(image) ** 2).sum()))(first)
    found = filter_jit(filter_grad(lambda layer: (layer(moved) ** 2).sum()))(last)
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_printed_and_saved_is_as_it_was(name):
    make, _ = LAYERS[name]
    first, last = make(), make(**LAST)
    assert repr(first) == repr(last)
    assert "data_format" not in repr(first)
    assert jax.tree.structure(first) != jax.tree.structure(last)


@pytest.mark.parametrize("name", LAYERS)
def test_another_format_is_told(name):
    make, _ = LAYERS[name]
    with pytest.raises(ValueError, match=r"`\w+` takes as `data_format` `.*, got 'NHWC'"):
        make(data_format="NHWC")


def test_shapes_are_told_in_the_order_of_the_layer():
    layer = nn.Conv2d(2, 3, 3, **LAST, key=KEY)
    with pytest.raises(ValueError, match=r"`x` of shape \(dim_1, dim_2, 2\), got shape \(7, 5, 4,"):
        layer(x(7, 5, 4, 2))
    with pytest.raises(ValueError, match=r"got shape \(5, 4\).*add it with `x\[\.\.\., None\]`"):
        layer(x(5, 4))
    with pytest.raises(ValueError, match=r"are the first axis, put them last: `jax\.numpy\."):
        layer(x(2, 5, 4))


def test_one_convolution_without_transpositions():
    layer = nn.Conv2d(2, 3, 3, **LAST, key=KEY)
    text = str(jax.make_jaxpr(layer)(jnp.ones((5, 4, 2))))
    assert (text.count("conv_general_dilated["), text.count("transpose[")) == (1, 0)
