"""How a message names a function that the user wrote."""

import inspect
from collections.abc import Callable
from typing import Any


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
