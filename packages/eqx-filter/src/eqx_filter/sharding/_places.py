"""The arrays of a PyTree with what a plan knows of them: paths, shapes, layers that are stacked."""

import math
from typing import Any, NamedTuple

import jax
from jax.sharding import PartitionSpec

from ..paths._nodes import Node, nodes_of
from ..shared._predicates import is_array


class Place(NamedTuple):
    """An array of a model.

    `path` is its dotted path, `shape` and `dtype` are those of the whole array. The first `stacked`
    of its axes count layers: those of a stack that it is a part of. `above` are the nodes that it
    is in, each with its dotted path, from the model to the one that has it.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    stacked: int
    above: tuple[tuple[str, Any], ...]

    def free(self, spec: PartitionSpec | None, axis: str, count: int) -> list[int]:
        """Which axes can be split `count` times by an axis of the mesh that splits none of them."""
        entries = entries_of(spec or PartitionSpec(), len(self.shape))
        if any(axis in axes_of(entry) for entry in entries):
            return []
        pairs = enumerate(zip(entries, self.shape, strict=True))
        return [i for i, (entry, size) in pairs if entry is None and size % count == 0]

    def split(self, spec: PartitionSpec | None, place: int, axis: str) -> PartitionSpec:
        """The spec that splits one axis more."""
        entries = entries_of(spec or PartitionSpec(), len(self.shape))
        entries[place] = axis
        return PartitionSpec(*entries)

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
    chains: list[tuple[tuple[str, Any], ...]] = []  # of each node, itself and what is above it
    places: list[Place | None] = []
    for node in nodes:
        above = () if node.parent < 0 else chains[node.parent]
        chains.append((*above, (node.path, node.value)))
        if node.is_leaf:
            places.append(_place(node, above) if is_placed(node.value) else None)
    return places


def _place(node: Node, above: tuple[tuple[str, Any], ...]) -> Place:
    stacks = sum(hasattr(type(it), "__unstacked__") for _, it in above)
    return Place(node.path, tuple(node.value.shape), node.value.dtype, stacks, above)


def axes_of(entry: Any) -> tuple[str, ...]:
    """The axes of a mesh that one entry of a spec names."""
    return () if entry is None else entry if isinstance(entry, tuple) else (entry,)


def entries_of(spec: PartitionSpec, ndim: int) -> list[Any]:
    """An entry for each axis of an array."""
    return [*spec, *[None] * (ndim - len(spec))]
