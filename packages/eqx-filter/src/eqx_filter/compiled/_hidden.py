"""Arrays that a program does not see, since they are inside of what is held static."""

import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..shared._predicates import ARRAY_TYPES
from ..shared._warning import warn_user

_SEEN_THROUGH = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)
_LIBRARIES = ("jax", "jaxlib", "numpy", "builtins")
_told: "weakref.WeakSet[type]" = weakref.WeakSet()


def warn_of_hidden_arrays(
    static: Sequence[Any], names: Callable[[], Sequence[str]], fun: str
) -> None:
    """Warn, once for each type, of an object that is held static and has arrays as attributes."""
    for place, leaf in enumerate(static):
        kind = type(leaf)
        if isinstance(leaf, _SEEN_THROUGH) or kind in _told or _is_of_a_library(kind):
            continue
        attribute = next(_arrays_in(leaf), None)
        if attribute is None:
            continue
        name = names()[place]
        _told.add(kind)
        message = (
            f"`{name}` of `{fun}` is a `{kind.__qualname__}`, which is no PyTree: it is held "
            f"static, and so is the array `{name}.{attribute}` in it. It is neither traced nor "
            "differentiated, and a change of it is not seen. Make the class a `Module`, or "
            "register it with JAX (`jax.tree_util.register_dataclass`), or pass the array itself."
        )
        warn_user(message)


def _is_of_a_library(kind: type) -> bool:
    return kind.__module__.split(".")[0] in _LIBRARIES


def _arrays_in(instance: Any) -> Iterator[str]:
    """The attributes of an instance that are arrays."""
    held = getattr(instance, "__dict__", None)
    if isinstance(held, dict):
        yield from (name for name, value in held.items() if isinstance(value, ARRAY_TYPES))
    for cls in type(instance).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(getattr(instance, name, None), ARRAY_TYPES):
                yield name
