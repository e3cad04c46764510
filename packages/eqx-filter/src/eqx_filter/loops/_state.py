"""The state of a loop as arrays in a row, and the buffers in it.

First come the leaves of the state, where a buffer of a loop around this one gives its array; then
the marks of such buffers, which this loop sets too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._predicates import is_array_like, is_inexact
from ._buffers import Buffer, is_buffer

Arrays = list[Any]


class State:
    """How a state lies in a row: `is_buffer` tells of each array whether it is only written.

    `is_marked` tells it of those that have a derivative: they get a mark of their own, an array
    that becomes True where this loop writes.
    """

    def __init__(self, init_val: Any, buffers: Callable[[Any], Any] | None) -> None:
        leaves, self.structure = jtu.tree_flatten(_as_arrays(init_val), is_leaf=is_buffer)
        self.outer = [leaf if is_buffer(leaf) else None for leaf in leaves]
        named = _named(self.structure, buffers)
        self.is_written = [a or is_buffer(b) for a, b in zip(named, leaves, strict=True)]
        marks = [mark for leaf in leaves if is_buffer(leaf) for mark in leaf.marks]
        self.first = [leaf.array if is_buffer(leaf) else leaf for leaf in leaves] + marks
        self.is_buffer = self.is_written + [True] * len(marks)
        self.is_marked = [
            b and is_inexact(x.dtype) for b, x in zip(self.is_buffer, self.first, strict=True)
        ]

    def tree(self, arrays: Sequence[Any], pred: Any, own_marks: Sequence[Any] = ()) -> Any:
        """The state as the functions of a loop see it, with `Buffer`s."""
        own, others = iter(own_marks), iter(arrays[len(self.outer) :])
        leaves = list(arrays[: len(self.outer)])
        for place, outer in enumerate(self.outer):
            if self.is_written[place]:
                marks = [next(own)] if own_marks and self.is_marked[place] else []
                marks += [next(others) for _ in (outer.marks if outer else ())]
                preds = (pred, *(outer.preds if outer else ()))
                leaves[place] = Buffer(leaves[place], preds, tuple(marks))
        return jtu.tree_unflatten(self.structure, leaves)

    def arrays(self, tree: Any) -> tuple[Arrays, Arrays] | None:
        """The arrays of a state, and the marks of its own, if any; None if it is no such state."""
        leaves, structure = jtu.tree_flatten(tree, is_leaf=is_buffer)
        if structure != self.structure or list(map(is_buffer, leaves)) != self.is_written:
            return None
        arrays, own_marks, others = [], [], []
        for leaf, outer in zip(leaves, self.outer, strict=True):
            arrays.append(leaf.array if is_buffer(leaf) else jnp.asarray(leaf))
            if is_buffer(leaf):
                own = len(leaf.marks) - len(outer.marks if outer else ())
                own_marks += leaf.marks[:own]
                others += leaf.marks[own:]
        return arrays + others, own_marks

    def finished(self, arrays: Arrays) -> Any:
        """The state that a loop ended with; a buffer of a loop around it is one again."""
        others = iter(arrays[len(self.outer) :])
        leaves = [
            array
            if outer is None
            else Buffer(array, outer.preds, tuple(next(others) for _ in outer.marks))
            for array, outer in zip(arrays, self.outer, strict=False)
        ]
        return jtu.tree_unflatten(self.structure, leaves)


def _as_arrays(tree: Any) -> Any:
    def convert(path: Any, leaf: Any) -> Any:
        if is_buffer(leaf):
            return leaf
        if is_array_like(leaf):
            return jnp.asarray(leaf)
        message = (
            f"A loop carries arrays; `init_val{jtu.keystr(path)}` is `{leaf!r}`, which is none. "
            "Close over it instead, or use `filter_while_loop`."
        )
        raise TypeError(message)

    return jtu.tree_map_with_path(convert, tree, is_leaf=is_buffer)


def _named(structure: Any, buffers: Callable[[Any], Any] | None) -> list[bool]:
    """Whether each leaf is one of those that `buffers` gives.

    **Raises:** `ValueError` if it gives anything else.
    """
    marks = [object() for _ in range(structure.num_leaves)]
    if buffers is None:
        return [False] * len(marks)
    chosen = jax.tree.leaves(buffers(jtu.tree_unflatten(structure, marks)))
    for leaf in chosen:
        if not any(leaf is mark for mark in marks):
            message = (
                f"`buffers` must give arrays of the state, or nodes of arrays; it gave {leaf!r}. "
                "Write it with attributes and items alone, as in `lambda state: state[1]`."
            )
            raise ValueError(message)
    return [any(mark is leaf for leaf in chosen) for mark in marks]
