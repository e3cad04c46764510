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
POOLS = {
    "Pool": (lambda **more: nn.Pool(-jnp.inf, jax.lax.max, 1, 2, **more), (2, 5)),
    "MaxPool1d": (lambda **more: nn.MaxPool1d(2, 2, use_ceil=True, **more), (2, 5)),
    "MaxPool2d": (lambda **more: nn.MaxPool2d((3, 2), 2, ((1, 0), (0, 1)), **more), (2, 5, 4)),
    "MaxPool3d": (lambda **more: nn.MaxPool3d(2, **more), (2, 2, 3, 4)),
    "AvgPool1d": (lambda **more: nn.AvgPool1d(2, **more), (2, 5)),
    "AvgPool2d": (lambda **more: nn.AvgPool2d(2, 2, **more), (2, 5, 4)),
    "AvgPool3d": (lambda **more: nn.AvgPool3d(2, **more), (2, 2, 3, 4)),
    "AdaptivePool": (lambda **more: nn.AdaptivePool((2, 3), 2, jnp.median, **more), (2, 4, 7)),
    "AdaptiveAvgPool1d": (lambda **more: nn.AdaptiveAvgPool1d(2, **more), (3, 4)),
    "AdaptiveAvgPool2d": (lambda **more: nn.AdaptiveAvgPool2d((2, 3), **more), (2, 4, 6)),
    "AdaptiveAvgPool3d": (lambda **more: nn.AdaptiveAvgPool3d(2, **more), (2, 3, 4, 5)),
    "AdaptiveMaxPool1d": (lambda **more: nn.AdaptiveMaxPool1d(2, **more), (3, 5)),
    "AdaptiveMaxPool2d": (lambda **more: nn.AdaptiveMaxPool2d(2, **more), (2, 4, 6)),
    "AdaptiveMaxPool3d": (lambda **more: nn.AdaptiveMaxPool3d(2, **more), (2, 3, 4, 5)),
}
NORMS = {
    "GroupNorm": (lambda **more: nn.GroupNorm(2, 4, **more), (4, 3, 2)),
    "GroupNorm without affine": (
        lambda **more: nn.GroupNorm(2, channelwise_affine=False, **more),
        (4, 3),
    ),
    "GroupNorm of a vector": (lambda **more: nn.GroupNorm(2, 4, **more), (4,)),
    "InstanceNorm": (lambda **more: nn.InstanceNorm(3, **more), (3, 4, 2)),
}
IMAGES = {
    "PixelShuffle": (lambda **more: nn.PixelShuffle((2, 1), **more), (4, 2, 3)),
    "PixelUnshuffle": (lambda **more: nn.PixelUnshuffle((2, 1), **more), (2, 2, 3)),
    "Upsample": (lambda **more: nn.Upsample(2, **more), (2, 2, 3)),
    "Upsample, linear": (lambda **more: nn.Upsample(size=(3, 5), mode="linear", **more), (2, 2, 3)),
}
LAYERS = CONVOLUTIONS | POOLS | NORMS | IMAGES


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
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    gradient = filter_jit(filter_grad(lambda it, by: (it[0](it[1]) * by).sum()))
    *expected, by_image = jax.tree.leaves(gradient((first, jnp.asarray(image)), weights))
    by = np.moveaxis(weights, 0, -1)
    *found, by_moved = jax.tree.leaves(gradient((last, jnp.asarray(moved)), by))
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.moveaxis(by_moved, -1, 0), by_image, rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize("cls", [nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d])
def test_shapes_of_pools_are_told_in_their_order(cls):
    kind = ValueError if cls is nn.AdaptiveMaxPool2d else AssertionError
    with pytest.raises(kind, match=r"`x` of shape \(dim_1, dim_2, channels\), got shape \(5, 4\)"):
        cls(2, **LAST)(x(5, 4))


@pytest.mark.parametrize("layer", [make(**LAST) for make, _ in IMAGES.values()], ids=list(IMAGES))
def test_shapes_of_images_are_told_in_their_order(layer):
    with pytest.raises(
        ValueError, match=r"`x` of shape \(dim_1, dim_2, channels\), got shape \(5, 4\)"
    ):
        layer(x(5, 4))


def test_shapes_of_norms_are_told_in_their_order():
    for layer in (nn.GroupNorm(2, 4, **LAST), nn.InstanceNorm(4, **LAST)):
        with pytest.raises(ValueError, match=r"`x` of shape \(4, 3, 4\), got shape \(4, 3, 2\)"):
            layer(x(4, 3, 2))
        with pytest.raises(ValueError, match="are the first axis, put them last"):
            layer(x(4, 3, 2))
    with pytest.raises(ValueError, match=r"`x` of shape \(dim_1, \.\.\., 4\), got shape \(4,\)"):
        layer(x(4))


@pytest.mark.parametrize("mode", ["ema", "batch"])
@pytest.mark.parametrize("inference", [False, True])
def test_batch_norm(mode, inference):
    def run(xs, **more):
        make = nn.make_with_state(nn.BatchNorm)
        layer, state = make(3, "batch", mode=mode, **more)
        call = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        _, state = call(xs, state)
        return (call(xs + 1, state) if not inference else still(layer, xs, state))[0], state

    def still(layer, xs, state):
        return jax.vmap(lambda x: layer(x, state, inference=True)[0])(xs), state

    xs = x(4, 3, 2, 5)
    expected, state = run(xs)
    found, moved = run(np.moveaxis(xs, 1, -1), **LAST)
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=1e-5, atol=1e-5)
    for mine, other in zip(jax.tree.leaves(moved), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match=r"`x` of shape \(3, 2, 3\).*the first axis, put them last"):
        nn.BatchNorm(3, "batch", mode=mode, **LAST)(xs[0, :, :, :1].repeat(2, -1), state)
    with pytest.raises(ValueError, match="`BatchNorm` takes as `data_format`"):
        nn.BatchNorm(3, "batch", mode=mode, data_format="NHWC")


def test_one_convolution_without_transpositions():
    layer = nn.Conv2d(2, 3, 3, **LAST, key=KEY)
    text = str(jax.make_jaxpr(layer)(jnp.ones((5, 4, 2))))
    assert (text.count("conv_general_dilated["), text.count("transpose[")) == (1, 0)
