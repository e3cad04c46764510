"""Random Module classes: static fields, converters, defaults, inheritance, own `__init__`."""

import dataclasses
import types
from typing import Any, Generic, TypeVar

from hypothesis import strategies as st

from eqx_pytree import Module, field

_T = TypeVar("_T")

NAMES = [
    *("weight", "bias", "x", "y", "_private", "__dunderless", "é"),
    *("instance", "children", "aux", "cls", "new", "describe", "restore", "D", "K0", "S0", "T0"),
    *("args", "self_", "type", "func", "keywords", "count", "index", "value"),
]
"""Among them the names that code which flattens a class might use for itself."""

KINDS = ["child", "child", "converted", "default", "factory", "static", "static default", "late"]


def in_a_list(value: Any) -> list[Any]:
    """A converter whose effect shows when it is run twice."""
    return [value]


def _late(self: Any) -> None:
    """A `__post_init__` that assigns what the generated `__init__` leaves out."""
    for spec in dataclasses.fields(self):
        if not spec.init:
            setattr(self, spec.name, {"late": spec.name})


def _assign(self: Any, **values: Any) -> None:
    """An own `__init__`, which assigns in the order of the call."""
    for name, value in values.items():
        setattr(self, name, value)


def _spec(kind: str) -> Any:
    """What stands in the class body for a field of this kind."""
    options: dict[str, Any] = {
        "child": {},
        "converted": {"converter": in_a_list},
        "default": {"default": 0},
        "factory": {"default_factory": list},
        "static": {"static": True},
        "static default": {"static": True, "default": "default"},
        "late": {"init": False},
    }
    return field(kw_only=True, **options[kind])


def _has_init(cls: type) -> bool:
    return any(base.__dict__.get("__init__") is _assign for base in cls.__mro__)


@st.composite
def module_classes(draw: Any) -> type[Module]:
    """A new class; half of them inherit from another such class."""
    base = draw(st.sampled_from([None, None, Module, Generic]) | st.deferred(module_classes))
    bases = {None: (Module,), Module: (Module,), Generic: (Module, Generic[_T])}.get(base, (base,))
    has_init = _has_init(bases[0])
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": "Random",
        "__annotations__": {},
        "__call__": lambda self, x: x,
        "everything": lambda self: sorted(vars(self)),
        "itself": lambda self: self,
        "number": property(lambda self: len(vars(self))),
    }
    if not has_init and "__post_init__" not in dir(bases[0]) and draw(st.booleans()):
        namespace["__init__"], has_init = _assign, True
    if not has_init:
        namespace["__post_init__"] = _late
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        kind = draw(st.sampled_from(KINDS))
        if not (has_init and kind == "late"):
            namespace["__annotations__"][name] = Any
            namespace[name] = _spec(kind)
    return types.new_class("Random", bases, exec_body=lambda body: body.update(namespace))


def arguments(cls: type[Module]) -> dict[str, tuple[bool, bool]]:
    """Say of each argument of the constructor whether it is static, and whether it is needed."""
    has_init = _has_init(cls)
    found = {}
    for spec in dataclasses.fields(cls):
        if spec.init:
            no_default = spec.default is dataclasses.MISSING
            no_factory = spec.default_factory is dataclasses.MISSING
            needed = no_default and (has_init or no_factory)
            found[spec.name] = bool(spec.metadata.get("static")), needed
    return found
