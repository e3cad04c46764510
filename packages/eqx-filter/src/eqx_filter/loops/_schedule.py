"""Which states of a loop to keep when only so many can be: decided step by step.

Forwards the number of steps is not known. The states kept are those of Wang, Moin & Iaccarino
(2009, "Minimal repetition dynamic checkpointing algorithm for unsteady adjoint calculation"),
Algorithm 1, which is optimal up to the bounds that Stumm & Walther (2010, "New algorithms for
optimal online checkpointing") give. Backwards it is: what was freed is used by the binomial splits
of Griewank & Walther (2000, "Algorithm 799: revolve"), section 2.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

MOST_REPETITIONS = 64
NEVER = np.iinfo(np.int32).max
FREE = -1


class Kept(NamedTuple):
    """Of each slot, the step whose state it holds and its level; and which was written last.

    A state is dispensable once a later one has a higher level; then its slot is free.
    """

    steps: Any
    levels: Any
    newest: Any


def nothing_kept(slots: int) -> Kept:
    """Before the first step."""
    return Kept(
        jnp.full(slots, NEVER, jnp.int32), jnp.full(slots, FREE, jnp.int32), jnp.array(0, jnp.int32)
    )


def keep(kept: Kept, step: Any) -> tuple[Any, Kept]:
    """Choose the slot for the state of `step`, and note that it is there.

    The slot is one beyond the last where the state need not be kept.
    """
    slots = len(kept.steps)
    if slots == 1:
        slot = jnp.minimum(step, 1)
        return slot, Kept(jnp.zeros_like(kept.steps), kept.levels, kept.newest)
    is_free = kept.levels == FREE
    latest = jnp.argmax(jnp.where(is_free, kept.steps, -1)).astype(jnp.int32)
    any_free = is_free[latest]
    slot = jnp.where(any_free, latest, kept.newest)
    level = jnp.where(any_free, 0, kept.levels[kept.newest] + 1)
    level = jnp.where(step == 0, NEVER, level)  # the first is always needed
    levels = jnp.where(kept.levels < level, FREE, kept.levels)
    return slot, Kept(kept.steps.at[slot].set(step), levels.at[slot].set(level), slot)


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
