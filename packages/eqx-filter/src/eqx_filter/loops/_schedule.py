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

LEVELS = 64
REPETITIONS = 64
NEVER = np.iinfo(np.int32).max


class Kept(NamedTuple):
    """Of each slot, the step whose state it holds and its level; and how the levels lie.

    A state is dispensable once a later one has a higher level. `latest[l]` is the latest step with
    a level above `l`.
    """

    steps: Any
    levels: Any
    latest: Any
    newest: Any


def nothing_kept(slots: int) -> Kept:
    """Before the first step."""
    return Kept(
        jnp.full(slots, NEVER, jnp.int32),
        jnp.zeros(slots, jnp.int32),
        jnp.full(LEVELS, -1, jnp.int32),
        jnp.array(0, jnp.int32),
    )


def keep(kept: Kept, step: Any) -> tuple[Any, Kept]:
    """Choose the slot for the state of `step`, and note that it is there.

    The slot is one beyond the last where the state need not be kept.
    """
    slots = len(kept.steps)
    is_dispensable = kept.steps < kept.latest[kept.levels]
    any_dispensable = jnp.any(is_dispensable)
    highest = kept.levels[kept.newest]
    level = jnp.where((step < slots) | any_dispensable, 0, jnp.minimum(highest + 1, LEVELS - 1))
    level = jnp.where(step == 0, LEVELS - 1, level)  # the first is always needed
    latest = jnp.argmax(jnp.where(is_dispensable, kept.steps, -1))
    other = jnp.where(any_dispensable, latest, kept.newest)
    slot = jnp.where(step < slots, step, other).astype(jnp.int32)
    if slots == 1:
        slot = jnp.minimum(step, 1)
    news = Kept(
        kept.steps.at[slot].set(step, mode="drop"),
        kept.levels.at[slot].set(level, mode="drop"),
        jnp.where(jnp.arange(LEVELS) < level, jnp.where(step == 0, -1, step), kept.latest),
        jnp.minimum(slot, slots - 1),
    )
    return slot, news


def lengths(slots: int) -> np.ndarray:
    """How many steps can be reversed with so many states and repetitions: binomials."""
    table = [
        [min(math.comb(s + r, s), NEVER) for r in range(REPETITIONS)] for s in range(slots + 1)
    ]
    return np.array(table, np.int32)


def split(table: Any, length: Any, states: Any) -> Any:
    """After how many of `length` steps to keep the next of `states`, of which one is at the start.

    At least 1 and less than `length`, which is 2 or more, as `states` is.
    """
    mine, fewer = table[states], table[states - 1]
    repetitions = jnp.clip(jnp.sum(mine < length), 1, REPETITIONS - 1)
    after = jnp.minimum(mine[repetitions - 1], length - fewer[repetitions - 1])
    return jnp.clip(after, 1, length - 1)
