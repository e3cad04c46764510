"""`where` of `tree_at` and kin: a function from a PyTree to nodes of it.

It is called on a copy of the tree whose leaves are placeholders. So a node is known by its place
and not by its value: `[True, True]` has two places, and so has a layer that stands in a tree twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.tree_util as jtu

from ..shared._describe import describe
from ._missing import missing_in


class Placeholder:
    """Stands for the leaf at `index` of `leaves`.

    It is true, and equal to nothing else; where the leaf's own value would say otherwise, the
    answer would depend on that value, and is refused.
    """

    __slots__ = ("index", "leaves")

    def __init__(self, index: int, leaves: list[Any]) -> None:
        self.index = index
        self.leaves = leaves

    def __bool__(self) -> bool:
        if not self.leaves[self.index]:
            raise _DependsOnValueError(self.index)
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) is not Placeholder and _may_equal(self.leaves[self.index], other):
            raise _DependsOnValueError(self.index)
        return self is other

    __hash__ = object.__hash__
    __iter__ = None  # a leaf is not gone through, though it can be subscripted

    def __getitem__(self, key: Any) -> Part:
        return Part(self.index, (key,))


class Part:
    """Stands for some elements of a leaf: what a placeholder gives for one subscript or more."""

    __slots__ = ("index", "keys")
    __iter__ = None

    def __init__(self, index: int, keys: tuple[Any, ...]) -> None:
        self.index = index
        self.keys = keys

    def __getitem__(self, key: Any) -> Part:
        return Part(self.index, (*self.keys, key))


def _may_equal(leaf: Any, other: Any) -> bool:
    try:
        return bool(leaf == other)
    except Exception:  # no plain answer: a tracer, an array of several elements
        return True


class _DependsOnValueError(Exception):
    """`where` asked a leaf for its value; the argument is the leaf's index."""


class Chosen(NamedTuple):
    """What a call of `where` came to.

    `copy` is the tree with placeholders, and `nodes` are nodes of it; `is_sequence` says whether
    `where` returned several.
    """

    copy: Any
    leaves: list[Any]
    structure: Any
    nodes: Sequence[Any]
    is_sequence: bool


def choose(
    where: Callable[[Any], Any], pytree: Any, is_leaf: Any = None, *, parts: bool = False
) -> Chosen:
    """Call `where` on a copy of a tree.

    Where `parts`, the nodes may be made of parts of leaves.

    **Raises:** `TypeError` if what it returns is not in the tree, or if it computes with a leaf;
    `ValueError` if it asks for a leaf's value.
    """
    leaves, structure = jtu.tree_flatten(pytree, is_leaf)
    copy = structure.unflatten([Placeholder(i, leaves) for i in range(len(leaves))])
    chosen = _call_where(where, copy, pytree, is_leaf)
    if type(chosen) is not Placeholder and _holds_bare_nodes(chosen):
        copy = _told_apart(copy)
        chosen = _call_where(where, copy, pytree, is_leaf)
    if type(chosen) is Placeholder:
        return Chosen(copy, leaves, structure, [chosen], False)
    return Chosen(copy, leaves, structure, *_nodes(chosen, copy, where, pytree, parts))


def stood_for(stand_in: Any, leaves: list[Any]) -> Any:
    """What a leaf of the copy stands for."""
    if type(stand_in) is Placeholder:
        return leaves[stand_in.index]
    return () if type(stand_in) is _Empty else stand_in.node


def _call_where(where: Callable[[Any], Any], copy: Any, pytree: Any, is_leaf: Any) -> Any:
    try:
        return where(copy)
    except _DependsOnValueError as error:
        path = jtu.tree_flatten_with_path(pytree, is_leaf)[0][error.args[0]][0]
        message = (
            "`where` must use just the PyTree structure of `pytree`, and not depend on the values "
            f"of its leaves; it asked for that of `pytree{jtu.keystr(path)}`. `where` is "
            f"{describe(where)}."
        )
        raise ValueError(message) from None
    except (TypeError, AttributeError, LookupError) as error:
        if "Placeholder" not in str(error):
            missing = missing_in(where, copy)
            error.add_note(f"{missing}. " * bool(missing) + f"`where` is {describe(where)}.")
            raise
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(pytree, is_leaf)[0]]
        leaves = ", ".join(f"`pytree{path}`" for path in paths[:10])
        message = (
            f"`where` must return nodes of `pytree`, and cannot compute with its leaves; it tried: "
            f"{str(error).replace('Placeholder', 'leaf')}. The leaves are {leaves}"
            f"{', ...' if len(paths) > 10 else ''}. `where` is {describe(where)}."
        )
        raise type(error)(message) from None


def _nodes(
    chosen: Any, copy: Any, where: Callable[[Any], Any], pytree: Any, parts: bool
) -> tuple[Sequence[Any], bool]:
    """What `where` returned, as nodes of the copy; and whether it returned several."""
    if isinstance(chosen, (tuple, list)) and not _holds(copy, chosen, where):
        for node in chosen:
            _check_node(node, where, pytree, parts)
        return chosen, True
    _check_node(chosen, where, pytree, parts)
    return [chosen], False


def _holds(tree: Any, node: Any, where: Callable[[Any], Any]) -> bool:
    """Whether what `where` returned is itself a node of the tree."""
    leaves = jtu.tree_leaves(tree, lambda other: other is node)
    return any(leaf is node for leaf in leaves)


class _Empty(tuple):
    """Stands for an empty tuple of the tree: there is but one `()`."""

    __slots__ = ()


class _Bare:
    """Stands for another node without children, of which there may be but one object."""

    def __init__(self, node: Any) -> None:
        self.node = node


def _is_bare(node: Any) -> bool:
    """Whether a node has no children. None is told apart by `is_leaf`."""
    structure = jtu.tree_structure(node)
    return node is not None and structure.num_nodes == 1 and structure.num_leaves == 0


def _holds_bare_nodes(chosen: Any) -> bool:
    nodes = chosen if isinstance(chosen, (tuple, list)) else ()
    return _is_bare(chosen) or any(map(_is_bare, nodes))


def _told_apart(tree: Any) -> Any:
    """The tree with an object of its own for each node that may be one object with another.

    Nodes with children were made anew when the placeholders were put in.
    """
    times = Counter(map(id, jtu.tree_leaves(tree, is_leaf=_is_bare)))

    def stand_in(node: Any) -> Any:
        if type(node) is tuple and not node:
            return _Empty()
        return _Bare(node) if times[id(node)] > 1 and _is_bare(node) else node

    return jtu.tree_map(stand_in, tree, is_leaf=_is_bare)


def _check_node(node: Any, where: Callable[[Any], Any], pytree: Any, parts: bool) -> None:
    for leaf in jtu.tree_leaves(node):
        if type(leaf) is Part and not parts:
            message = (
                f"`where` chooses leaves and subtrees here, and no part of a leaf, such as "
                f"`weight[0]`, which `tree_at` takes. `where` is {describe(where)}."
            )
            raise TypeError(message)
        if type(leaf) not in (Placeholder, Part, _Empty, _Bare):
            message = (
                f"Operation undefined, {leaf!r} is not a leaf of the pytree. `where` must return "
                f"nodes of `pytree`, a `{type(pytree).__name__}`: leaves or subtrees, and no "
                f"static fields or new values. `where` is {describe(where)}."
            )
            raise TypeError(message)
