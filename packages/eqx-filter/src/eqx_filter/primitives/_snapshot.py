"""Layouts as they are now: with copies of what can be changed in place among static values.

What a compiled program calls later is told by a layout, and must be what the program was made for:
JAX finds the program by what the values were. This room knows layouts, and nothing of functions.
"""

import copy
import dataclasses
from collections import OrderedDict
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ..shared._packed import Layout


def as_now(layout: Layout) -> Layout:
    """The layout, which equals the given one, with static values that nobody else can change."""
    tree = layout.structure.unflatten([0] * layout.structure.num_leaves)
    found = Layout([], jtu.tree_structure(_with_own_values(tree)))
    found.static = [(place, own(leaf)) for place, leaf in layout.static]
    return found


def own(value: Any) -> Any:
    """A static value, with copies of the lists, sets, dicts and NumPy arrays in it.

    Those are entered that `static_key` enters; its key is the same.
    """
    kind = type(value)
    if kind is set or isinstance(value, np.ndarray):
        return copy.copy(value)
    if isinstance(value, list) and kind.__eq__ is list.__eq__:
        found = copy.copy(value)
        found[:] = map(own, value)
        return found
    if isinstance(value, dict) and kind.__eq__ in (dict.__eq__, OrderedDict.__eq__):
        found = copy.copy(value)
        for key in value:
            found[key] = own(value[key])
        return found
    if isinstance(value, tuple) and kind.__eq__ is tuple.__eq__:
        items = list(map(own, value))
        same = all(x is y for x, y in zip(items, value, strict=True))
        return value if same else tuple.__new__(kind, items)
    return value


def _with_own_values(tree: Any) -> Any:
    """The tree, with copies of what dataclasses in it hold in static fields."""

    def of_node(node: Any) -> Any:
        static = _static_fields(node)
        if not static:
            return node
        found = object.__new__(type(node))
        for name, value in vars(node).items():
            vars(found)[name] = own(value) if name in static else _with_own_values(value)
        return found

    return jtu.tree_map(of_node, tree, is_leaf=lambda node: bool(_static_fields(node)))


def _static_fields(node: Any) -> set[str]:
    """The fields that JAX holds static, of an instance of a dataclass that has a `__dict__`."""
    if isinstance(node, type) or not (dataclasses.is_dataclass(node) and hasattr(node, "__dict__")):
        return set()
    return {field.name for field in dataclasses.fields(node) if field.metadata.get("static")}
