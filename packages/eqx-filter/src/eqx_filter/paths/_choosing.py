"""Leaves chosen by selectors: masks, labels and parts of a PyTree."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import jax.tree_util as jtu

from eqx_pytree import static_key

from ..shared._predicates import is_parameter
from ..shared._unset import UNSET
from ._dotted import dotted
from ._nodes import nodes_of
from ._selectors import Selector, Where, by, mask_of_leaves

_Tree = TypeVar("_Tree")


def tree_mask(tree: Any, where: Where) -> Any:
    """Make a tree of booleans: which leaves are selected.

    Optax calls a mask that can be called, as that of a model can: give it the selector, as in
    `optax.masked(tx, by("**.weight"))`.

    **Arguments:**

    - `tree`: any PyTree.
    - `where`: a selector, or anything that `by` takes.

    **Returns:** a PyTree with the structure of `tree`: True for each leaf that is selected or below
    a node that is, and False for the others.

    **Raises:** `ValueError` with the nearest paths if `where` selects no leaf, and as `by`.
    """
    return by(where)(tree)


def partition_by(tree: _Tree, *wheres: Where) -> tuple[_Tree, ...]:
    """Split a PyTree in parts: one for each selector, and the rest.

    **Arguments:**

    - `tree`: any PyTree.
    - `wheres`: selectors, or anything that `by` takes. A leaf goes to the first that selects it.

    **Returns:** a tuple of one PyTree more than there are selectors, each with the structure of
    `tree`, and None for the leaves that are in another. `combine` puts them together.

    **Raises:** `ValueError` if a selector is left without a leaf, and as `by`.
    """
    leaves, structure = jtu.tree_flatten(tree)
    homes = _first_matches(tree, wheres, "selector")
    return tuple(
        structure.unflatten([it if i == n else None for it, i in zip(leaves, homes, strict=True)])
        for n in range(len(wheres) + 1)
    )


class Labels:
    """A tree of labels; called with any tree, it gives that.

    Optax asks for labels as a tree or as a function, and takes a model for a function.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __call__(self, params: Any = None, /) -> Any:
        """Give the tree of labels, whatever the argument."""
        return self.tree

    def __repr__(self) -> str:
        return f"Labels({self.tree!r})"


Rules = Mapping[Any, Any] | Iterable[tuple[Where, Any]]


def tree_label(tree: Any, rules: Rules, *, default: Any = UNSET) -> Labels:
    """Label the leaves of a PyTree by rules, as `optax.multi_transform` wants them.

        labels = tree_label(model, {"head": "fast", "**.bias": "plain"}, default="slow")
        tx = optax.multi_transform({"fast": ..., "plain": ..., "slow": ...}, labels)

    **Arguments:**

    - `tree`: any PyTree.
    - `rules`: a dict from selector to label, or pairs of them, in order; a leaf has the label of
        the first rule that selects it. A selector is anything that `by` takes.
    - `default`: the label of the leaves that no rule selects. Without one, only leaves that are no
        floating or complex arrays may be left over; they get None.

    **Returns:** a function of no use for its argument, which returns the tree of labels; it has the
    structure of `tree`, and is also the attribute `tree`.

    **Raises:** `ValueError` if a rule is left without a leaf, if two rules have one label, or if a
    leaf is left without a label; `TypeError` for rules that are no pairs; and as `by`.
    """
    pairs = pairs_of("tree_label", rules)
    for i, (where, label) in enumerate(pairs):
        for earlier, other in pairs[:i]:
            if static_key(other) == static_key(label):
                message = (
                    f"Two rules of `tree_label` have the label {label!r}: `{earlier!r}` and "
                    f"`{where!r}`. Make them one: `by({earlier!r}) | {where!r}`."
                )
                raise ValueError(message)
    homes = _first_matches(tree, [where for where, _ in pairs], "rule")
    rest = None if default is UNSET else default
    if default is UNSET:
        _refuse_unlabelled(tree, homes, len(pairs))
    labels = [*(label for _, label in pairs), rest]
    return Labels(jtu.tree_structure(tree).unflatten([labels[i] for i in homes]))


def pairs_of(function: str, rules: Rules) -> list[tuple[Where, Any]]:
    """The rules as pairs.

    **Raises:** `TypeError` if they are none.
    """
    try:
        pairs = list(rules.items() if isinstance(rules, Mapping) else rules)
        found = [tuple(pair) for pair in pairs if not isinstance(pair, str)]
    except TypeError:
        pairs, found = [None], []
    if len(found) != len(pairs) or any(len(pair) != 2 for pair in found):
        message = (
            f"`rules` of `{function}` is a dict from selectors, or pairs of a selector and what it "
            f"is for; got {rules!r}."
        )
        raise TypeError(message)
    return found  # type: ignore[return-value]


def _first_matches(tree: Any, wheres: Iterable[Where], noun: str) -> list[int]:
    """For each leaf which selector is the first that selects it; else how many there are."""
    selectors: list[Selector] = [by(where) for where in wheres]
    nodes = nodes_of(tree)
    homes = [len(selectors)] * jtu.tree_structure(tree).num_leaves
    for i, selector in enumerate(selectors):
        mask = mask_of_leaves(selector, nodes)
        free = [it and home == len(selectors) for it, home in zip(mask, homes, strict=True)]
        if not any(free):
            taken = {selectors[homes[place]] for place, it in enumerate(mask) if it}
            told = ", ".join(f"`{it!r}`" for it in selectors if it in taken)
            message = (
                f"The {noun} `{selector!r}` is left without a leaf: all that it selects is "
                f"selected by {told} before it. Put it first, or leave it out."
            )
            raise ValueError(message)
        homes = [i if it else home for it, home in zip(free, homes, strict=True)]
    return homes


def _refuse_unlabelled(tree: Any, homes: list[int], none: int) -> None:
    for (keys, leaf), home in zip(jtu.tree_flatten_with_path(tree)[0], homes, strict=True):
        if home == none and is_parameter(leaf):
            message = (
                f"No rule of `tree_label` selects `{dotted(keys)}`. Pass `default=`, or a rule "
                'for it; the last may be `"**"`.'
            )
            raise ValueError(message)
