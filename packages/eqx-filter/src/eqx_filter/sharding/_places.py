"""The arrays of a PyTree with what a plan knows of them: paths, shapes, layers that are stacked."""

import math
from typing import Any, NamedTuple

import jax
from jax.sharding import PartitionSpec

from ..paths._nodes import nodes_of
from ..shared._predicates import is_array


class Place(NamedTuple):
    """An array of a model.

    `path` is its dotted path, `shape` and `dtype` are those of the whole array. The first `stacked`
    of its axes count layers: those of a stack that it is a part of.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    stacked: int

    @property
    def bytes(self) -> int:
        """The size of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize


def is_placed(leaf: Any) -> bool:
    """Whether a plan says where the leaf lies: an array, or what stands for one."""
    return isinstance(leaf, jax.ShapeDtypeStruct) or is_array(leaf)


def places_of(tree: Any) -> list[Place | None]:
    """Give the place of each leaf; None for one that is no array."""
    nodes = nodes_of(tree)
    stacks: list[int] = []  # of each node, in how many stacks it is
    places: list[Place | None] = []
    for node in nodes:
        above = 0 if node.parent < 0 else stacks[node.parent]
        stacks.append(above + hasattr(type(node.value), "__unstacked__"))
        if node.is_leaf:
            leaf = node.value
            is_one = is_placed(leaf)
            places.append(Place(node.path, leaf.shape, leaf.dtype, above) if is_one else None)
    return places


def axes_of(entry: Any) -> tuple[str, ...]:
    """The axes of a mesh that one entry of a spec names."""
    return () if entry is None else entry if isinstance(entry, tuple) else (entry,)


def entries_of(spec: PartitionSpec, ndim: int) -> list[Any]:
    """An entry for each axis of an array."""
    return [*spec, *[None] * (ndim - len(spec))]
