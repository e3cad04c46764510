"""Where two PyTrees differ in structure, for messages."""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from ._levels import one_level_with_paths


def first_difference(
    one: Any,
    other: Any,
    *,
    prefix: bool = False,
    is_leaf: Callable[[Any], bool] | None = None,
) -> tuple[tuple[Any, ...], str]:
    """The path of the first place where the structures differ, and what is there in each.

    Where `prefix`, a leaf of `one` is no difference, whatever `other` has there.
    """
    one_below, other_below = _children(one, is_leaf), _children(other, is_leaf)
    if one_below is None and (prefix or other_below is None):
        return (), ""
    if one_below is None or other_below is None or type(one) is not type(other):
        return (), _instead(one, one_below, other, other_below)
    one_keys, other_keys = [key for key, _ in one_below], [key for key, _ in other_below]
    if one_keys != other_keys:
        return (), _instead(one, one_below, other, other_below, _keys(one_keys), _keys(other_keys))
    for (key, one_child), (_, other_child) in zip(one_below, other_below, strict=True):
        path, told = first_difference(one_child, other_child, prefix=prefix, is_leaf=is_leaf)
        if told:
            return (*key, *path), told
    if jtu.tree_structure(one, _below(one)) != jtu.tree_structure(other, _below(other)):
        return (), f"a `{type(one).__name__}` with other static values"
    return (), ""


def _children(node: Any, is_leaf: Callable[[Any], bool] | None) -> Any:
    return None if is_leaf is not None and is_leaf(node) else one_level_with_paths(node)


def _below(root: Any) -> Callable[[Any], bool]:
    return lambda node: node is not root


def _keys(keys: list[Any]) -> str:
    return ", ".join(f"`{jtu.keystr(key)}`" for key in keys[:10]) or "nothing"


def _instead(one: Any, one_below: Any, other: Any, other_below: Any, *keys: str) -> str:
    told = f"{describe_kind(one, one_below)} instead of {describe_kind(other, other_below)}"
    return f"{told}, holding {keys[0]} instead of {keys[1]}" if keys else told


def describe_kind(node: Any, children: Any) -> str:
    """Name a node by its type and the number of its children, None for a leaf."""
    if node is None:
        return "None"
    if isinstance(node, jax.ShapeDtypeStruct):
        return f"an array of shape {node.shape}"
    if children is None:
        return f"a leaf (`{type(node).__name__}`)"
    count = len(children)
    return f"a `{type(node).__name__}` with {count} {'child' if count == 1 else 'children'}"
