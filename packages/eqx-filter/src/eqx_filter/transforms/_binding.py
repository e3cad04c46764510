"""Calls that say the same in other words, brought to one form: `f(x, y=1)` is `f(x, 1)`.

So that they share a program. How a call is brought there is worked out once for each number of
positional arguments and set of keywords; after that it is a look-up per argument.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

from .._predicates import is_array

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Given:
    """Stands for an argument of the call: positional by index, or keyword by name."""

    __slots__ = ("key",)

    def __init__(self, key: int | str) -> None:
        self.key = key


class Binding:
    """The signature of a function, and how its calls are brought to one form."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        try:
            self.signature: inspect.Signature | None = inspect.signature(fun)
        except (TypeError, ValueError):
            self.signature = None
        self.full = self._full_length()
        self._forms: dict[tuple[int, tuple[str, ...]], tuple[Any, Any] | None] = {}

    def _full_length(self) -> int:
        """How many positional arguments a call has when no default is used; 0 if never fewer."""
        if self.signature is None:
            return 0
        positional = [p for p in self.signature.parameters.values() if p.kind in _POSITIONAL]
        has_default = any(p.default is not inspect.Parameter.empty for p in positional)
        return len(positional) if has_default else 0

    def __call__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Bring a call to its form: positional where it can be, defaults filled in.

        A default that holds arrays is left out, since it would become an input of the program. A
        call that does not fit the signature stays as it is, for the function itself to refuse.
        """
        shape = len(args), tuple(sorted(kwargs))
        if shape not in self._forms:
            self._forms[shape] = self._form(*shape)
        form = self._forms[shape]
        if form is None:
            return args, kwargs
        positional, keyword = form
        return (
            tuple(_value(slot, args, kwargs) for slot in positional),
            {name: _value(slot, args, kwargs) for name, slot in keyword.items()},
        )

    def _form(self, count: int, names: tuple[str, ...]) -> tuple[Any, Any] | None:
        if self.signature is None:
            return None
        try:
            bound = self.signature.bind(
                *map(_Given, range(count)), **{name: _Given(name) for name in names}
            )
        except TypeError:
            return None
        for name, parameter in self.signature.parameters.items():
            default = parameter.default
            if name not in bound.arguments and default is not inspect.Parameter.empty:
                if any(map(is_array, jtu.tree_leaves(default))):
                    break
                bound.arguments[name] = default
        order = {name: i for i, name in enumerate(self.signature.parameters)}
        bound.arguments = dict(sorted(bound.arguments.items(), key=lambda item: order[item[0]]))
        return bound.args, bound.kwargs


def _value(slot: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if type(slot) is not _Given:
        return slot
    return args[slot.key] if isinstance(slot.key, int) else kwargs[slot.key]
