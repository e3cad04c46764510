"""Arrays that a program does not see, since they are inside of what is held static."""

import enum
import functools
import itertools
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import warn_user

from ..shared._predicates import ARRAY_TYPES

_SEEN_THROUGH = (type, enum.Enum, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
_LIBRARIES = ("jax", "jaxlib", "numpy", "builtins")
_REGISTER = (
    "Make the class a `Module`, or register it with JAX (`jax.tree_util.register_dataclass`)"
)
_BIND = "Bind the function by `jax.tree_util.Partial(function, instance)`"
_MOST_LEAVES = 1000
"""Of one attribute that are looked at."""

_told: "weakref.WeakSet[type]" = weakref.WeakSet()


def warn_of_hidden_arrays(
    static: Sequence[Any], names: Callable[[], Sequence[str]], fun: str
) -> None:
    """Warn, once for each type, of an object that is held static and has arrays inside."""
    for place, leaf in enumerate(static):
        held = leaf.__self__ if isinstance(leaf, types.MethodType) else leaf
        kind = type(held)
        attribute = _hidden_array(held)
        if attribute is None:
            continue
        _told.add(kind)
        name, told = names()[place], f"a `{kind.__qualname__}`"
        if held is not leaf:
            subject, name = f"`{leaf.__qualname__}` is a method of {told}", "self"
        elif place == 0 and name == fun:
            subject = f"The function is {told}"
        else:
            subject = f"`{name}` of `{fun}` is {told}"
        why, cure = "which is no PyTree", _REGISTER
        if held is not leaf and not jtu.all_leaves([held]):
            why, cure = "but was not taken from one, and so is no PyTree", _BIND
        message = (
            f"{subject}, {why}: it is held static, and so is the array `{name}.{attribute}` in it. "
            f"It is neither traced nor differentiated, and a change of it is not seen. {cure}, or "
            "pass the array itself."
        )
        warn_user(message)


def holds_tracers(held: Any) -> bool:
    """Whether a function closes over a tracer, or over a function that does.

    Whatever is raised by what it closes over, it is a function like others.
    """
    try:
        return _holds_tracers(held, 4)
    except Exception:
        return False


def _holds_tracers(held: Any, depth: int) -> bool:
    if isinstance(held, functools.partial):
        inside: list[Any] = [held.func, held.args, held.keywords]
    elif isinstance(held, types.MethodType):
        inside = [held.__self__, held.__func__]
    elif isinstance(held, types.FunctionType):
        inside = list(map(_content, held.__closure__ or ()))
    else:
        return isinstance(held, jax.core.Tracer)
    leaves = itertools.chain.from_iterable(map(jtu.tree_leaves, inside))
    return depth > 0 and any(_holds_tracers(leaf, depth - 1) for leaf in leaves)


def _content(cell: types.CellType) -> Any:
    """What a cell of a closure holds; None for one that is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _hidden_array(held: Any) -> str | None:
    """Where in an object the first array is, if users are to be told of it.

    Whatever such an object raises when it is looked at, a program can hold it.
    """
    try:
        kind = type(held)
        if isinstance(held, _SEEN_THROUGH) or kind in _told or _is_of_a_library(kind):
            return None
        return next(_arrays_in(held), None)
    except Exception:
        return None


def _is_of_a_library(kind: type) -> bool:
    return str(kind.__module__).split(".")[0] in _LIBRARIES


def _arrays_in(instance: Any) -> Iterator[str]:
    """The arrays in the attributes of an instance, each by its path."""
    for name, value in _attributes(instance):
        path = _path_of_array(value)
        if path is not None:
            yield f"{name}{path}"


def _attributes(instance: Any) -> Iterator[tuple[str, Any]]:
    held = getattr(instance, "__dict__", None)
    if isinstance(held, dict):
        yield from list(held.items())
    for cls in type(instance).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield name, getattr(instance, name, None)


def _path_of_array(tree: Any) -> str | None:
    """Where in a PyTree the first array is, if one of the first leaves is any."""
    leaves = itertools.islice(jtu.tree_leaves(tree), _MOST_LEAVES)
    if not any(map(_is_changeable, leaves)):
        return None
    paths = jtu.tree_flatten_with_path(tree)[0]
    return next(jtu.keystr(path) for path, leaf in paths if _is_changeable(leaf))


def _is_changeable(leaf: Any) -> bool:
    """Whether it is an array; a NumPy scalar is a number, which no one changes or trains."""
    return isinstance(leaf, ARRAY_TYPES) and not isinstance(leaf, np.generic)
