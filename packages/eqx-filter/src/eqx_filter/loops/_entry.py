"""Where buffers enter a loop: the derivative by what a buffer held before.

Inside of the loop the tangent of a buffer is written as the buffer is, and its cotangent is left as
it is. So what the places that are written held before is taken out here: its tangent would be
overwritten, and its cotangent belongs to what was written. Which places those are is found by
running the loop once more, and only for such a derivative.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from ..shared._jax import symbolic_zero
from . import _lax
from ._state import Arrays
from ._traced import Loop


def entered(loop: Loop, max_steps: int | None) -> Loop:
    """The loop, with buffers that have a derivative by what they held before."""
    if not any(loop.is_marked):
        return loop
    bare = loop.without_arrays()

    @jax.custom_jvp
    def enter(buffers: Arrays, others: Any) -> Arrays:
        return buffers

    def rule(primals: Any, tangents: Any) -> Any:
        buffers, others = primals
        moved = tangents[0]
        if not all(isinstance(tangent, SymbolicZero) for tangent in moved):
            written = _written(bare, max_steps, buffers, others)
            moved = [
                tangent
                if isinstance(tangent, SymbolicZero)
                else jnp.where(mark, jnp.zeros_like(tangent), tangent)
                for mark, tangent in zip(written, moved, strict=True)
            ]
        return enter(buffers, others), [
            symbolic_zero(it.aval) if isinstance(it, SymbolicZero) else it for it in moved
        ]

    enter.defjvp(rule, symbolic_zeros=True)
    buffers = [x for x, b in zip(loop.init, loop.is_marked, strict=True) if b]
    rest = [x for x, b in zip(loop.init, loop.is_marked, strict=True) if not b]
    buffers = enter(buffers, (loop.cond.consts, loop.marking.consts, rest))
    return loop._replace(init=_joined(loop.is_marked, buffers, rest))


def _written(loop: Loop, max_steps: int | None, buffers: Arrays, others: Any) -> Arrays:
    """Of each buffer, which places the loop writes."""
    cond_consts, body_consts, rest = others
    init = _joined(loop.is_marked, buffers, rest)
    marks = [jnp.zeros(x.shape, bool) for x in buffers]

    def cond(*arrays: Any) -> Arrays:
        return loop.cond.of(cond_consts, *arrays[: len(init)])

    def body(pred: Any, *arrays: Any) -> Arrays:
        return loop.marking.of(body_consts, pred, *arrays)

    return _lax.run(cond, body, [*init, *marks], max_steps)[len(init) :]


def _joined(is_marked: Sequence[bool], buffers: Arrays, rest: Arrays) -> Arrays:
    held, others = iter(buffers), iter(rest)
    return [next(held if b else others) for b in is_marked]
