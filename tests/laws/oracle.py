"""What a PyTree is, told without JAX: its nodes, its leaves in order, and its static values.

The laws compare what JAX sees of a tree with this. It knows the node types of `trees.py`.
"""

import dataclasses
import math
import struct
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import BoundMethod, Module

from .nodes import Box

WRAPPER_ATTRIBUTES = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")
Follow = Callable[[Any], Any]


def children(node: Any) -> tuple[Any, list[tuple[Any, Any]]] | None:
    """Give what a node is besides its children, and each child with its key; None for a leaf."""
    if node is None:
        return None, []
    if type(node) is BoundMethod:
        return (BoundMethod, strict(node.__func__)), [(("attr", "__self__"), node.__self__)]
    if isinstance(node, Module):
        return _of_module(node)
    if type(node) in (dict, defaultdict, OrderedDict):
        return _of_dict(node)
    if type(node) is list or isinstance(node, tuple):
        return (type(node), len(node)), [(("item", i), child) for i, child in enumerate(node)]
    if type(node) is jtu.Partial:
        return (jtu.Partial, strict(node.func)), [
            (("attr", "args"), node.args),
            (("attr", "keywords"), node.keywords),
        ]
    if type(node) is Box:
        return Box, [(("attr", "content"), node.content)]
    return None


def _of_module(node: Module) -> tuple[Any, list[tuple[Any, Any]]]:
    held = vars(node)
    fields = [spec for spec in dataclasses.fields(node) if spec.name in held]
    static = [(spec.name, strict(held[spec.name])) for spec in fields if is_static(spec)]
    static += [(name, strict(held[name])) for name in WRAPPER_ATTRIBUTES if name in held]
    below = [(("attr", spec.name), held[spec.name]) for spec in fields if not is_static(spec)]
    return (type(node), tuple(name for (_, name), _ in below), tuple(static)), below


def _of_dict(node: dict[Any, Any]) -> tuple[Any, list[tuple[Any, Any]]]:
    keys = list(node) if type(node) is OrderedDict else sorted(node)
    factory = node.default_factory if type(node) is defaultdict else None
    return (type(node), tuple(keys), factory), [(("item", key), node[key]) for key in keys]


def is_static(spec: "dataclasses.Field[Any]") -> bool:
    return bool(spec.metadata.get("static"))


def shape(tree: Any) -> Any:
    """Give all of a tree but its leaves; equal for trees of one structure, and for no others."""
    found = children(tree)
    if found is None:
        return "leaf"
    header, below = found
    return "node", header, tuple(shape(child) for _, child in below)


def leaves(tree: Any) -> list[Any]:
    """Give the leaves in order."""
    return [leaf for _, leaf in places(tree)]


def places(tree: Any, *, nodes: bool = False) -> list[tuple[tuple[Any, ...], Any]]:
    """Give each leaf with its path; with `nodes`, all that is above the leaves too."""
    found = children(tree)
    if found is None:
        return [((), tree)]
    below = [
        ((key, *path), inner)
        for key, child in found[1]
        for path, inner in places(child, nodes=nodes)
    ]
    return [((), tree), *below] if nodes else below


def replaceable(tree: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Give each node, and its path, that anything may take the place of, None left out."""
    found = places(tree, nodes=True)
    bound_to_be = {
        id(part)
        for _, node in found
        if type(node) is jtu.Partial
        for part in (node.args, node.keywords)
    }
    return [pair for pair in found if pair[1] is not None and id(pair[1]) not in bound_to_be]


def follow(path: tuple[Any, ...]) -> Follow:
    """Give a function that goes along a path of `places`."""

    def where(tree: Any) -> Any:
        for kind, key in path:
            tree = getattr(tree, key) if kind == "attr" else tree[key]
        return tree

    return where


def strict(value: Any) -> Any:
    """Give what equals another's exactly when type and value are equal; all NaN are equal."""
    kind = type(value)
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else struct.pack("d", value)
    if isinstance(value, complex):
        return kind, strict(value.real), strict(value.imag)
    if isinstance(value, tuple | list):
        return kind, tuple(map(strict, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(strict, value))
    if isinstance(value, dict):
        return kind, frozenset((strict(key), strict(item)) for key, item in value.items())
    if isinstance(value, np.ndarray | np.generic):
        return kind, value.dtype, value.shape, value.tobytes()
    if callable(value):
        return kind, id(value)
    return kind, value


def same_leaf(one: Any, other: Any) -> bool:
    """Whether two leaves have one type and the same bits."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, jax.Array):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return False
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        return np.asarray(one).tobytes() == np.asarray(other).tobytes()
    if isinstance(one, np.ndarray) and one.dtype.hasobject:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return strict(one) == strict(other)


def same(one: Any, other: Any) -> bool:
    """Whether two trees are the same to the last bit."""
    pairs = zip(leaves(one), leaves(other), strict=False)
    return shape(one) == shape(other) and all(same_leaf(x, y) for x, y in pairs)


def identical(one: Any, other: Any) -> bool:
    """Whether two trees are the same and hold the very same leaves."""
    pairs = zip(leaves(one), leaves(other), strict=False)
    return shape(one) == shape(other) and all(x is y for x, y in pairs)


def has_hash(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
