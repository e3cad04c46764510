"""What is checked when a Module class or an instance is made, and how it is said.

An instance costs a look at what its fields are; only callables, and static values of types that
could hold an array, are looked into.
"""

import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ._fields import converters, is_static
from ._methods import BoundMethod

_NO_ARRAYS = frozenset(
    {int, float, complex, bool, str, bytes, types.NoneType, types.FunctionType, type}
)
"""Types of which no value is an array or holds one as a leaf."""

_NO_HOLDERS = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
"""What has attributes, and is no object with data of its own."""

_PARAMETERS = (jax.Array, np.ndarray, np.generic, int, float, complex)
"""Leaves that a model might learn, and that a transformation should not hide."""


class Checks:
    """The converters and checks of one class, sorted out once when the class is made."""

    def __init__(self, cls: Any) -> None:
        fields = dataclasses.fields(cls)
        self.cls = cls
        self.init_is_generated: bool = cls._init_is_generated
        self.names = tuple(spec.name for spec in fields)
        self.static = tuple(spec.name for spec in fields if is_static(spec))
        self.converters = converters(cls)
        all_set = self.init_is_generated and all(spec.init for spec in fields)
        always_set = all_set and not hasattr(cls, "__post_init__")
        self.needed = bool(self.converters or self.static or not always_set)
        self.check_inits = tuple(_check_inits(cls))
        self.wraps = stands_for_another(cls)
        self._warned: set[tuple[str, str]] = set()
        self._looked_into: set[type] = set()

    def complete(self, instance: Any) -> None:
        """Convert the fields of an instance whose `__init__` is done, and check them."""
        held = instance.__dict__
        if self.converters:
            self._convert(instance)
        for name in self.names:
            if name not in held:
                self._refuse_unassigned(instance)
        for name in self.static:
            if name in held and type(held[name]) not in _NO_ARRAYS:
                self._warn_of_static_array(name, held[name])

    def check_init(self, instance: Any) -> None:
        """Call each `__check_init__`, the class's own first."""
        for check in self.check_inits:
            check(instance)

    def inspect_callable(self, instance: Any, name: str, value: Callable[..., Any]) -> None:
        """Refuse a method of the instance, and warn of a transformation that hides parameters.

        Not where the class stands for another callable: that is called, and holds no model.
        """
        if type(value) is BoundMethod and value.__self__ is instance:
            raise ValueError(_method_assigned(self.cls, name, value))
        if not self.wraps and _hides_parameters(value):
            self._warn_of_transformed(name)

    def _convert(self, instance: Any) -> None:
        for name, convert in self.converters.items():
            if hasattr(instance, name):
                object.__setattr__(instance, name, convert(getattr(instance, name)))

    def _refuse_unassigned(self, instance: Any) -> None:
        missing = [name for name in self.names if not hasattr(instance, name)]
        if missing:
            told = " ".join(f"Field '{name}' was not initialized." for name in missing)
            assign = "; ".join(f"self.{name} = ..." for name in missing)
            message = (
                f"{told} Each field of `{self.cls.__qualname__}` must be assigned by the end of "
                f"`__init__`: add `{assign}`, or give a default in the class body."
            )
            raise TypeError(message)

    def _warn_of_static_array(self, name: str, value: Any) -> None:
        for path, leaf in jtu.tree_flatten_with_path(value)[0]:
            if isinstance(leaf, (jax.Array, np.ndarray)):
                where = f"`{self.cls.__qualname__}.{name}{jtu.keystr(path)}`"
                message = (
                    "A JAX array is being set as static! This can result in unexpected behavior "
                    f"and is usually a mistake to do. {where} holds a `{type(leaf).__name__}`, and "
                    "its field is marked `static=True`: drop that, or store a tuple of numbers."
                )
                self._warn_once("static", name, message)
                return
            if type(leaf) not in self._looked_into:
                self._looked_into.add(type(leaf))
                attribute = _attribute_with_array(leaf)
                if attribute is not None:
                    self._warn_of_object(f"{name}{jtu.keystr(path)}", leaf, attribute)

    def _warn_of_object(self, name: str, held: Any, attribute: str) -> None:
        kind = type(held).__qualname__
        message = (
            "A JAX array is being set as static! This can result in unexpected behavior: "
            f"`{self.cls.__qualname__}.{name}` is a `{kind}` with an array in `{attribute}`, and "
            "is compared by identity, so that a change in it is not seen by what was compiled "
            f"before. Make `{kind}` a Module in a field that is not static, or give it `__eq__` "
            "and `__hash__`."
        )
        self._warn_once("static", name, message)

    def _warn_of_transformed(self, name: str) -> None:
        cls = f"{self.cls.__module__}.{self.cls.__qualname__}"
        message = (
            f"Possibly assigning a JAX-transformed callable as an attribute on {cls}. The "
            f"transformation in `{name}` hides the leaves of what it wraps, so that they are "
            f"neither updated nor saved. Store the wrapped Module itself in `{name}` and "
            "transform it where it is called."
        )
        self._warn_once("transformed", name, message)

    def _warn_once(self, kind: str, name: str, message: str) -> None:
        if (kind, name) not in self._warned:
            self._warned.add((kind, name))
            from ._warning import warn_user

            warn_user(message)


def way_out(cls: type, error: str) -> str:
    """Say what to write instead, where `dataclasses` refused a field of the class body."""
    blamed = error.partition(" follows ")[0]  # Python 3.13 names the other argument there
    name = next((it for it in vars(cls).get("__annotations__", {}) if _names(it, blamed)), None)
    if name is None:
        return ""
    where = f". `{cls.__qualname__}.{name}`"
    if error.startswith("mutable default"):
        return (
            f"{where} would be one object for all instances: write `{name}: ... = "
            f"field(default_factory=lambda: ...)`, or assign `self.{name}` in `__init__`."
        )
    if error.startswith("non-default argument"):
        return (
            f"{where} has no default: put it before the fields that have one, give it one, or "
            f"write `{name}: ... = field(kw_only=True)`."
        )
    return ""


def _names(field: str, error: str) -> bool:
    return f"field {field} " in error or f"'{field}'" in error


def no_hash(instance: Any, error: str) -> str:
    """Say which leaf of a Module has no hash, and what to write where `jax.jit` asks for one."""
    for path, leaf in jtu.tree_flatten_with_path(instance)[0]:
        try:
            hash(leaf)
        except TypeError as of_leaf:
            cls = type(instance).__qualname__
            return (
                f"{of_leaf}: `{cls}{jtu.keystr(path)}` has no hash, so the `{cls}` has none. To "
                "compile a Module itself, write `filter_jit(model)(x)`, or `jax.jit(lambda model, "
                "x: model(x))` if all its leaves are arrays."
            )
    return error


def refuse_slots(cls: type) -> None:
    """Refuse a field that is also a slot: it would not be in `__dict__`, so it would be no leaf."""
    for spec in dataclasses.fields(cls):
        for base in cls.__mro__:
            if isinstance(vars(base).get(spec.name), types.MemberDescriptorType):
                message = (
                    f"Field `{cls.__qualname__}.{spec.name}` is also a slot of "
                    f"`{base.__qualname__}`. A Module keeps its fields in `__dict__`: take "
                    f"`{spec.name}` out of `__slots__`."
                )
                raise TypeError(message)


def warn_of_unused_post_init(cls: type) -> None:
    """Warn where `__post_init__` will not run, since `__init__` is not generated."""
    if hasattr(cls, "__post_init__"):
        message = (
            f"Class `{cls.__module__}.{cls.__qualname__}` has both an `__init__` method and a "
            "`__post_init__` method. Only a generated `__init__` calls `__post_init__`, so it will "
            "not be run: move its code to the end of `__init__`, or to `__check_init__`."
        )
        from ._warning import warn_user

        warn_user(message)


def _check_inits(cls: type) -> Iterator[Callable[[Any], Any]]:
    for base in cls.__mro__:
        check = vars(base).get("__check_init__")
        if check is not None:
            yield check


def _attribute_with_array(held: Any) -> str | None:
    """The attribute that holds an array, of an object that is compared by identity."""
    cls = type(held)
    theirs = cls.__module__.partition(".")[0] in ("jax", "jaxlib", "numpy")  # such as a `Mesh`
    if theirs or cls.__eq__ is not object.__eq__ or isinstance(held, _NO_HOLDERS):
        return None
    names = [*getattr(held, "__dict__", ())]
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    for name in names:
        leaves = jtu.tree_leaves(getattr(held, name, None))
        if any(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves):
            return name
    return None


def _hides_parameters(function: Any) -> bool:
    """Whether a callable that is a leaf wraps, at whatever depth, a tree with arrays or numbers.

    The leaf may itself be in a Module that stands for another callable.
    """
    unwrapped, hides = function, False
    while True:
        is_leaf = jtu.all_leaves([unwrapped])
        if not is_leaf and not stands_for_another(type(unwrapped)):
            break
        if not hasattr(unwrapped, "__wrapped__"):
            return False
        unwrapped, hides = unwrapped.__wrapped__, hides or is_leaf
    return hides and any(isinstance(leaf, _PARAMETERS) for leaf in jtu.tree_leaves(unwrapped))


def stands_for_another(cls: type) -> bool:
    """Whether the instances of a class are callables that wrap another one, as a child."""
    return cls is not BoundMethod and isinstance(getattr(cls, "__wrapped__", None), property)


def _method_assigned(cls: type, name: str, method: BoundMethod) -> str:
    target, given = f"{cls.__qualname__}.{name}", method.__func__.__name__
    return (
        f"Cannot assign methods in __init__: `{target}` would hold `self.{given}`, which holds "
        f"`self` again, so that the instance would be no tree. Define a method `{name}` that calls "
        f"`self.{given}`, or make `{name}` a property."
    )
