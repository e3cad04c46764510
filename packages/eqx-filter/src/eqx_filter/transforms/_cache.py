"""Where programs are kept: with the function that they were compiled from.

A function's programs lie in its own `__dict__`, so they are found however often it is wrapped, and
they form a cycle with it that the garbage collector frees whole. A callable without `__dict__`,
such as a built-in, has them in a table of weak references, or lives forever anyway.
"""

import functools
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import BoundMethod, Partial

from ._options import Options
from ._programs import Programs

_ATTRIBUTE = "__eqx_filter_programs__"
_MOST_OPTIONS = 64
"""Sets of options kept for one function; the oldest goes when there are more."""


class _Table(dict[Hashable, Programs]):
    """The programs of `owner`. A copy of the function's `__dict__` does not make them another's."""

    def __init__(self, owner: Any = None) -> None:
        super().__init__()
        self.owner = owner

    def __reduce__(self) -> tuple[Any, ...]:
        return _Table, ()


_elsewhere_weak: "weakref.WeakKeyDictionary[Any, _Table]" = weakref.WeakKeyDictionary()
_elsewhere: dict[int, _Table] = {}


def programs_of(fun: Any, options: Options) -> Programs:
    """The programs of a callable under these options."""
    if type(fun) is types.FunctionType:
        table = fun.__dict__.get(_ATTRIBUTE)
        if table is not None and table.owner is fun:
            programs = table.get(options)
            if programs is not None:
                return programs
        return _find(fun, options, fun, options)
    return _find(_anchor(fun), (options, type(fun)), None, options, like=fun)


def as_tree(fun: Any) -> Any:
    """A method of an instance that is a PyTree, as a PyTree itself; anything else as it is."""
    if isinstance(fun, types.MethodType) and not jtu.all_leaves([fun.__self__]):
        return BoundMethod(fun.__func__, fun.__self__)
    return fun


def clear_programs(fun: Any) -> None:
    """Drop what was compiled for a callable."""
    _table(_anchor(fun)).clear()


def _find(
    anchor: Any,
    key: Hashable,
    fun: Callable[..., Any] | None,
    options: Options,
    like: Any = None,
) -> Programs:
    table = _table(anchor)
    programs = table.get(key)
    if programs is None:
        programs = Programs(options, fun, fun if like is None else like)
        if len(table) >= _MOST_OPTIONS:
            table.pop(next(iter(table)), None)
        table[key] = programs
    return programs


def _anchor(fun: Any) -> Any:
    """The function whose code a callable runs in the end."""
    while type(fun) is not types.FunctionType:
        if hasattr(fun, "__func__"):
            fun = fun.__func__
        elif hasattr(fun, "__wrapped__"):
            fun = fun.__wrapped__
        elif isinstance(fun, (functools.partial, Partial)):
            fun = fun.func
        elif isinstance(type(fun).__call__, types.FunctionType):
            return type(fun).__call__
        else:
            return fun
    return fun


def _table(anchor: Any) -> _Table:
    held = getattr(anchor, "__dict__", None)
    if isinstance(held, dict):
        table = held.get(_ATTRIBUTE)
        if table is None or table.owner is not anchor:
            table = held[_ATTRIBUTE] = _Table(anchor)
        return table
    try:
        return _elsewhere_weak.setdefault(anchor, _Table())
    except TypeError:
        return _elsewhere.setdefault(id(anchor), _Table(anchor))
