"""All nodes of a PyTree, leaves among them, with their paths and the leaves below each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..shared._filter_spec import IsLeaf
from ..shared._levels import one_level_with_paths
from ._dotted import dotted


class Node(NamedTuple):
    """A node of a tree, and where it stands.

    `parent` is the parent's place in the row of all nodes, -1 for the root. `keys` is the path as
    JAX gives it, `path` as a text. `leaves` are the places of the leaves below it.
    """

    value: Any
    keys: tuple[Any, ...]
    path: str
    parent: int
    leaves: range
    is_leaf: bool


def nodes_of(tree: Any, is_leaf: IsLeaf = None) -> list[Node]:
    """Give all nodes, each before those below it, in the order of flattening."""
    nodes: list[Node] = []
    _gather(nodes, tree, (), -1, 0, is_leaf)
    return nodes


def _gather(
    nodes: list[Any], value: Any, keys: tuple[Any, ...], parent: int, first: int, is_leaf: IsLeaf
) -> int:
    """Append a node and all below it; give the place of the leaf that comes next."""
    here = len(nodes)
    nodes.append(None)
    stops = is_leaf is not None and is_leaf(value)
    children = None if stops else one_level_with_paths(value)
    last = first + 1
    if children is not None:
        last = first
        for key, child in children:
            last = _gather(nodes, child, keys + key, here, last, is_leaf)
    nodes[here] = Node(value, keys, dotted(keys), parent, range(first, last), children is None)
    return last


def covered(nodes: Sequence[Node], matched: Sequence[bool]) -> list[bool]:
    """Say of each node whether it, or one that it is below, is matched."""
    answers: list[bool] = []
    for node, match in zip(nodes, matched, strict=True):
        answers.append(match or (node.parent >= 0 and answers[node.parent]))
    return answers


def touched(nodes: Sequence[Node], matched: Sequence[bool]) -> list[bool]:
    """Say of each node whether it, or one above or below it, is matched."""
    answers = covered(nodes, matched)
    for place in range(len(nodes) - 1, 0, -1):
        if answers[place]:
            answers[nodes[place].parent] = True
    return answers


def outermost(nodes: Sequence[Node], matched: Sequence[bool]) -> list[int]:
    """The places of the matched nodes that are not below another one."""
    over = [*covered(nodes, matched), False]  # the last stands for what is above the root
    return [i for i, it in enumerate(matched) if it and not over[nodes[i].parent]]
