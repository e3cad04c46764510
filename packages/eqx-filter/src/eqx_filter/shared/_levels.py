"""One level of a PyTree: the children of a node, with their keys."""

from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

_LEAF = jtu.tree_structure(0)


def one_level_with_paths(node: Any) -> list[tuple[tuple[Any, ...], Any]] | None:
    """The children of a node with their keys, or None if it is a leaf."""
    pairs, structure = jtu.tree_flatten_with_path(node, is_leaf=below(node))
    return None if structure == _LEAF else pairs


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
