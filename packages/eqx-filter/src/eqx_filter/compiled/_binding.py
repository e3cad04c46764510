"""Calls that say the same in other words, brought to one form: `f(x, y=1)` is `f(x, 1)`.

So that they share a program. How a call is brought there is worked out once for each number of
positional arguments and set of keywords; after that it is a look-up per argument.
"""

import inspect
import types
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import BoundMethod

from ..shared._predicates import is_array

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Given:
    """Stands for an argument of the call: positional by index, or keyword by name."""

    __slots__ = ("key",)

    def __init__(self, key: int | str) -> None:
        self.key = key


class Binding:
    """The signature of a function, and how its calls are brought to one form."""

    def __init__(self, fun: Any, *, fill_defaults: bool) -> None:
        self.signature = _signature(fun)
        self.fill_defaults = fill_defaults
        self.full = self._full_length() if fill_defaults else 0
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

        A default that holds arrays is left out, since it would become an input of the program, and
        so is one without a hash. A call that does not fit the signature stays as it is, for the
        function itself to refuse.
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
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                break  # left to the function: a call without keywords is not looked into
            if name not in bound.arguments and default is not inspect.Parameter.empty:
                if not (self.fill_defaults and all(map(_is_constant, jtu.tree_leaves(default)))):
                    break
                bound.arguments[name] = default
        order = {name: i for i, name in enumerate(self.signature.parameters)}
        bound.arguments = dict(sorted(bound.arguments.items(), key=lambda item: order[item[0]]))
        return bound.args, bound.kwargs


def _signature(fun: Any) -> inspect.Signature | None:
    """The signature of the code that a callable runs, not of what it says that it wraps.

    None for a callable that binds arguments of its own: another of its type binds others.
    """
    if isinstance(fun, BoundMethod):
        fun = fun.__wrapped__
    elif not isinstance(fun, types.FunctionType):
        call = type(fun).__call__
        if isinstance(fun, type) or not isinstance(call, types.FunctionType):
            return None
        fun = types.MethodType(call, fun)
    return inspect.signature(fun, follow_wrapped=False)


def _is_constant(leaf: Any) -> bool:
    try:
        hash(leaf)
    except TypeError:
        return False
    return not is_array(leaf)


def _value(slot: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if type(slot) is not _Given:
        return slot
    return args[slot.key] if isinstance(slot.key, int) else kwargs[slot.key]
