"""What moves in a loop, as a derivative sees it: the arrays that have a tangent in some step."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..shared._predicates import is_inexact
from ..shared._reached import reached_by
from ._state import Arrays
from ._traced import Loop


class Moving(NamedTuple):
    """Of what the body closes over, and of the state, which arrays have a tangent in any step."""

    consts: tuple[bool, ...]
    arrays: tuple[bool, ...]


def can_move(x: Any) -> bool:
    """Whether an array may have a tangent."""
    return is_inexact(jnp.result_type(x))


def moving_in(loop: Loop, moving: Moving) -> Moving:
    """What has a tangent in any step, if this has one before the first."""
    all_that_can = tuple(map(can_move, loop.init))
    while moving.arrays != all_that_can:
        after = _after_a_step(loop, moving)
        if after == moving:
            break
        moving = after
    return moving


def _after_a_step(loop: Loop, moving: Moving) -> Moving:
    """What has a tangent before a step or after it."""
    reached: list[bool] = []

    def tangents(cond_consts: Arrays, consts: Arrays, arrays: Arrays) -> Any:
        this = loop._replace(cond=loop.cond._replace(consts=cond_consts))
        step, *before = step_of_moving(this, consts, arrays, moving)

        def telling(*before: Arrays) -> Any:
            out, reached[:] = reached_by(step(*before))
            return out

        return jax.jvp(telling, before, before)

    jax.eval_shape(tangents, loop.cond.consts, loop.body.consts, loop.init)
    arrays = tuple(m or r for m, r in zip(moving.arrays, reached, strict=True))
    return Moving(moving.consts, arrays)


def step_of_moving(loop: Loop, consts: Arrays, arrays: Arrays, moving: Moving) -> Any:
    """One step as a function of what moves, `(consts, arrays)`, and these."""
    [pred] = loop.cond(*arrays)

    def step(some_consts: Arrays, some_arrays: Arrays) -> Arrays:
        all_consts = merged(some_consts, consts, moving.consts)
        return loop.body.of(all_consts, pred, *merged(some_arrays, arrays, moving.arrays))

    return step, chosen(consts, moving.consts), chosen(arrays, moving.arrays)


def chosen(arrays: Arrays, mask: Sequence[bool]) -> Arrays:
    """Those that the mask tells."""
    return [x for x, is_chosen in zip(arrays, mask, strict=True) if is_chosen]


def merged(some: Arrays, others: Arrays, mask: Sequence[bool]) -> Arrays:
    """Undo `chosen`, with `others` in the other places."""
    given = iter(some)
    return [next(given) if is_chosen else x for x, is_chosen in zip(others, mask, strict=True)]
