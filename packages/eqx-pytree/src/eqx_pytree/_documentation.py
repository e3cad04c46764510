"""What a documentation build shows in the place of objects: `doc_repr` and `doc_remove_args`.

A build says that it is one by setting `typing.GENERATING_DOCUMENTATION` before it imports anything,
as jaxtyping's documentation asks for. At any other time both give back what they were given.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


class _Shown:
    """Stands for a default value in a signature."""

    def __init__(self, obj: Any, text: str) -> None:
        self.obj = obj
        self.text = text

    def __repr__(self) -> str:
        return self.text


def doc_repr(obj: _T, string: str) -> _T:
    """Show a default value in documentation by a text of one's own.

    **Arguments:** `obj`, anything; `string`, the text.

    **Returns:** `obj`; in a documentation build, an object whose `repr` is `string`.
    """
    shown: Any = _Shown(obj, string)
    return shown if _documents() else obj


def doc_remove_args(*args: str) -> Callable[[_F], _F]:
    """Leave arguments out of the signature that documentation shows.

    **Arguments:** `args`, names of parameters; those that a function does not have are ignored.

    **Returns:** a decorator. It gives back the function; in a documentation build, with a
    `__signature__` that lacks the parameters.
    """

    def hide(function: _F) -> _F:
        if _documents():
            signature = inspect.signature(function)
            shown = [p for name, p in signature.parameters.items() if name not in args]
            function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        return function

    return hide


def _documents() -> bool:
    return bool(getattr(typing, "GENERATING_DOCUMENTATION", False))
