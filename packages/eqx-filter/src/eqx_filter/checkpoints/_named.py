"""What is saved of a PyTree by names: arrays, numbers, and texts of what is no array.

A leaf's name is its path with dots. A node that has `__unstacked__` is saved as what that gives, so
that layers which are kept as one have the names of a tuple of layers; but as it is, where its
arrays have another axis in front than that of layers.
"""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..paths._dotted import tree_paths
from ..paths._nodes import Node, nodes_of
from ..shared._stacks import is_stack
from ._container import METADATA, NAMES
from ._errors import LeafError, not_saved
from ._host import NUMBERS, is_key, is_lent, is_spread, on_host
from ._together import Spread
from ._versions import versions_of

Numbers = dict[str, tuple[str, str]]
"""By name, the type of a number and its text."""


class Named(NamedTuple):
    """What is saved of a PyTree.

    `kinds` tells of arrays that are not of JAX, or whose dtype no safetensors has, what they are;
    `shared` of which other name an array is the same; `static` texts of other leaves and fields;
    `versions` those of nodes whose class has migrations, by their paths.
    """

    arrays: "dict[str, np.ndarray | Spread]"
    numbers: Numbers
    kinds: dict[str, dict[str, str]]
    shared: dict[str, str]
    static: dict[str, str]
    versions: dict[str, int]


def named(tree: Any, *, own: bool = False) -> Named:
    """Take the leaves of a PyTree to the host, by their names.

    `own` says whether to copy arrays whose memory others may write to.

    **Raises:** `RuntimeError` naming a leaf that cannot be saved; `ValueError` if two leaves have
    one name.
    """
    nodes = nodes_of(tree)
    found = Named({}, {}, {}, {}, static_texts(nodes), versions_of(nodes))
    first: dict[int, str] = {}
    leaves, name = tree_paths(tree), ""
    try:
        for name, leaf in leaves.items():
            _take(found, name, leaf, first, own=own)
    except Exception as error:
        raise not_saved(name, error) from error
    return found


def _take(found: Named, name: str, leaf: Any, first: dict[int, str], *, own: bool) -> None:
    if type(leaf) in NUMBERS:
        found.numbers[name] = type(leaf).__name__, repr(leaf)
    elif is_array_leaf(leaf) or isinstance(leaf, jax.ShapeDtypeStruct):
        if first.setdefault(id(leaf), name) != name:
            found.shared[name] = first[id(leaf)]
            return
        check_name(name)
        array, kind = encoded(leaf)
        if own and isinstance(array, Spread):
            array = array.owned()
        elif own and is_lent(leaf):
            array = np.array(array)
        found.arrays[name] = array
        if kind:
            found.kinds[name] = kind


def check_name(name: str) -> None:
    """Refuse a name that an array cannot have in a file.

    **Raises:** `LeafError`.
    """
    if name == METADATA:
        message = "the texts of a file are under that name. Give it another, or put it one deeper"
        raise LeafError(message)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        message = f"its name has no UTF-8: {error.reason}. Give it another"
        raise LeafError(message) from None


def is_array_leaf(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic)) or hasattr(leaf, "__jax_array__")


def encoded(leaf: Any) -> "tuple[np.ndarray | Spread, dict[str, str]]":
    """An array of a dtype that safetensors has, and what the leaf is, where that does not tell."""
    kind: dict[str, str] = {}
    if isinstance(leaf, jax.ShapeDtypeStruct):
        message = "it is a `jax.ShapeDtypeStruct`, and has no values"
        raise LeafError(message)
    if isinstance(leaf, jax.Array) and is_key(leaf):
        kind["key"] = str(jax.random.key_impl(leaf))
    elif isinstance(leaf, (np.ndarray, np.generic)):
        kind["numpy"] = "array" if isinstance(leaf, np.ndarray) else "scalar"
    if is_spread(leaf):
        values = jax.random.key_data(leaf) if "key" in kind else leaf
        array = Spread(values, _stored)
    else:
        values = on_host(leaf)
        array = _stored(values)
    dtype = values.dtype.newbyteorder("<")
    return array, kind if dtype in NAMES else {**kind, "dtype": dtype.name}


def _stored(array: np.ndarray) -> np.ndarray:
    """An array as one of a dtype that safetensors has."""
    dtype = array.dtype.newbyteorder("<")
    if dtype in NAMES:
        return array
    if dtype.kind == "c" and dtype.type(0).real.dtype in NAMES:
        parts = np.ascontiguousarray(array, dtype).reshape(*array.shape, 1)
        return parts.view(dtype.type(0).real.dtype)
    if dtype.itemsize == 1 and dtype.kind not in "SU":
        return np.ascontiguousarray(array).view(np.uint8)
    message = f"its dtype is `{array.dtype}`, which has no place in such a file"
    raise LeafError(message)


def decoded(array: np.ndarray, kind: Mapping[str, str]) -> np.ndarray:
    """The array that was encoded, of its own dtype.

    **Raises:** `TypeError`, `ValueError` or `IndexError` if it cannot have been.
    """
    name = kind.get("dtype")
    if name is None:
        return array
    dtype = np.dtype(getattr(jnp, name, None) or name)
    if dtype.name != name or not (dtype.kind == "c" or dtype.itemsize == 1):
        message = "it is never encoded"
        raise TypeError(message)
    if dtype.kind == "c":
        return np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])
    return array.view(dtype)


def number_of(kind: str, text: str) -> Any:
    """The number that a type and a text tell of."""
    types = {it.__name__: it for it in NUMBERS}
    if types[kind] is bool:
        return text == "True"
    return types[kind](text)


def static_texts(nodes: Sequence[Node]) -> dict[str, str]:
    """Texts of leaves that are no arrays, and of static fields, by their paths."""
    texts: dict[str, str] = {}
    for node in nodes:
        value, path = node.value, node.path
        if node.is_leaf:
            text = None if is_array_leaf(value) or type(value) in NUMBERS else _text(value)
            if text is not None:
                texts[path] = text
        elif dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                text = _text(getattr(value, field.name, None))
                if field.metadata.get("static", False) and text is not None:
                    texts[f"{path}.{field.name}" if path else field.name] = text
    return texts


def _text(value: Any) -> str | None:
    """What is told of a plain value, or of a function by its name; None for others."""
    if value is None or isinstance(value, (str, bool, int, float, complex)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        parts = [_text(it) for it in value]
        return None if None in parts else f"({', '.join(map(str, parts))})"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, np.dtype):
        return value.name
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else None


def digest(found: Named) -> str:
    """A text that two trees share whose names, shapes, dtypes and kinds are equal."""
    arrays = {name: (NAMES[x.dtype.newbyteorder("<")], x.shape) for name, x in found.arrays.items()}
    numbers = {name: kind for name, (kind, _) in found.numbers.items()}
    rows = [sorted(it.items()) for it in (arrays, numbers, found.kinds, found.shared)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def unstacked(tree: Any) -> Any:
    """The tree with what `__unstacked__` gives in the place of nodes that have it."""

    def taken_apart(node: Any) -> Any:
        return unstacked(node.__unstacked__()) if is_stack(node) else node

    return jtu.tree_map(taken_apart, tree, is_leaf=is_stack)


def restacked(like: Any, tree: Any) -> Any:
    """The tree of the structure of `like`, of one with that of `unstacked(like)`."""
    if jtu.tree_structure(like) == jtu.tree_structure(tree):  # there are no stacks
        return tree
    stacks, structure = jtu.tree_flatten(like, is_leaf=is_stack)
    parts = structure.flatten_up_to(tree)
    pairs = zip(stacks, parts, strict=True)
    return structure.unflatten(
        [_restacked(one, part) if is_stack(one) else part for one, part in pairs]
    )


def _restacked(stack: Any, parts: Any) -> Any:
    layers = [restacked(*pair) for pair in zip(stack.__unstacked__(), parts, strict=True)]
    return stack.__restacked__(tuple(layers))
