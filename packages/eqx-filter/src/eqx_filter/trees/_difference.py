"""Where two PyTrees differ in structure, for messages."""

from typing import Any

import jax.tree_util as jtu

from ._check import one_level_with_paths


def first_difference(one: Any, other: Any) -> tuple[tuple[Any, ...], str]:
    """The path of the first place where the structures differ, and what is there in each."""
    one_children, other_children = one_level_with_paths(one), one_level_with_paths(other)
    if one_children is None or other_children is None:
        if one_children is None and other_children is None:
            return (), "no difference"
        return (), f"{_kind(one, one_children)} instead of {_kind(other, other_children)}"
    if type(one) is not type(other) or len(one_children) != len(other_children):
        return (), f"{_kind(one, one_children)} instead of {_kind(other, other_children)}"
    for (one_key, one_child), (other_key, other_child) in zip(
        one_children, other_children, strict=True
    ):
        if one_key != other_key:
            return (), f"`{jtu.keystr(one_key)}` instead of `{jtu.keystr(other_key)}`"
        if jtu.tree_structure(one_child) != jtu.tree_structure(other_child):
            path, told = first_difference(one_child, other_child)
            return (*one_key, *path), told
    return (), f"other static values in the `{type(one).__name__}`"


def _kind(node: Any, children: Any) -> str:
    if children is None:
        return f"a leaf (`{type(node).__name__}`)"
    return f"a `{type(node).__name__}` with {len(children)} children"
