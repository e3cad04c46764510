"""How a message names a function that the user wrote, and what it returned."""

import inspect
from collections.abc import Callable
from typing import Any

from ._predicates import ABSTRACT_TOO


def describe(function: Callable[..., Any]) -> str:
    """Name a function for a message: where it was written, and its text if that is one line."""
    code = getattr(function, "__code__", None)
    if code is None:
        return f"`{function!r}`"
    place = f"{code.co_filename}:{code.co_firstlineno}"
    try:
        lines = inspect.getsource(function).strip().splitlines()
    except (OSError, TypeError):
        return f"`{function.__qualname__}` ({place})"
    return f"`{lines[0].strip()}` ({place})"


def describe_value(value: Any) -> str:
    """Name a value for a message: an array by its shape and dtype, all else by its type."""
    if isinstance(value, ABSTRACT_TOO):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} `{name}`{size}"
