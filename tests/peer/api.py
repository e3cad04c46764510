"""Tell what the `equinox` that is importable offers: each public name, and what it takes.

    python tests/peer/api.py OUT.json

A class is told with what its instances are built from, whether it may be subscripted, its fields,
and its public attributes and methods.
"""

import dataclasses
import inspect
import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import equinox.internal as eqxi

MODULES = [eqx, eqx.nn, eqx.debug, eqxi]
SPECIAL = [
    "__call__",
    "__getitem__",
    "__iter__",
    "__len__",
    "__contains__",
    "__enter__",
    "__exit__",
]
"""What is told of a class besides what is public by name."""


def parameters(function: Callable[..., Any]) -> list[list[Any]] | None:
    """Give name, kind and default of each parameter; a default that is no number counts as one."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, default(p)] for p in found]


def default(parameter: inspect.Parameter) -> Any:
    if isinstance(parameter.default, bool | int | float | str):
        return parameter.default
    return "required" if parameter.default is parameter.empty else "optional"


def can_be_subscripted(cls: Any) -> bool:
    try:
        cls[int]
    except (TypeError, ValueError):
        return False
    return True


def members(cls: type) -> dict[str, Any]:
    """Give the public attributes of a class, and its call."""
    names = [it for it in dir(cls) if not it.startswith("_") or it in SPECIAL]
    return {name: member(cls, name) for name in names if name not in dir(type)}


def member(cls: type, name: str) -> dict[str, Any]:
    value = inspect.getattr_static(cls, name)
    if isinstance(value, classmethod | staticmethod):
        return {"kind": type(value).__name__, "takes": parameters(getattr(cls, name))}
    if isinstance(value, property):
        return {"kind": "attribute", "takes": None}
    taken = getattr(cls, name)
    return {"kind": "method", "takes": parameters(taken)} if callable(taken) else ATTRIBUTE


ATTRIBUTE = {"kind": "attribute", "takes": None}


def fields(cls: type) -> list[str] | None:
    if not dataclasses.is_dataclass(cls):
        return None
    return [it.name for it in dataclasses.fields(cls) if not it.name.startswith("_")]


def described(value: Any) -> dict[str, Any]:
    """Say what a public name is."""
    if isinstance(value, type):
        return {
            "kind": "class",
            "takes": parameters(value),
            "generic": can_be_subscripted(value),
            "fields": fields(value),
            "members": members(value),
        }
    if callable(value):
        return {"kind": "function", "takes": parameters(value)}
    return {"kind": type(value).__name__}


def is_foreign(value: Any) -> bool:
    """Whether a name is there only because the file behind it imports it."""
    home = getattr(value, "__module__", None) or ""
    return isinstance(value, types.ModuleType) or home == "typing" or home.startswith("importlib")


def surface() -> dict[str, Any]:
    """Give what each public name of each module is."""
    found = {}
    for module in MODULES:
        for name in sorted(it for it in dir(module) if not it.startswith("_")):
            value = getattr(module, name)
            if not is_foreign(value):
                found[f"{module.__name__}.{name}"] = described(value)
    return found


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is going away warns, and is told all the same
        text = json.dumps(surface(), indent=1)
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
