"""What a traced function returns: its arrays, and how they are laid out. Knows no inputs."""

from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import static_key

from .._predicates import ARRAY_TYPES


class Layout:
    """The structure of an output, and its static leaves with their places."""

    __slots__ = ("static", "structure")

    def __init__(self, leaves: Sequence[Any], structure: Any) -> None:
        self.structure = structure
        self.static = [
            (place, leaf) for place, leaf in enumerate(leaves) if not isinstance(leaf, ARRAY_TYPES)
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout) or self.structure != other.structure:
            return False
        return static_key(self.static) == static_key(other.static)

    __hash__ = None  # type: ignore[assignment]

    def rebuild(self, arrays: Sequence[Any]) -> Any:
        """Put the output together from its arrays."""
        leaves = list(arrays)
        for place, leaf in self.static:
            leaves.insert(place, leaf)
        return self.structure.unflatten(leaves)


class Output:
    """Arrays with a layout that belongs to one trace alone."""

    __slots__ = ("arrays", "layout")

    def __init__(self, layout: Layout, arrays: Sequence[Any]) -> None:
        self.layout = layout
        self.arrays = arrays


jtu.register_pytree_node(
    Output,
    lambda output: (output.arrays, (output.layout,)),
    lambda aux, arrays: Output(*aux, arrays),
)
