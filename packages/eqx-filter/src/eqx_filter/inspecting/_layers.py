"""The rows of a stack of equal layers, as of a tuple of them: each layer has rows of its own."""

import dataclasses
from collections.abc import Mapping, Sequence

from ..paths._nodes import Node
from ..shared._stacks import is_stack
from ._rows import Row


def layer_by_layer(
    rows: Sequence[Row], nodes: Sequence[Node], row_at: Mapping[int, int]
) -> list[Row]:
    """Repeat what is below each stack of layers for each of them.

    The arrays there have an axis of layers in front, so each layer has an equal part of what is
    counted; and its path is the one by which `save` names it, as `layers.3.weight`.
    """
    rows = list(rows)
    stacks: list[tuple[int, int]] = []
    axes: list[int] = []  # of each node, how many stacks it is below
    for i, node in enumerate(nodes):
        above = node.parent
        axis = axes[above] + hasattr(type(nodes[above].value), "__unstacked__") if i else 0
        axes.append(axis)
        if i in row_at and is_stack(node.value, axis):
            stacks.append((row_at[i], len(node.value)))
    for place, number in reversed(stacks):  # those within others first
        stack, end = rows[place], place + 1
        while end < len(rows) and rows[end].depth > stack.depth:
            end += 1
        below = rows[place + 1 : end]
        rows[place + 1 : end] = [
            _of_layer(row, stack, i, number) for i in range(number) for row in below
        ]
    return rows


def _of_layer(row: Row, stack: Row, index: int, number: int) -> Row:
    # A loop over the layers calls each of them where a scan calls one for all.
    each = number if not stack.calls and row.calls % number == 0 else 1
    shared = {
        _renamed(path, stack.path, index): _renamed(before, stack.path, index)
        for path, before in row.shared.items()
    }
    return dataclasses.replace(
        row,
        path=_renamed(row.path, stack.path, index),
        parameters=row.parameters // number,
        trainable=row.trainable // number,
        bytes=row.bytes // number,
        calls=row.calls // each,
        flops=None if row.flops is None else row.flops / number,
        shared=shared,
    )


def _renamed(path: str, stack: str, index: int) -> str:
    """The path with the index of a layer in the place of the first part below the stack."""
    above = f"{stack}." if stack else ""
    if not path.startswith(above) or path == stack:
        return path
    parts = path[len(above) :].split(".", 1)
    return above + ".".join([str(index), *parts[1:]])
