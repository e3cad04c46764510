"""What a loop or a branch runs, kept with the function that it was made of.

JAX traces and compiles a loop again for each new function object. So one object serves all calls of
a function that are alike in the structure of what they pass, in static leaves, shapes and dtypes.
"""

import types
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from eqx_pytree import static_key

from ..shared._packed import Packed
from ._cache import table_of

_T = TypeVar("_T")

_STEPS = "steps"
_MOST_STEPS = 64
"""Kept for one function; the oldest goes when there are more."""


def kept_with(holder: Any, kind: Hashable, given: tuple[Packed, ...], make: Callable[[], _T]) -> _T:
    """What was made of this kind for an earlier call that was alike, or else what `make` gives.

    Only a function can hold it; with anything else as `holder` it is made each time.
    """
    if type(holder) is not types.FunctionType:
        return make()
    steps: dict[Hashable, Any] = table_of(holder).setdefault(_STEPS, {})
    try:
        key = kind, tuple(map(_key, given))
        found = steps.get(key)
    except TypeError:  # a static leaf without a hash
        return make()
    if found is None:
        if len(steps) >= _MOST_STEPS:
            steps.pop(next(iter(steps)), None)
        found = steps[key] = make()
    return found


def _key(packed: Packed) -> Hashable:
    avals = tuple((array.shape, array.dtype) for array in packed.arrays)
    return packed.layout.structure, static_key(packed.layout.static), avals
