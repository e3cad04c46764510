"""The loop of at most so many steps, differentiable as often as wanted.

Scans in scans: one of `base` steps, each of which is one of `base` steps, and so on; a scan that
has nothing to do any more is skipped, and each is a checkpoint. So a gradient keeps `base` states a
level, and takes each step once more a level: the recursive form of the scheme of Griewank (1992,
"Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
differentiation") with a fixed number of parts.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from ..rules._unvmap import unvmap_any
from ._lax import no_steps
from ._state import Arrays
from ._traced import Loop

Carry = tuple[Any, ...]


def run(loop: Loop, max_steps: int, base: int) -> Arrays:
    """Run the loop, at most `max_steps` times."""

    def step(carry: Carry) -> Carry:
        count, pred, *arrays = carry
        arrays = loop.body(pred, *arrays)
        [more] = loop.cond(*arrays)
        return (count + 1, more & (count + 1 < max_steps), *arrays)

    advance, covered = step, 1
    while covered < max_steps:
        length = min(base, -(-max_steps // covered))
        advance, covered = _repeated(advance, length), covered * length
    [pred] = loop.cond(*loop.init)
    start = (no_steps(max_steps), pred & (max_steps > 0), *loop.init)
    return list(_if_any_left(advance, start))[2:] if max_steps else list(loop.init)


def _if_any_left(advance: Callable[[Carry], Carry], carry: Carry) -> Carry:
    return lax.cond(unvmap_any(carry[1]), advance, lambda carry: carry, carry)


def _repeated(advance: Callable[[Carry], Carry], length: int) -> Callable[[Carry], Carry]:
    kept = jax.checkpoint(lambda carry: _if_any_left(advance, carry))

    def scanned(carry: Carry) -> Carry:
        return lax.scan(lambda c, _: (kept(c), None), carry, None, length)[0]

    return scanned
