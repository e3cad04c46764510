"""Flatten, flatten-with-keys and unflatten for one class, written for that class.

Each function reads the instance's `__dict__` with the field names spelled out, which is as fast as
Python flattens. The fast path holds when exactly the fields are there and each static value has
the type that was seen first. Everything else takes `Layout.describe`: fields that are absent
(inside `__init__`, or of `object.__new__(cls)`), wrapper attributes, cached properties, and static
values whose `==` says too little. Knows nothing of construction or methods.
"""

import threading
import types
from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from ._keys import is_key_of, static_key, static_keys, with_arrays_anew

WRAPPER_ATTRIBUTES = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")
"""What `module_update_wrapper` copies onto an instance; part of the structure, never a leaf."""

_learning = threading.Lock()


class Structure:
    """The auxiliary data of an instance that the fast path cannot describe.

    Holds the names of the children that are there, and the static names and values that are
    there. Two are equal when the names are, and the values by type and value as they were when the
    instance was flattened: a value may be changed in place later, and the programs that were made
    for it must not be found again.
    """

    __slots__ = ("children", "keys", "names", "values")

    def __init__(
        self,
        children: tuple[str, ...],
        names: tuple[str, ...],
        values: tuple[Any, ...],
        keys: tuple[Any, ...],
    ) -> None:
        self.children = children
        self.names = names
        self.values = values
        self.keys = keys

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Structure
            and self.keys == other.keys
            and self.names == other.names
            and self.children == other.children
            and (len(self.names) == len(self.keys) or self._has_attributes_of(other))
        )

    def __hash__(self) -> int:
        return hash((self.children, self.names, self.keys))

    def _has_attributes_of(self, other: "Structure") -> bool:
        """Compare what `module_update_wrapper` copied, late: no program depends on it."""
        count = len(self.keys)
        pairs = zip(self.values[count:], other.values[count:], strict=True)
        return all(x is y or static_key(x) == static_key(y) for x, y in pairs)

    def __repr__(self) -> str:
        static = ", ".join(
            f"{n}={value!r}" for n, value in zip(self.names, self.values, strict=True)
        )
        return f"children={self.children}, static=({static})"


class Layout:
    """Which fields of a class are children and which are static, and its three functions.

    JAX is given the functions once, when there is a class. They are rewritten in place when the
    fields are set anew, as cloudpickle does: it makes an empty class, and then sets its attributes.
    """

    def __init__(self, cls: type, children: tuple[str, ...], static: tuple[str, ...]) -> None:
        self.cls = cls
        self.children = children
        self.static = static
        self._namespace: dict[str, Any] = {
            "cls": cls,
            "new": object.__new__,
            "describe": self.describe,
            "restore": self.restore,
        }
        self._functions = self._write()
        flatten, with_keys, unflatten = self._functions
        jtu.register_pytree_with_keys(cls, with_keys, unflatten, flatten)

    def set_fields(self, children: tuple[str, ...], static: tuple[str, ...]) -> None:
        """Flatten and unflatten these fields from now on."""
        self.children, self.static = children, static
        for registered, written in zip(self._functions, self._write(), strict=True):
            registered.__code__ = written.__code__

    def _write(self) -> tuple[types.FunctionType, ...]:
        self._namespace.update(
            {f"K{i}": jtu.GetAttrKey(name) for i, name in enumerate(self.children)},
            **{f"T{i}": None for i in range(len(self.static))},
        )
        written: dict[str, Any] = {}
        exec(_source(self.children, self.static), self._namespace, written)  # field names only
        return written["flatten"], written["flatten_with_keys"], written["unflatten"]

    def describe(self, instance: Any, keyed: bool) -> tuple[tuple[Any, ...], Any]:
        """Flatten any instance, whatever it holds or lacks."""
        held = instance.__dict__
        names = tuple([name for name in self.children if name in held])
        values: Sequence[Any] = [held[name] for name in names]
        if keyed:
            values = [(jtu.GetAttrKey(name), held[name]) for name in names]
        present = tuple([name for name in self.static if name in held])
        static = tuple([held[name] for name in present])
        keys, has_arrays = static_keys(static)
        if has_arrays:
            static = tuple([with_arrays_anew(value) for value in static])
        others = len(held) > len(names) + len(present)
        copied = [name for name in WRAPPER_ATTRIBUTES if name in held] if others else []
        if copied:
            present, static = (*present, *copied), (*static, *[held[name] for name in copied])
        elif len(names) == len(self.children) and present == self.static:
            if not static:
                return tuple(values), None
            if self._learn(static, keys):
                return tuple(values), static
        return tuple(values), Structure(names, present, static, keys)

    def restore(self, structure: Structure, children: Sequence[Any]) -> Any:
        """Rebuild what `describe` took apart; what was absent stays absent."""
        instance = object.__new__(self.cls)
        instance.__dict__.update(zip(structure.children, children, strict=True))
        instance.__dict__.update(zip(structure.names, structure.values, strict=True))
        return instance

    def _learn(self, static: tuple[Any, ...], keys: tuple[Any, ...]) -> bool:
        """Settle, once, the static types of the fast path; say whether these values have them."""
        if not all(map(is_key_of, keys, static)):
            return False
        names = [f"T{i}" for i in range(len(static))]
        kinds = dict(zip(names, map(type, static), strict=True))
        with _learning:
            if self._namespace["T0"] is None:
                self._namespace.update(kinds)
        return all(self._namespace[name] is kinds[name] for name in names)


def _source(children: tuple[str, ...], static: tuple[str, ...]) -> str:
    """Write the three functions; `D`, `S0`, `S1`, ... are locals that no field name can shadow."""
    count = len(children) + len(static)
    held = [f"D[{name!r}]" for name in children]
    read = "".join(f"            S{i} = D[{name!r}]\n" for i, name in enumerate(static))
    checks = "".join(f" and type(S{i}) is T{i}" for i in range(len(static)))
    statics = _tuple([f"S{i}" for i in range(len(static))])
    aux = statics if static else "None"

    def flatten(name: str, values: list[str], keyed: bool) -> str:
        return (
            f"def {name}(instance):\n"
            f"    D = instance.__dict__\n"
            f"    try:\n"
            f"        if len(D) == {count}:\n"
            f"{read}"
            f"            if True{checks}:\n"
            f"                return {_tuple(values)}, {aux}\n"
            f"    except KeyError:\n"
            f"        pass\n"
            f"    return describe(instance, {keyed})\n"
        )

    keyed = [f"(K{i}, {value})" for i, value in enumerate(held)]
    guard = (
        f"    try:\n"
        f"        {statics} = aux\n"
        f"    except TypeError:\n"  # a Structure, which cannot be unpacked
        f"        return restore(aux, children)\n"
        if static
        else "    if aux is not None:\n        return restore(aux, children)\n"
    )
    assign = [f"    {_tuple(held)} = children\n"] if children else []
    assign += [f"    D[{name!r}] = S{i}\n" for i, name in enumerate(static)]
    return (
        flatten("flatten", held, keyed=False)
        + flatten("flatten_with_keys", keyed, keyed=True)
        + "def unflatten(aux, children):\n"
        + guard
        + "    instance = new(cls)\n"
        + "    D = instance.__dict__\n"
        + "".join(assign)
        + "    return instance\n"
    )


def _tuple(items: list[str]) -> str:
    return "(" + "".join(f"{item}, " for item in items) + ")"
