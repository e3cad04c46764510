"""A filter as users pass it: a prefix of a PyTree, of booleans and functions of a leaf."""

from collections.abc import Callable, Iterable
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ._describe import describe
from ._difference import first_difference

IsLeaf = Callable[[Any], bool] | None


def filter_mask(
    pytree: Any, leaves: list[Any], filter_spec: Any, is_leaf: IsLeaf
) -> Iterable[bool]:
    """Say for each leaf whether the filter holds."""
    if isinstance(filter_spec, bool):
        return [filter_spec] * len(leaves)
    if callable(filter_spec) and jtu.all_leaves([filter_spec]):
        return _answers(filter_spec, leaves)
    structure = jtu.tree_structure(filter_spec)
    try:
        subtrees = structure.flatten_up_to(pytree)
    except ValueError:
        path, told = first_difference(filter_spec, pytree, prefix=True)
        message = (
            "`filter_spec` must be a tree prefix of `pytree`; at "
            f"`filter_spec{jtu.keystr(path)}`: {told}."
        )
        raise ValueError(message) from None
    mask: list[bool] = []
    for spec, subtree in zip(jtu.tree_leaves(filter_spec), subtrees, strict=True):
        mask += _mask_of_subtree(spec, jtu.tree_leaves(subtree, is_leaf))
    return mask


def _mask_of_subtree(spec: Any, leaves: list[Any]) -> list[bool]:
    if isinstance(spec, (bool, np.bool_)):
        return [bool(spec)] * len(leaves)
    if callable(spec):
        return _answers(spec, leaves)
    message = (
        "`filter_spec` must consist of booleans and callables only; it holds "
        f"`{spec!r}`, a `{type(spec).__name__}`."
    )
    raise ValueError(message)


def _answers(function: Callable[[Any], Any], leaves: list[Any]) -> list[bool]:
    answers = [function(leaf) for leaf in leaves]
    if not jtu.all_leaves(answers):
        leaf, answer = next(
            pair for pair in zip(leaves, answers, strict=True) if not jtu.all_leaves(pair[1:])
        )
        message = (
            f"A function in `filter_spec` must answer True or False; {describe(function)} "
            f"answered `{answer!r}` for a leaf of type `{type(leaf).__name__}`. Does it `return`?"
        )
        raise ValueError(message)
    return list(map(bool, answers))
