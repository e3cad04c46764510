"""Traced values that a function closes over, named in the error that they lead to."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.tree_util as jtu

from ..shared._naming import function_name


@contextlib.contextmanager
def naming_closed_over(*functions: Callable[..., Any]) -> Iterator[None]:
    """Say which traced values `functions` close over, where JAX meets one that it cannot place.

    **Raises:** `jax.errors.UnexpectedTracerError`, the one that was met with names before it.
    """
    try:
        yield
    except jax.errors.UnexpectedTracerError as error:
        told = [
            f"`{name}`, which `{function_name(function)}` closes over"
            for function in functions
            for name in _traced_names(function)
        ]
        if not told:
            raise
        message = (
            "A custom rule is told of its arguments alone, and a transformation outside traces "
            f"{'; '.join(told)}. Pass it as an argument. ({error})"
        )
        raise jax.errors.UnexpectedTracerError(message) from None


def _traced_names(function: Any) -> Iterator[str]:
    while isinstance(function, functools.partial):
        function = function.func
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or cells is None:
        return
    for name, cell in zip(code.co_freevars, cells, strict=True):
        with contextlib.suppress(ValueError):  # a cell that is empty
            for path, leaf in jtu.tree_flatten_with_path(cell.cell_contents)[0]:
                if isinstance(leaf, jax.core.Tracer):
                    yield f"{name}{jtu.keystr(path)}"
