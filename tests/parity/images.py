"""Layers for images that PyTorch has too."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

KEY = jax.random.PRNGKey(0)


class Image(NamedTuple):
    """How both libraries build the layer, and the shape of the input."""

    theirs: Callable[[Any], Any]
    ours: Callable[[Any], Any]
    shape: tuple[int, ...]


TORCH_MODES = {
    ("linear", 1): "linear",
    ("linear", 2): "bilinear",
    ("linear", 3): "trilinear",
    ("cubic", 2): "bicubic",
}


def upsample(mode: str, shape: tuple[int, ...], **options: Any) -> dict[str, Image]:
    """One way of resizing; `scale` has another name there."""
    axes = len(shape) - 1
    told = " ".join(f"{name} {value}" for name, value in options.items())
    corners = {} if mode == "nearest" else {"align_corners": options.get("align_corners", False)}
    sizes = {"scale_factor": options.get("scale"), "size": options.get("size")}
    its = {"mode": TORCH_MODES.get((mode, axes), mode), **sizes, **corners}
    image = Image(
        lambda nn: nn.Upsample(**its),
        lambda nn: nn.Upsample(mode=mode, num_spatial_dims=axes, **options),
        shape,
    )
    return {f"Upsample{axes}d {mode} {told}": image}


def images() -> dict[str, Image]:
    cases = {
        "PixelShuffle": Image(
            lambda nn: nn.PixelShuffle(2), lambda nn: nn.PixelShuffle(2), (8, 3, 2)
        ),
        "PixelUnshuffle": Image(
            lambda nn: nn.PixelUnshuffle(2), lambda nn: nn.PixelUnshuffle(2), (2, 4, 6)
        ),
    }
    for axes in (1, 2):
        cases[f"DepthwiseConv, {axes}d"] = Image(
            lambda nn, axes=axes: getattr(nn, f"Conv{axes}d")(3, 6, 2, groups=3),
            lambda nn, axes=axes: nn.DepthwiseConv(axes, 3, 2, 2, key=KEY),
            (3, *(4, 5)[:axes]),
        )
    for axes in (1, 2, 3):
        name = f"InstanceNorm{axes}d"
        cases[name] = Image(
            lambda nn, name=name: getattr(nn, name)(3, affine=True),
            lambda nn: nn.InstanceNorm(3),
            (3, *(2, 4, 3)[:axes]),
        )
        shape = (2, *(3, 4, 2)[:axes])
        cases |= upsample("nearest", shape, scale=2)
        cases |= upsample("linear", shape, scale=2)
        cases |= upsample("linear", shape, size=5, align_corners=True)
    cases |= upsample("nearest", (2, 5, 4), scale=(1.7, 0.6))
    cases |= upsample("nearest", (2, 5, 4), size=(3, 7))
    cases |= upsample("linear", (2, 5, 4), scale=1.7)
    cases |= upsample("linear", (2, 5, 4), size=(1, 3))
    for options in ({"scale": 2}, {"scale": (1.7, 0.6)}, {"size": (3, 1)}, {"size": 7}):
        for align_corners in (False, True):
            cases |= upsample("cubic", (2, 5, 4), **options, align_corners=align_corners)
    return cases
