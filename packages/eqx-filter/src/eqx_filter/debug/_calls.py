"""What a call was traced for, and in what two calls differ, by argument and tree path."""

import types
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import static_key

from ..shared._difference import describe_kind
from ..shared._levels import one_level_with_paths


class ArrayLeaf:
    """An array that was traced: what of it a program depends on."""

    __slots__ = ("dtype", "shape", "sharding", "weak_type")

    def __init__(self, shape: Any, dtype: Any, weak_type: bool, sharding: Any = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.weak_type = weak_type
        self.sharding = sharding

    def differences(self, before: "ArrayLeaf") -> Iterator[str]:
        """Say how this one differs from an earlier one, and the way out."""
        if self.shape != before.shape:
            yield (
                f"shape {self.shape} instead of {before.shape}; pad to one shape, or call it with "
                "few different ones"
            )
        if self.dtype != before.dtype:
            yield f"dtype {self.dtype} instead of {before.dtype}; convert it with `astype`"
        elif self.weak_type != before.weak_type:
            weak, strong = "weak (from a Python number)", "not weak"
            now, then = (weak, strong) if self.weak_type else (strong, weak)
            yield f"a type that is {now} instead of {then}; use `jnp.asarray(x, dtype)`"
        if self.sharding is not None and before.sharding not in (None, self.sharding):
            yield (
                f"sharding {self.sharding} instead of {before.sharding}; place it alike with "
                "`jax.device_put`"
            )


class StaticLeaf:
    """A leaf that is part of the program."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def differences(self, before: "StaticLeaf") -> Iterator[str]:
        """Say how this one differs from an earlier one, and the way out."""
        now, then = self.value, before.value
        if now is then or static_key(now) == static_key(then):
            return
        if _same_code(now, then):
            place = f"{now.__code__.co_filename}:{now.__code__.co_firstlineno}"
            yield (
                f"a new function object with the code of the one before (`{now.__qualname__}`, "
                f"{place}); make it once, outside of the calls, or pass what it closes over as an "
                "argument"
            )
            return
        way_out = ""
        if isinstance(now, (bool, int, float, complex)):
            way_out = "; pass `jnp.asarray(...)` of it to trace it, unless shapes depend on it"
        yield f"the static value `{now!r}` instead of `{then!r}`{way_out}"


class Call:
    """The arguments of a call, by name, with an `ArrayLeaf` or `StaticLeaf` for each leaf."""

    def __init__(self, arguments: Sequence[tuple[str, Any]]) -> None:
        self.arguments = dict(arguments)

    def differences(self, before: "Call") -> list[str]:
        """Say in what this call differs from an earlier one: a line for each place."""
        found: list[str] = []
        for name, argument in self.arguments.items():
            if name in before.arguments:
                found += _compare(name, argument, before.arguments[name])
            else:
                found.append(f"`{name}` is given, and was not")
        for name in before.arguments:
            if name not in self.arguments:
                found.append(f"`{name}` is not given, and was")
        return found


def describe_array(array: Any, sharding: Any = None) -> ArrayLeaf:
    """Describe an array or a tracer."""
    return ArrayLeaf(array.shape, array.dtype, getattr(array, "weak_type", False), sharding)


def describe_leaf(leaf: Any) -> ArrayLeaf | StaticLeaf:
    """Describe any leaf of a call; arrays are those of JAX and of NumPy."""
    is_array = isinstance(leaf, (jax.Array, np.ndarray, np.generic))
    return describe_array(leaf) if is_array else StaticLeaf(leaf)


def nearest(now: Call, earlier: Sequence[Call]) -> list[str]:
    """The differences from the earlier call that there are fewest from; the latest of several."""
    return min((now.differences(call) for call in reversed(earlier)), key=len)


def _compare(path: str, now: Any, before: Any) -> Iterator[str]:
    if isinstance(now, (ArrayLeaf, StaticLeaf)) and type(now) is type(before):
        yield from (f"`{path}` has {told}" for told in now.differences(before))
        return
    below, below_before = one_level_with_paths(now), one_level_with_paths(before)
    keys = [[key for key, _ in it or ()] for it in (below, below_before)]
    if type(now) is not type(before) or below is None or keys[0] != keys[1]:
        yield f"`{path}` is {_kind(now, below)} instead of {_kind(before, below_before)}"
        return
    children = {id(child) for _, child in below}
    held, held_before = getattr(now, "__dict__", {}), getattr(before, "__dict__", {})
    for name, value in held.items():
        if id(value) not in children and name in held_before:
            leaf, leaf_before = StaticLeaf(value), StaticLeaf(held_before[name])
            for told in leaf.differences(leaf_before):
                yield f"`{path}.{name}` has {told}"
    for (key, child), (_, child_before) in zip(below, below_before or (), strict=True):
        yield from _compare(f"{path}{jtu.keystr(key)}", child, child_before)


def _kind(node: Any, children: Any) -> str:
    if isinstance(node, ArrayLeaf):
        return f"a traced array of shape {node.shape} and dtype {node.dtype}"
    if isinstance(node, StaticLeaf):
        return f"the static `{node.value!r}`"
    return describe_kind(node, children)


def _same_code(now: Any, then: Any) -> bool:
    both = isinstance(now, types.FunctionType) and isinstance(then, types.FunctionType)
    return both and now.__code__ == then.__code__ and now.__module__ == then.__module__
