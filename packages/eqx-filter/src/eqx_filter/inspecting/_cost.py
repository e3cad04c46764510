"""`tree_cost`: what XLA says of a compiled program."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..compiled import filter_jit
from ..shared._naming import refuse_uncallable
from ._flops import told_of


@dataclasses.dataclass(frozen=True)
class TreeCost:
    """What a program costs by XLA's count; made by `tree_cost`. None is what it cannot tell.

    `flops` is the number of floating-point operations, `bytes_accessed` what is read and written,
    and `temporary_memory` the bytes that it needs beside its `arguments` and its `outputs`, which
    are in bytes too.
    """

    flops: float | None
    bytes_accessed: float | None
    temporary_memory: int | None
    arguments: int | None
    outputs: int | None


def tree_cost(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> TreeCost:
    """Say what a call costs: compile it, by `filter_jit`, and ask XLA. Nothing is computed.

        tree_cost(filter_grad(loss), model, x).temporary_memory

    **Arguments:** `fn`, a pure function, and what it is called with: any PyTrees, where a
    `jax.ShapeDtypeStruct` may stand for an array.

    **Returns:** a `TreeCost`, for this backend. XLA counts the body of a loop once where it does
    not know the number of steps, and cannot tell what a kernel from elsewhere does, as those of
    LAPACK.

    **Raises:** `TypeError` if `fn` cannot be called.
    """
    refuse_uncallable("tree_cost", fn=fn)
    compiled = filter_jit(fn).lower(*args, **kwargs).compile()
    told = compiled.cost_analysis()
    memory = compiled.memory_analysis()
    return TreeCost(
        told_of(told, "flops"),
        told_of(told, "bytes accessed"),
        getattr(memory, "temp_size_in_bytes", None),
        getattr(memory, "argument_size_in_bytes", None),
        getattr(memory, "output_size_in_bytes", None),
    )
