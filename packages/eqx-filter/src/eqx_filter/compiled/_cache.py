"""Where programs are kept: with what they were compiled from, so that they die with it.

A function's programs lie in its own `__dict__`: they are found however often it is wrapped, and
form a cycle with it that the garbage collector frees whole. The same goes for a partial, an
instance whose method is jitted, and any other callable; a class has them as an attribute. What has
no `__dict__`, such as a built-in, has them in a table, and mostly lives forever anyway.
"""

import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax.tree_util as jtu

from ._options import Options
from ._programs import Programs, making

_ATTRIBUTE = "__eqx_filter_programs__"
_MOST_OPTIONS = 64
"""Sets of options kept for one function; the oldest goes when there are more."""

_HEAP_TYPE = 1 << 9
"""Of `type.__flags__`: made by a class statement, so that attributes can be set."""


class _Table(dict[Hashable, Any]):
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
    return _find(holder_of(fun), (options, type(fun)), None, options, like=fun)


def _find(
    holder: Any,
    key: Hashable,
    fun: Callable[..., Any] | None,
    options: Options,
    like: Any = None,
) -> Programs:
    programs = table_of(holder).get(key)
    return _make(holder, key, fun, options, like) if programs is None else programs


def _make(holder: Any, key: Hashable, fun: Any, options: Options, like: Any) -> Programs:
    with making:  # or threads that come at once would make a set of programs each
        table = table_of(holder)
        programs = table.get(key)
        if programs is None:
            programs = Programs(options, fun, fun if like is None else like)
            if len(table) >= _MOST_OPTIONS:
                table.pop(next(iter(table)), None)
            table[key] = programs
    return programs


def holder_of(fun: Any) -> Any:
    """The function that a callable calls in the end, with which its programs are kept."""
    while not isinstance(fun, (types.FunctionType, type)):
        if isinstance(fun, types.MethodType):
            return fun.__self__
        if jtu.all_leaves([fun]):
            return fun
        for attribute in ("__func__", "__wrapped__", "func"):
            if hasattr(fun, attribute):
                fun = getattr(fun, attribute)
                break
        else:
            fun = type(fun).__call__
    return fun


def table_of(holder: Any) -> _Table:
    """What is kept with a holder, by key; it goes when the holder does."""
    held = getattr(holder, "__dict__", None)
    if isinstance(held, dict):
        table = held.get(_ATTRIBUTE)
        if table is None or table.owner is not holder:
            table = held[_ATTRIBUTE] = _Table(holder)
        return table
    if isinstance(holder, type) and holder.__flags__ & _HEAP_TYPE:
        table = vars(holder).get(_ATTRIBUTE)
        if table is None or table.owner is not holder:
            table = _Table(holder)
            setattr(holder, _ATTRIBUTE, table)
        return table
    try:
        return _elsewhere_weak.setdefault(holder, _Table())
    except TypeError:
        return _elsewhere.setdefault(id(holder), _Table(holder))
