"""Nodes that keep equal layers as one, with an axis of them in front of each array."""

from typing import Any

import jax.tree_util as jtu


def is_stack(node: Any, axis: int = 0) -> bool:
    """Whether a node has `__unstacked__`, and each of its arrays as many layers along an axis.

    Under `vmap`, or in a state of an optimizer, arrays may have other axes in front: then the
    layers are not the rows.
    """
    if not hasattr(type(node), "__unstacked__"):
        return False
    shapes = (getattr(leaf, "shape", None) for leaf in jtu.tree_leaves(node))
    sizes = {tuple(shape[axis : axis + 1]) for shape in shapes if shape is not None}
    known = {(len(node),)} if hasattr(type(node), "__len__") else sizes
    return len(sizes) < 2 and () not in sizes and sizes <= known
