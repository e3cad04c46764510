"""Pickled state of layers that hold functions: those of JAX are written down by public name.

Pickle finds a function by its module and name, and under the private names that JAX's jitted
functions carry it finds another object, and refuses. Knows nothing of layers.
"""

from __future__ import annotations

import importlib
from typing import Any

from ._activation import public_name


class ByName:
    """Stands for a function in a state until it is pickled, and becomes that function again."""

    __slots__ = ("function", "module", "name")

    def __init__(self, function: Any, module: str, name: str) -> None:
        self.function, self.module, self.name = function, module, name

    def __reduce__(self) -> tuple[Any, ...]:
        return find, (self.module, self.name)


def find(module: str, name: str) -> Any:
    """The function of that public name."""
    return getattr(importlib.import_module(module), name)


def to_state(fields: dict[str, Any]) -> dict[str, Any]:
    """What `__getstate__` returns of an instance's `__dict__`."""
    return {field: _by_name(value) for field, value in fields.items()}


def _by_name(value: Any) -> Any:
    name = public_name(value)
    return value if name is None else ByName(value, *name)


def from_state(state: dict[str, Any]) -> dict[str, Any]:
    """The fields again. `copy.copy` hands over a state that was never pickled."""
    return {k: v.function if type(v) is ByName else v for k, v in state.items()}
