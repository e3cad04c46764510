"""PyTrees of any nodes as tuples, lists and dicts, which every process knows."""

from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

from ..paths._dotted import part

Keep = Callable[[Any], bool]


def plain(tree: Any, keep: Keep) -> Any:
    """Give a PyTree with a dict, from field to child, for each node that is no builtin container.

    A named tuple is a tuple. Of leaves only those are left that are to be kept; None stands for the
    others.
    """
    if isinstance(tree, (tuple, list)):
        kind = list if isinstance(tree, list) else tuple
        return kind(plain(child, keep) for child in tree)
    if isinstance(tree, dict):
        return {name: plain(child, keep) for name, child in tree.items()}
    pairs, _ = jtu.tree_flatten_with_path(tree, is_leaf=lambda it: it is not tree)
    if any(child is tree for _, child in pairs):
        return tree if keep(tree) else None
    return {part(path[0]): plain(child, keep) for path, child in pairs} or None


class Rebuilding:
    """The way back, for one PyTree: from its plain form with other arrays to its own nodes."""

    def __init__(self, tree: Any, keep: Keep) -> None:
        self.leaves, self.structure = jtu.tree_flatten(tree)
        places = [_Place(i) if keep(leaf) else leaf for i, leaf in enumerate(self.leaves)]
        numbered = plain(self.structure.unflatten(places), lambda leaf: isinstance(leaf, _Place))
        self.places, self.plain_structure = jtu.tree_flatten(numbered)

    def specs(self) -> Any:
        """The plain form of the tree itself."""
        return self.plain_structure.unflatten([self.leaves[it.index] for it in self.places])

    def __call__(self, arrays: Any) -> Any:
        """The tree, with the arrays of a plain form."""
        leaves = list(self.leaves)
        for place, array in zip(self.places, jtu.tree_leaves(arrays), strict=True):
            leaves[place.index] = array
        return self.structure.unflatten(leaves)


class _Place:
    """Stands for a leaf, and says where it is."""

    def __init__(self, index: int) -> None:
        self.index = index
