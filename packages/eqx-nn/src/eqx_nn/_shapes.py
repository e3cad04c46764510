"""What is said of an input of the wrong shape. Looked at only once something has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = tuple[int, ...]


def wrong_shape(
    layer: str, error: Exception, inputs: Mapping[str, tuple[Any, Shape | None]]
) -> Exception:
    """Return an error of the type of `error` that tells of the first wrong input.

    `inputs` maps each argument's name to what was given and the shape that was expected. Where
    every input has the expected shape, `error` is about something else and is returned itself.
    """
    if type(error) not in (TypeError, ValueError):
        return error
    for name, (given, expected) in inputs.items():
        if expected is not None and shape_of(given) != expected:
            return type(error)(describe(layer, name, given, expected))
    return error


def shape_of(x: Any) -> Shape | None:
    """The shape of an array or a number; `None` for anything else."""
    if isinstance(x, (int, float, complex)):
        return ()
    return getattr(x, "shape", None)


def columns(weight: Any) -> Shape | None:
    """The shape of what `weight` can be multiplied with, if `weight` is an array."""
    shape = shape_of(weight)
    return None if shape is None else shape[-1:]


def describe(layer: str, name: str, given: Any, expected: Shape | None) -> str:
    """Say what `layer` expects as `name`, what it was given, and the way out."""
    shape = shape_of(given)
    rule = f"`{layer}` expects `{name}` of shape {expected}"
    if shape is None:
        kind = type(given).__name__
        return f"{rule}, got a `{kind}`, which is no array. Use `jax.numpy.asarray({name})`."
    told = f"{rule}, got shape {shape}."
    extra = 0 if expected is None else len(shape) - len(expected)
    if extra <= 0:
        return told
    if extra == 1 and shape[1:] != expected and shape[:-1] == expected:
        vmapped = f"jax.vmap(layer, in_axes={len(shape) - 1})"
        return (
            f"{told} A layer acts on one example; for a batch along the last axis use `{vmapped}`."
        )
    return f"{told}{for_a_batch(extra)}"


def for_a_batch(axes: int = 1) -> str:
    """Say how to call a layer on what has `axes` axes of a batch in front."""
    along = "a batch along the first axis" if axes == 1 else f"batches along the first {axes} axes"
    vmapped = "jax.vmap(" * axes + "layer" + ")" * axes
    return f" A layer acts on one example; for {along} use `{vmapped}`."


def for_channels(shape: Shape, channels: int | None, *, last: bool = False) -> str:
    """Say how to call a layer on what may have its `channels` in another place than the layer."""
    if last:
        if channels is None or len(shape) < 2 or shape[-1] == channels or shape[0] != channels:
            return ""
        return " If the channels are the first axis, put them last: `jax.numpy.moveaxis(x, 0, -1)`."
    if channels is None or len(shape) < 2 or shape[0] == channels:
        return ""
    if shape[1] == channels:
        return for_a_batch()
    if shape[-1] == channels:
        return " If the channels are the last axis, put them first: `jax.numpy.moveaxis(x, -1, 0)`."
    return ""
