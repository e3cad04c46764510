"""Batch axes of the leaves of a tree: prefix trees of integers, None and functions."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ..shared._difference import first_difference
from ..shared._naming import function_name
from ..shared._predicates import is_array, is_array_like, is_none

Axes = Any
"""A PyTree prefix whose leaves are integers, None, or functions `leaf -> int | None`."""


@dataclasses.dataclass(frozen=True)
class if_array:  # noqa: N801
    """A function that gives `axis` for an array, and None for any other leaf; a leaf itself."""

    axis: int

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, (int, np.integer)):
            message = f"`axis` of `if_array` must be an integer, not `{self.axis!r}`."
            raise TypeError(message)

    def __call__(self, x: Any) -> int | None:
        """Give the axis of `x`."""
        return self.axis if is_array(x) else None


ARRAYS_FIRST = if_array(0)
"""The first axis of every array."""


def resolve(name: str, axes: Axes, tree: Any) -> list[int | None]:
    """The axis of each leaf of `tree`, where `axes` is the argument called `name`.

    **Raises:** `ValueError` naming the place, if `axes` is no prefix or holds anything else.
    """
    specs, structure = jtu.tree_flatten_with_path(axes, is_leaf=lambda x: x is None or _asks(x))
    try:
        subtrees = structure.flatten_up_to(tree)
    except ValueError:
        path, told = first_difference(axes, tree, prefix=True, is_leaf=is_none)
        message = f"`{name}` must be a tree prefix; at `{name}{jtu.keystr(path)}`: {told}."
        raise ValueError(message) from None
    found: list[int | None] = []
    for (path, spec), subtree in zip(specs, subtrees, strict=True):
        leaves = jtu.tree_leaves(subtree)
        if _asks(spec):
            found += [_checked(name, path, spec(leaf), spec) for leaf in leaves]
        else:
            found += [_checked(name, path, spec)] * len(leaves)
    return found


def _asks(spec: Any) -> bool:
    return callable(spec) and jtu.all_leaves([spec])


def _checked(name: str, path: Any, axis: Any, asked: Callable[..., Any] | None = None) -> Any:
    if axis is None or (isinstance(axis, int) and not isinstance(axis, bool)):
        return axis
    told = "" if asked is None else f", as `{function_name(asked)}` answered"
    message = (
        "`in_axes` and `out_axes` must consist of None, ints, and callables only; "
        f"`{name}{jtu.keystr(path)}` is {axis!r}{told}."
    )
    raise ValueError(message)


def common_size(
    names: Sequence[str], leaves: Sequence[Any], axes: Sequence[int | None], given: int | None
) -> int | None:
    """The size that the batch axes of all leaves share, or None if there is none.

    **Raises:** `ValueError` naming the leaf whose axis is not there or has another size;
    `TypeError` naming one that is no array.
    """
    sizes = {} if given is None else {"`axis_size`": given}
    for name, leaf, axis in zip(names, leaves, axes, strict=True):
        if axis is not None:
            sizes[f"axis {axis} of `{name}`"] = _size(name, leaf, axis)
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{place} is {size}" for place, size in list(sizes.items())[:10])
        message = f"The axes that are mapped over must have one size; {told}."
        raise ValueError(message)
    return next(iter(sizes.values()), None)


def _size(name: str, leaf: Any, axis: int) -> int:
    if not is_array(leaf):
        message = (
            f"`in_axes` maps axis {axis} of `{name}`, a `{type(leaf).__name__}`, and only arrays "
            "have axes. Give None for it, or `if_array`."
        )
        raise (ValueError if is_array_like(leaf) else TypeError)(message)
    if not -leaf.ndim <= axis < leaf.ndim:
        message = (
            f"`in_axes` maps axis {axis} of `{name}`, which has shape {leaf.shape}. Give None for "
            "it if it is the same for the whole batch."
        )
        raise ValueError(message)
    return leaf.shape[axis]
