"""What convolutions and pools share: numbers along each axis, and inputs of the wrong rank.

Knows no layer. A layer acts on one example of shape `(channels, dim_1, ..., dim_N)`, or with
`data_format="channels_last"` of shape `(dim_1, ..., dim_N, channels)`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal

from ._shapes import for_a_batch, shape_of

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
DataFormat = Literal["channels_first", "channels_last"]


def checked_format(layer: str, data_format: Any) -> DataFormat:
    """Return where a layer has its channels. **Raises** `ValueError` for anything else."""
    if data_format in ("channels_first", "channels_last"):
        return data_format
    message = (
        f'`{layer}` takes as `data_format` `"channels_first"` or `"channels_last"`, got '
        f"{data_format!r}."
    )
    raise ValueError(message)


def is_last(layer: Any) -> bool:
    """Whether the channels of a layer are the last axis."""
    return layer.data_format == "channels_last"


def spatial(values: Sequence[Any], *, last: bool) -> Any:
    """Of what there is for each axis of an example, that of the spatial axes."""
    return values[:-1] if last else values[1:]


def with_channels(channels: Any, values: Sequence[Any], *, last: bool) -> tuple[Any, ...]:
    """What there is for each axis of an example: that of the channels, and of the spatial axes."""
    return (*values, channels) if last else (channels, *values)


def per_axis(
    layer: str,
    name: str,
    value: Any,
    axes: int,
    *,
    least: int | None = 1,
    refusal: type[Exception] = TypeError,
) -> Ints:
    """Return one `int` for each axis: `value` for all of them, or its elements.

    **Raises** `refusal` for what is neither an integer nor a sequence, `TypeError` for elements
    that are no integers, and `ValueError` for another number of them and for less than `least`.
    """
    rule = f"`{layer}` needs an integer or {axes} of them as `{name}`"
    number = as_integer(value)
    if number is not None:
        found: Ints = (number,) * axes
    elif not isinstance(value, Sequence):
        message = f"{rule}, got {value!r} of type `{type(value).__name__}`."
        raise refusal(message)
    elif isinstance(value, str) or len(value) != axes:
        message = f"{rule}, one for each spatial axis, got {value!r}."
        raise ValueError(message)
    else:
        found = tuple(_element(rule, element) for element in value)
    if least is not None and any(number < least for number in found):
        message = f"{rule}, each at least {least}, got {value!r}."
        raise ValueError(message)
    return found


def pad_pairs(layer: str, value: Any, axes: int, *, or_name: str = "") -> Pairs:
    """Return `(before, after)` for each axis, from one number, one for each axis, or pairs.

    **Raises** `ValueError` for anything else; `or_name` says what else the layer takes.
    """
    number = as_integer(value)
    if number is not None:
        return ((number, number),) * axes
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == axes:
        pairs = [_pair(element) for element in value]
        if None not in pairs:
            return tuple(pair for pair in pairs if pair is not None)
    message = (
        f"`{layer}` needs as `padding` {or_name}an integer, or for each of its {axes} spatial axes "
        f"an integer or a pair `(before, after)` of integers; got {value!r}."
    )
    raise ValueError(message)


def as_integer(value: Any) -> int | None:
    """Return an integer of any kind as an `int`; `None` for anything else."""
    if isinstance(value, int):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return None


def _element(rule: str, element: Any) -> int:
    number = as_integer(element)
    if number is None:
        message = f"{rule}, got the element {element!r} of type `{type(element).__name__}`."
        raise TypeError(message)
    return number


def _pair(element: Any) -> tuple[int, int] | None:
    number = as_integer(element)
    if number is not None:
        return number, number
    if not isinstance(element, Sequence) or isinstance(element, str) or len(element) != 2:
        return None
    before, after = map(as_integer, element)
    return None if before is None or after is None else (before, after)


def wrong_rank(
    layer: str,
    x: Any,
    channels: int | str,
    axes: int,
    kind: type[Exception],
    *,
    last: bool = False,
) -> Exception:
    """Say that `x` has not one axis of channels and `axes` spatial ones; of type `kind`.

    What is no array has no rank: then the error is an `AttributeError`.
    """
    expected = describe_shape(channels, axes, last=last)
    shape = getattr(x, "shape", None)
    if shape is None:
        return AttributeError(
            f"`{layer}` expects an array `x` of shape {expected}; a `{type(x).__name__}` has no "
            f"attribute 'shape'. Use `jax.numpy.asarray(x)`."
        )
    told = f"`{layer}` expects `x` of shape {expected}, got shape {shape_of(x)}."
    if len(shape) > axes + 1:
        told += for_a_batch(len(shape) - axes - 1)
    elif len(shape) == axes:
        added = "x[..., None]" if last else "x[None]"
        told += f" If the axis of channels is missing, add it with `{added}`."
    return kind(told)


def describe_shape(channels: int | str, axes: int, *, last: bool = False) -> str:
    """The shape of an input, with names for what may have any size."""
    sizes = [f"dim_{axis}" for axis in range(1, axes + 1)]
    dims = with_channels(str(channels), sizes, last=last)
    return f"({dims[0]},)" if axes == 0 else f"({', '.join(dims)})"
