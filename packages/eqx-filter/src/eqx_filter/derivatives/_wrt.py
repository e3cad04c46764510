"""`wrt`: which leaves of the first argument are differentiated."""

from typing import Any

import jax.tree_util as jtu

from ..paths._nodes import covered, nodes_of
from ..paths._selectors import Where, by, leaf_mask
from ..shared._describe import describe_value
from ..shared._predicates import is_array, is_differentiable


def mask_of(wrt: Where | None, tree: Any, name: str) -> list[bool]:
    """Say of each leaf of an argument, called `name`, whether it is differentiated.

    Below a node that is selected it is where it can be; a leaf that is selected itself must.

    **Raises:** `TypeError` naming a leaf that is selected and is an array of another dtype;
    `ValueError` if there is nothing to differentiate, and as the selector.
    """
    if wrt is None:
        return [is_differentiable(leaf) for leaf in jtu.tree_leaves(tree)]
    selector, nodes = by(wrt), nodes_of(tree)
    matched = selector.matched(nodes)
    over = [*covered(nodes, matched), False]  # the last stands for what is above the root
    for node, it in zip(nodes, matched, strict=True):
        is_named = it and node.is_leaf and not over[node.parent] and selector.names_leaves
        if is_named and is_array(node.value) and not is_differentiable(node.value):
            message = (
                f"`wrt={selector!r}` selects `{name}{jtu.keystr(node.keys)}`, "
                f"{describe_value(node.value)}, which has no gradient. Select floating or complex "
                "arrays, or a node above it, below which others are left out."
            )
            raise TypeError(message)
    pairs = zip(leaf_mask(selector, tree), jtu.tree_leaves(tree), strict=True)
    mask = [it and is_differentiable(leaf) for it, leaf in pairs]
    if not any(mask):
        message = (
            f"`wrt={selector!r}` selects nothing of `{name}` that can be differentiated: no "
            "floating or complex array."
        )
        raise ValueError(message)
    return mask
