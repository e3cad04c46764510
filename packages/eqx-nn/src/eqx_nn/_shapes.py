"""What is said of an input of the wrong shape. Looked at only once something has failed."""

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
    if expected is None or len(shape) <= len(expected):
        return told
    if shape[1:] != expected and shape[:-1] == expected:
        axis, vmapped = "last", f"jax.vmap(layer, in_axes={len(shape) - 1})"
    else:
        axis, vmapped = "first", "jax.vmap(layer)"
    return f"{told} A layer acts on one example; for a batch along the {axis} axis use `{vmapped}`."
