"""A PyTree as JAX's own transformations take it: its arrays are leaves, the rest is structure.

Static leaves and the structure travel as a node's auxiliary data, so they survive whatever JAX does
with the arrays, and belong to one trace alone.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import static_key

from ._predicates import ARRAY_TYPES

_LEAF = jtu.tree_structure(0)


class Layout:
    """The structure of a PyTree, and its static leaves with their places."""

    __slots__ = ("static", "structure")

    def __init__(
        self, leaves: Sequence[Any], structure: Any, array_types: tuple[type, ...] = ARRAY_TYPES
    ) -> None:
        self.structure = structure
        self.static = [
            (place, leaf) for place, leaf in enumerate(leaves) if not isinstance(leaf, array_types)
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout) or self.structure != other.structure:
            return False
        return static_key(self.static) == static_key(other.static)

    __hash__ = None  # type: ignore[assignment]

    @property
    def is_array(self) -> bool:
        """Whether the PyTree is one array and nothing around it."""
        return self.structure == _LEAF and not self.static

    def rebuild(self, arrays: Sequence[Any]) -> Any:
        """Put the PyTree together from its arrays."""
        leaves = list(arrays)
        for place, leaf in self.static:
            leaves.insert(place, leaf)
        return self.structure.unflatten(leaves)

    def rebuild_with_gaps(self, arrays: Sequence[Any], gap: Any = None) -> Any:
        """Put values for the arrays together, with `gap` for each static leaf."""
        leaves = list(arrays)
        for place, _ in self.static:
            leaves.insert(place, gap)
        return self.structure.unflatten(leaves)


class Packed:
    """The arrays of a PyTree in a row, with the layout of the whole."""

    __slots__ = ("arrays", "layout")

    def __init__(self, layout: Layout, arrays: Sequence[Any]) -> None:
        self.layout = layout
        self.arrays = arrays

    def unpack(self) -> Any:
        """Give the PyTree."""
        return unpack(self.layout, self.arrays)


def unpack(layout: Layout, arrays: Sequence[Any]) -> Any:
    """Put a PyTree together. Where JAX has a Python number in the place of an array, it is one."""
    return layout.rebuild(list(map(as_array, arrays)))


def as_array(x: Any) -> Any:
    """Make an array of a Python number; anything else stays as it is."""
    return jnp.asarray(x) if isinstance(x, (bool, int, float, complex)) else x


def pack(tree: Any) -> Packed:
    """Take the arrays of a PyTree out of it, NumPy's too."""
    leaves, structure = jtu.tree_flatten(tree)
    arrays = [leaf for leaf in leaves if isinstance(leaf, ARRAY_TYPES)]
    return Packed(Layout(leaves, structure), arrays)


jtu.register_pytree_node(
    Packed,
    lambda packed: (packed.arrays, (packed.layout,)),
    lambda aux, arrays: Packed(*aux, arrays),
)
