"""The rows of a table of a model: which nodes have one, and what is counted in each.

A row counts the arrays below its node that are below no other row's node, and none twice; so the
sum over the rows is the whole.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from ..paths._nodes import Node, nodes_of
from ..shared._predicates import ABSTRACT_TOO, is_inexact
from ..training._trainable import trainable

_CONTAINERS = (dict, list, tuple, type(None))


@dataclasses.dataclass(frozen=True)
class Row:
    """One node of a model.

    `parameters` are the elements of its floating and complex arrays, `trainable` of those that
    `trainable` selects, and `bytes` is the size of all its arrays: without what another
    row counts. `shared` says of the paths that stand in the tree before where that is. `calls` is
    in how many places of the program the node is called, and `inputs` and `outputs` are the arrays
    of the first. `flops` is the number of operations of all calls, in each step of a loop, without
    those of other rows; None where that cannot be told, or was not asked for.
    """

    path: str
    type: str
    depth: int
    parameters: int
    trainable: int
    bytes: int
    shared: Mapping[str, str]
    calls: int = 0
    inputs: Sequence[jax.ShapeDtypeStruct] = ()
    outputs: Sequence[jax.ShapeDtypeStruct] = ()
    flops: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give what the row holds as numbers, texts, lists and dicts."""
        held = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        shapes = {name: _told(held[name]) for name in ("inputs", "outputs")}
        return {**held, "shared": dict(self.shared), **shapes}


def _told(structs: Sequence[jax.ShapeDtypeStruct]) -> list[dict[str, Any]]:
    return [{"shape": list(it.shape), "dtype": str(it.dtype)} for it in structs]


def rows_of(model: Any, depth: int | None) -> tuple[list[Row], list[Node], dict[int, int]]:
    """The rows, all nodes, and for the place of each node that has a row the place of the row.

    Rows that are deeper than `depth` are counted in the one above.
    """
    nodes = nodes_of(model)
    rows: list[Row] = []
    row_at: dict[int, int] = {}
    above: list[int] = []  # of each node the row that it is counted in; -1 within what is shared
    first: dict[int, str] = {}
    arrays_below = _above_arrays(nodes)
    mask = jtu.tree_leaves(trainable(model))
    for i, node in enumerate(nodes):
        own = above[node.parent] if i else 0  # the first row is that of the first node
        above.append(own)
        if own < 0:
            continue
        before = first.get(id(node.value)) if _has_identity(node) else None
        if _has_row(node, i, *arrays_below):
            level = rows[own].depth + 1 if i else 0
            if depth is None or level <= depth:
                above[i] = row_at[i] = len(rows)
                rows.append(Row(node.path, _type_of(node.value), level, 0, 0, 0, {}))
        if before is not None:
            rows[above[i]] = _with_shared(rows[above[i]], node.path, before)
            above[i] = -1
        elif _has_identity(node):
            first[id(node.value)] = node.path
            if isinstance(node.value, ABSTRACT_TOO):
                rows[own] = _with_array(rows[own], node.value, mask[node.leaves[0]])
    return rows, nodes, row_at


def _type_of(value: Any) -> str:
    """The name of a node's type, or what the type has it called."""
    return getattr(value, "__summary_type__", type(value).__name__)


def _above_arrays(nodes: Sequence[Node]) -> tuple[set[int], set[int]]:
    """The places of the nodes with an array below them, and of those with one as a child."""
    above: set[int] = set()
    parents: set[int] = set()
    for node in nodes:
        if node.is_leaf and isinstance(node.value, ABSTRACT_TOO):
            place = node.parent
            parents.add(place)
            while place >= 0 and place not in above:
                above.add(place)
                place = nodes[place].parent
    return above, parents


def _has_row(node: Node, place: int, above: set[int], parents: set[int]) -> bool:
    if not place:
        return True
    if node.is_leaf:
        return False
    if isinstance(node.value, _CONTAINERS) and not hasattr(node.value, "_fields"):
        return place in parents
    return place in above or callable(node.value)


def _has_identity(node: Node) -> bool:
    """Whether the same object at two places is one thing that is shared."""
    if isinstance(node.value, ABSTRACT_TOO):
        return True
    return not node.is_leaf and not isinstance(node.value, _CONTAINERS)


def _with_array(row: Row, array: Any, is_trainable: bool) -> Row:
    size = math.prod(array.shape)
    counted = size if is_inexact(array.dtype) else 0
    return dataclasses.replace(
        row,
        parameters=row.parameters + counted,
        trainable=row.trainable + counted * is_trainable,
        bytes=row.bytes + size * array.dtype.itemsize,
    )


def _with_shared(row: Row, path: str, before: str) -> Row:
    return dataclasses.replace(row, shared={**row.shared, path: before})
