"""Which states of a loop to keep when only so many can be: decided step by step.

Forwards the number of steps is not known. When all slots are taken, two neighbouring parts of what
was run become one, by forgetting the state between them. A loop of less than
`(slots + 1) (slots + 2) / 2` steps so takes none more than once again, which is the optimum (Stumm
& Walther 2010, "New algorithms for optimal online checkpointing"). In a longer one, those parts are
joined with which the loop could be reversed at the least cost, if it ended now or a step later.
Backwards, what was freed is used by the binomial splits of Griewank & Walther (2000, "Algorithm
799: revolve"), section 2.
"""

import functools
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

MOST_REPETITIONS = 64
MOST_PLANNED = 1024
"""For how many steps slots are chosen before the loop is compiled, if that takes comparisons."""
NEVER = np.iinfo(np.int32).max


def nothing_kept(slots: int) -> Any:
    """Of each slot, the step whose state it holds: before the first step."""
    return jnp.full(slots, NEVER, jnp.int32)


def keep(kept: Any, step: Any, max_steps: int | None = None) -> tuple[Any, Any]:
    """Choose the slot for the state of `step`, and note that it is there.

    The slot is one beyond the last where the state need not be kept.
    """
    plan = planned(len(kept), NEVER if max_steps is None else max(1, max_steps))
    slot = jnp.asarray(plan)[jnp.minimum(step, len(plan) - 1)]
    if max_steps is None or max_steps > len(plan):
        slot = lax.cond(step < len(plan), lambda: slot, lambda: _unplanned(kept, step))
    return slot, kept.at[slot].set(step, mode="drop")


def planned(slots: int, max_steps: int) -> np.ndarray:
    """The slots for the states of the first steps."""
    without_comparison = slots * (slots + 3) // 2
    return _plan(slots, min(max_steps, max(without_comparison, MOST_PLANNED)))


@functools.lru_cache
def _plan(slots: int, length: int) -> np.ndarray:
    first = list(_joined_at_first(slots))
    slot_of: dict[int, int] = {}
    plan = []
    for step in range(length):
        if step < slots:
            slot = step
        else:
            at = step - slots
            gone = first[at] if at < len(first) else _forgotten(sorted(slot_of), step)
            slot = slot_of.pop(gone, slots)
        if slot < slots:
            slot_of[step] = slot
        plan.append(slot)
    return np.array(plan, np.int32)


def _joined_at_first(slots: int) -> Iterator[int]:
    """The states that are forgotten while none need be taken more than once again.

    The parts grow to `slots + 1` steps, `slots`, and so on to 2, one after another.
    """
    start = 0
    for length in range(slots + 1, 1, -1):
        yield from range(start + 1, start + length)
        start += length


def _forgotten(kept: list[int], step: int) -> int:
    """Which state to forget: one that is kept, or that of this step."""
    states = np.array([*kept, step])
    return int(states[1 + int(_cheapest(np, states, len(kept)))])


def _unplanned(kept: Any, step: Any) -> Any:
    """The slot for the state of a step, once all are taken."""
    slots = len(kept)
    order = jnp.argsort(kept).astype(jnp.int32)
    states = jnp.append(kept[order], step)
    gone = _cheapest(jnp, states, slots) + 1
    return jnp.where(gone < slots, order[jnp.minimum(gone, slots - 1)], slots).astype(jnp.int32)


def _cheapest(xp: ModuleType, states: Any, slots: int) -> Any:
    """Which part to join with the next: at the least cost if the loop ends now, or a step later.

    There is a part from each of the states on. To reverse one, the slots of the later ones are free
    again.
    """
    free = slots - np.arange(slots)
    cost = 0
    for more in (1, 2):
        parts = xp.diff(xp.append(states, states[-1] + more))
        before = _taken_again(xp, parts[:-1], free)
        joined = _taken_again(xp, parts[:-1] + parts[1:], free)
        after = _taken_again(xp, parts[1:], free)
        cost = cost + xp.cumsum(before) - before + joined + xp.sum(after) - xp.cumsum(after)
    return xp.argmin(cost)


def _taken_again(xp: ModuleType, steps: Any, states: np.ndarray) -> Any:
    """How many steps are taken again to reverse so many: Griewank & Walther (2000), section 2."""
    reach = lengths(len(states), None)[states]
    repetitions = xp.sum(reach < steps[:, None], axis=1)
    repeated = xp.asarray(_saved(len(states)))[states, repetitions]
    return repetitions * steps.astype(repeated.dtype) - repeated


@functools.cache
def _saved(slots: int) -> np.ndarray:
    """What is saved, of as many repetitions of each step, since not all need so many."""
    columns = lengths(slots, None).shape[1] + 1
    return np.array(
        [[math.comb(s + r, s + 1) for r in range(columns)] for s in range(slots + 1)], np.float32
    )


@functools.cache
def lengths(slots: int, max_steps: int | None) -> np.ndarray:
    """How many steps can be reversed with so many states (row) and repetitions (column).

    These are binomials; there are as many columns as `max_steps` with all slots may need.
    """
    most = NEVER if max_steps is None else max_steps
    needed = next(
        r
        for r in range(1, MOST_REPETITIONS + 1)
        if r == MOST_REPETITIONS or math.comb(slots + r, r) >= most
    )
    table = [[min(math.comb(s + r, s), NEVER) for r in range(needed + 2)] for s in range(slots + 1)]
    return np.array(table, np.int32)


def split(table: Any, length: Any, states: Any) -> Any:
    """After how many of `length` steps to keep the next of `states`, of which one is at the start.

    At least 1 and less than `length`, which is 2 or more, as `states` is.
    """
    mine, fewer = table[states], table[states - 1]
    repetitions = jnp.clip(jnp.sum(mine < length), 1, table.shape[1] - 1)
    after = jnp.minimum(mine[repetitions - 1], length - fewer[repetitions - 1])
    return jnp.clip(after, 1, length - 1)
