"""Keys for static values: equal exactly when type and value are equal.

Python holds ``1 == 1.0 == True`` and ``0.0 == -0.0``; a compiled program made for one of them is
wrong for the others. This room knows values only: no Modules, and of PyTrees their treedefs.
"""

import operator
import types
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

_own_keys = {int, bool, str, bytes, types.NoneType, types.FunctionType, type}
"""Types whose values are their own keys, as far as known; looked up before anything is asked."""

_MOST = 1024
"""Types that are remembered so."""

_SEQUENCE_EQUALITIES = (tuple.__eq__, list.__eq__)
_MAPPING_EQUALITIES = (dict.__eq__, OrderedDict.__eq__)


class _Identity:
    """Compares by identity: for values without a usable equality (tracers, sharded arrays)."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def static_key(value: Any) -> Hashable:
    """Make a key that equals another value's key exactly when type and value are equal.

    **Arguments:**

    - `value`: anything. Tuples, lists, sets and dicts are entered, and so are NumPy arrays
        (by dtype, shape and bytes) and treedefs. Any other value stands for itself, by its own
        `==` and `hash`; a node of a PyTree with the NumPy arrays in it.

    **Returns:**

    A key of the value as it is now, whatever is changed in place later. `1`, `1.0`, `True` and
    `jnp.int32` keys differ, `0.0` differs from `-0.0`, and every NaN has one key. It is hashable
    if all that it holds is; a `TypeError` comes from `hash` alone.
    """
    kind = type(value)
    if kind in _own_keys:
        return kind, value
    if isinstance(value, float):
        return kind, float.hex(value)
    if isinstance(value, complex):
        return kind, value.real.hex(), value.imag.hex()
    if isinstance(value, (tuple, list)) and kind.__eq__ in _SEQUENCE_EQUALITIES:
        return kind, tuple(map(static_key, value))
    if kind is set or kind is frozenset:
        return kind, frozenset(map(static_key, value))
    if isinstance(value, dict) and kind.__eq__ in _MAPPING_EQUALITIES:
        items = tuple((static_key(k), static_key(v)) for k, v in value.items())
        return kind, items if kind.__eq__ is OrderedDict.__eq__ else _unordered(items)
    if isinstance(value, (np.ndarray, np.generic)):
        return _array_key(kind, value)
    if isinstance(value, (slice, range)):
        return kind, static_key((value.start, value.stop, value.step))
    if isinstance(value, jax.Array):
        return _Identity(value)
    return _key_of_other(kind, value)


def _key_of_other(kind: type, value: Any) -> Hashable:
    """The key of what is no number, no builtin container and no array."""
    if kind is jtu.PyTreeDef:
        return kind, value, _auxiliary_keys(value)
    if not jtu.all_leaves((value,)):
        return kind, value, _array_keys(value)
    if len(_own_keys) < _MOST and not isinstance(value, jax.core.Tracer):
        _own_keys.add(kind)
    return kind, value


def is_own_key(value: Any) -> bool:
    """Whether `==` tells values of this type apart as `static_key` would, among themselves.

    **Arguments:** `value`, anything; only its type matters.

    **Returns:** True for `int`, `str`, functions, and any type that `static_key` does not enter;
    False for floats, containers and arrays.
    """
    return is_key_of(static_key(value), value)


def is_key_of(key: Any, value: Any) -> bool:
    """Whether the key of a value holds the value itself."""
    return type(key) is tuple and len(key) == 2 and key[1] is value


def static_keys(values: Iterable[Any]) -> tuple[tuple[Hashable, ...], bool]:
    """The keys of several values, and whether a NumPy array may be in one of them."""
    before = _latest_array[0]
    keys = tuple([static_key(value) for value in values])
    return keys, _latest_array[0] is not before


_latest_array = [object()]
"""Another object whenever an array was made a key."""


def with_arrays_anew(value: Any) -> Any:
    """The same value with each NumPy array in it as another object, of the same memory.

    JAX keeps what it makes of an array by the identity of that, and so would not see that it was
    changed in place.
    """
    kind = type(value)
    if kind in _own_keys:
        return value
    if isinstance(value, np.ndarray):
        return value.view()
    if kind is tuple or kind is list:
        news = [with_arrays_anew(it) for it in value]
        return value if all(map(operator.is_, news, value)) else kind(news)
    if kind is dict:
        pairs = {key: with_arrays_anew(it) for key, it in value.items()}
        return value if all(map(operator.is_, pairs.values(), value.values())) else pairs
    leaves, structure = jtu.tree_flatten(value)
    if not any(isinstance(leaf, np.ndarray) for leaf in leaves):
        return value
    return structure.unflatten(map(with_arrays_anew, leaves))


def _unordered(items: tuple[Hashable, ...]) -> Hashable:
    try:
        return frozenset(items)
    except TypeError:
        return items


def _auxiliary_keys(structure: Any) -> Hashable:
    """Keys of what a treedef's nodes hold, such as the keys of dicts, which it compares by `==`."""
    keys: list[Hashable] = []
    structure.walk(
        lambda children, data: keys.append(static_key(data)), type, range(structure.num_leaves)
    )
    return tuple(keys)


def _array_keys(node: Any) -> Hashable:
    """Keys of the NumPy arrays in a node, which compares by `==` and not by what they held."""
    return tuple(static_key(x) for x in jtu.tree_leaves(node) if isinstance(x, np.ndarray))


def _array_key(kind: type, value: np.ndarray | np.generic) -> Hashable:
    _latest_array[0] = object()
    if value.dtype.hasobject:
        return kind, value.shape, tuple(map(static_key, np.ravel(value).tolist()))
    return kind, value.dtype, value.shape, value.tobytes()
