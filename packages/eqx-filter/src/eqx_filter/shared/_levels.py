"""One level of a PyTree: the children of a node, with their keys."""

from collections.abc import Callable, Iterable
from typing import Any

import jax.tree_util as jtu


def one_level_with_paths(node: Any) -> list[tuple[tuple[Any, ...], Any]] | None:
    """The children of a node with their keys, or None if it is a leaf."""
    if jtu.all_leaves((node,)):  # at once, without asking `below`
        return None
    return jtu.tree_flatten_with_path(node, is_leaf=below(node))[0]


_with_keys = getattr(jtu.default_registry, "flatten_one_level_with_keys", None)
"""One level in C++, where JAX has it. Of what has no keys, and of named tuples, it gives others."""


def keyed_children(node: Any) -> Iterable[tuple[Any, Any]]:
    """The children of a node, each with its one key; none of a leaf."""
    flat = None if _with_keys is None or isinstance(node, tuple) else _with_keys(node)
    if flat is None or any(type(key) is jtu.FlattenedIndexKey for key, _ in flat[0]):
        return [(key, child) for (key,), child in one_level_with_paths(node) or ()]
    return flat[0]


def below(root: Any) -> Callable[[Any], bool]:
    """An `is_leaf` that is true of everything below `root`.

    JAX asks it about the root first; the root met again is a child of itself.
    """
    asked = False

    def is_leaf(node: Any) -> bool:
        nonlocal asked
        if node is root:
            if asked:
                raise ValueError(self_referential(root))
            asked = True
            return False
        return True

    return is_leaf


def self_referential(node: Any) -> str:
    """What is said of a node that is its own child."""
    return (
        f"PyTree node of type `{type(node).__name__}` is immediately self-referential; that is to "
        "say it appears within its own PyTree structure. (For example `x = []; x.append(x)`.) This "
        "is not allowed: break the cycle."
    )
