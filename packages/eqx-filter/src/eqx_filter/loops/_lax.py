"""The loop that is not differentiated backwards: `jax.lax.while_loop`, batched without waste."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..rules._unvmap import unvmap_any
from ._state import Arrays


def any_left(max_steps: int | None) -> Callable[[Any], Any]:
    """Whether to go on, told from a carry that begins with the step and what `cond` gave."""

    def go_on(carry: Any) -> Any:
        step, pred, *_ = carry
        more = unvmap_any(pred)
        return more if max_steps is None else more & (step < max_steps)

    return go_on


def no_steps(max_steps: int | None) -> Any:
    """A count of steps that can go to `max_steps`."""
    wide = max_steps is not None and max_steps > np.iinfo(np.int32).max
    return jnp.array(0, jnp.int64 if wide else jnp.int32)


def run(
    cond: Callable[..., Arrays], body: Callable[..., Arrays], init: Arrays, max_steps: int | None
) -> Arrays:
    """Run a loop, at most `max_steps` times; `cond` and `body` are as those of a `Loop`."""

    def step(carry: Any) -> Any:
        count, pred, *arrays = carry
        arrays = body(pred, *arrays)
        return (count if max_steps is None else count + 1, *cond(*arrays), *arrays)

    start = (no_steps(max_steps), *cond(*init), *init)
    _, _, *arrays = lax.while_loop(any_left(max_steps), step, start)
    return arrays
