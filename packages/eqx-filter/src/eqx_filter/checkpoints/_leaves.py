"""Each leaf of a PyTree with its path and what is called with it, and the tree made again."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.tree_util as jtu

from ..shared._difference import first_difference

IsLeaf = Callable[[Any], bool] | None
Progress = Callable[[int, int], Any] | None


class Leaf(NamedTuple):
    """A leaf, where it is, and the function of `filter_spec` that speaks for it."""

    path: tuple[Any, ...]
    value: Any
    spec: Callable[[Any, Any], Any]


class Leaves(NamedTuple):
    """The leaves of a PyTree in their order, and how to put others in their place."""

    all: list[Leaf]
    rebuild: Callable[[Iterable[Any]], Any]


def leaves_of(name: str, tree: Any, filter_spec: Any, is_leaf: IsLeaf) -> Leaves:
    """Give the leaves of the PyTree that is the argument called `name`.

    **Raises:** `ValueError` naming the place, if `filter_spec` is no prefix of it; `TypeError` if a
    leaf of `filter_spec` cannot be called.
    """
    specs, outer = jtu.tree_flatten_with_path(filter_spec)
    try:
        subtrees = outer.flatten_up_to(tree)
    except ValueError:
        path, told = first_difference(filter_spec, tree, prefix=True)
        message = (
            f"`filter_spec` must be a tree prefix of `{name}`; at "
            f"`filter_spec{jtu.keystr(path)}`: {told}."
        )
        raise ValueError(message) from None
    found: list[Leaf] = []
    inner = []
    for (above, spec), subtree in zip(specs, subtrees, strict=True):
        if not callable(spec):
            message = (
                f"`filter_spec{jtu.keystr(above)}` must be a function of a file and a leaf, not "
                f"`{spec!r}`."
            )
            raise TypeError(message)
        below, structure = jtu.tree_flatten_with_path(subtree, is_leaf)
        found += [Leaf((*above, *path), value, spec) for path, value in below]
        inner.append(structure)

    def rebuild(values: Iterable[Any]) -> Any:
        rest = iter(values)
        return outer.unflatten(
            structure.unflatten([next(rest) for _ in range(structure.num_leaves)])
            for structure in inner
        )

    return Leaves(found, rebuild)


def check_progress(progress: Progress) -> None:
    """Refuse what is neither None nor a function."""
    if progress is not None and not callable(progress):
        message = (
            "`progress` must be a function of the number of leaves that are done and of all, or "
            f"None, not `{progress!r}`."
        )
        raise TypeError(message)
