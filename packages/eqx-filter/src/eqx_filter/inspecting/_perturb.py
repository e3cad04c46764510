"""What `capture` adds to marked values, so that a gradient with respect to them can be taken."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..shared._describe import describe_value
from ..shared._predicates import is_number_or_array
from ._found import Found, computed_again

_TAKES = (
    (jnp.integer, (jnp.integer,)),
    (jnp.floating, (jnp.integer, jnp.floating)),
    (jnp.complexfloating, (jnp.integer, jnp.inexact)),
)
"""What kinds of numbers can be added to arrays of each kind."""

_TWICE = "a checkpoint in a derivative that `fn` takes, which computes it twice"


def shifts_of(
    perturb: Mapping[str, Any] | None, found: Sequence[Found], jaxpr: Any, level: int
) -> list[list[Any] | None]:
    """For each mark what is added to its arrays.

    **Raises:** `ValueError` for a path that is not there, or where nothing can be added, and for
    another structure, shape or dtype.
    """
    shifts: list[list[Any] | None] = [None] * len(found)
    places: dict[str, list[int]] = {}
    for i, it in enumerate(found):
        places.setdefault(it.label.tag.path, []).append(i)
    again = {label.tag.path for label in computed_again(jaxpr, level)} if perturb else set()
    for path, value in (perturb or {}).items():
        if path not in places:
            told = ", ".join(f"`{it}`" for it in places)
            message = f"`perturb` has `{path}`, where nothing is captured; there are {told}."
            raise ValueError(message)
        if value is None:
            continue
        why = _TWICE if path in again else found[places[path][0]].why_fixed
        if why is not None:
            message = f"`perturb` can add nothing to `{path}`: it is called in {why}. Leave it out."
            raise ValueError(message)
        for i, one in zip(places[path], _calls(path, value, len(places[path])), strict=True):
            shifts[i] = None if one is None else _shift(path, one, found[i])
    return shifts


def _calls(path: str, value: Any, count: int) -> tuple[Any, ...]:
    """What is given for each call."""
    if count == 1:
        return (value,)
    if not (isinstance(value, tuple) and len(value) == count):
        message = (
            f"`{path}` is called {count} times: `perturb` needs a tuple of {count} for it, and has "
            f"{describe_value(value)}."
        )
        raise ValueError(message)
    return value


def _shift(path: str, value: Any, found: Found) -> list[Any]:
    """What is added to each array of one mark, of its shape and dtype; None for nothing."""
    layout = found.label.layout
    try:
        leaves = layout.structure.flatten_up_to(value)
    except ValueError as error:
        message = (
            f"`perturb` has for `{path}` another structure than what is captured there: {error}"
        )
        raise ValueError(message) from None
    for place, _ in reversed(layout.static):
        del leaves[place]
    return [
        None if leaf is None else _like(path, leaf, shape, aval.dtype)
        for leaf, shape, aval in zip(leaves, found.shapes, found.avals, strict=True)
    ]


def _like(path: str, x: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    fits = (
        is_number_or_array(x)
        and _broadcasts(jnp.shape(x), shape)
        and any(jnp.issubdtype(dtype, kind) and _is_of(x, kinds) for kind, kinds in _TAKES)
    )
    if not fits:
        kind = f"shape {shape} and dtype {dtype}"
        message = (
            f"`perturb` has {describe_value(x)} for `{path}`, which cannot be added to {kind}. "
            "Make it by `jnp.zeros_like` of what is captured, or None for nothing."
        )
        raise ValueError(message)
    return jnp.broadcast_to(jnp.asarray(x).astype(dtype), shape)


def _is_of(x: Any, kinds: tuple[Any, ...]) -> bool:
    return any(jnp.issubdtype(jnp.result_type(x), kind) for kind in kinds)


def _broadcasts(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, onto) == onto
    except ValueError:
        return False
