"""`inference_mode`: one flag, set through a whole model."""

from __future__ import annotations

from typing import Any, TypeVar

import jax.tree_util as jtu

from eqx_filter import tree_at

T = TypeVar("T")


def inference_mode(pytree: T, value: bool = True) -> T:
    """Set the `inference` flag of every layer in `pytree` that has one.

    A layer has the flag if it has an attribute `inference` that is no method: `Dropout` does,
    and so may any Module. Layers inside layers are found. The tree is not changed; a changed copy
    is returned.

    **Raises:** what `tree_at` raises where a flag is no leaf, as a static field is not.
    """
    nodes, structure = jtu.tree_flatten(pytree, is_leaf=_has_flag)
    set_nodes = [_set_flag(node, value) if _has_flag(node) else node for node in nodes]
    return jtu.tree_unflatten(structure, set_nodes)


def _has_flag(node: Any) -> bool:
    return hasattr(node, "inference") and not callable(node.inference)


def _set_flag(node: Any, value: bool) -> Any:
    """Set the flags inside `node`, then that of `node` itself."""
    children, structure = jtu.tree_flatten(node, is_leaf=lambda x: x is not node)
    if len(children) == 1 and children[0] is node:  # a leaf that only looks like a layer
        return node
    node = jtu.tree_unflatten(structure, [inference_mode(child, value) for child in children])
    return tree_at(lambda layer: layer.inference, node, value, is_leaf=lambda x: x is None)
