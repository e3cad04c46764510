"""`apply_updates`: one step of training, where the optimiser's updates have gaps."""

from typing import Any, TypeVar

import jax.tree_util as jtu

from ..shared._difference import first_difference
from ..shared._predicates import is_none

_Model = TypeVar("_Model")


def apply_updates(model: _Model, updates: Any) -> _Model:
    """Add updates to a model, leaf by leaf, and leave a leaf alone where its update is None.

    **Arguments:**

    - `model`: any PyTree.
    - `updates`: a PyTree of the same structure, with None where nothing is to be added; a None may
        stand for a whole subtree. It is what an Optax optimiser's `update` returns.

    **Returns:** a PyTree with the structure of `model`; dtypes follow `leaf + update`.

    **Raises:** `ValueError` if the structures differ; `TypeError` naming the leaf if an update is
    there and the leaf cannot be added to.
    """
    additions, structure = jtu.tree_flatten(updates, is_leaf=is_none)
    try:
        nodes = structure.flatten_up_to(model)
    except ValueError:
        raise ValueError(_structures_differ(model, updates)) from None
    pairs = list(zip(nodes, additions, strict=True))
    if not jtu.all_leaves([node for node, addition in pairs if addition is not None]):
        raise TypeError(_cannot_add(nodes, updates))
    try:
        sums = [node if addition is None else node + addition for node, addition in pairs]
    except TypeError as error:
        raise TypeError(_cannot_add(nodes, updates)) from error
    return structure.unflatten(sums)


def _structures_differ(model: Any, updates: Any) -> str:
    path, told = first_difference(updates, model, prefix=True, is_leaf=is_none)
    return (
        "`updates` must have the structure of `model`, with None for no update; at "
        f"`updates{jtu.keystr(path)}`: {told}."
    )


def _cannot_add(nodes: list[Any], updates: Any) -> str:
    told = "An update cannot be added to its leaf"
    paths = jtu.tree_flatten_with_path(updates, is_leaf=is_none)[0]
    for node, (path, addition) in zip(nodes, paths, strict=True):
        if addition is not None and not _can_add(node, addition):
            where = jtu.keystr(path)
            told = (
                f"`updates{where}` is a `{type(addition).__name__}` and `model{where}` a "
                f"`{type(node).__name__}`, and they cannot be added"
            )
            break
    return f"{told}. Put None into `updates` where `model` is not to be updated."


def _can_add(node: Any, addition: Any) -> bool:
    try:
        node + addition
    except TypeError:
        return False
    return jtu.all_leaves([node])
