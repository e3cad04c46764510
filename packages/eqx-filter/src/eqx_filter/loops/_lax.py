"""The loop that is not differentiated backwards: `jax.lax.while_loop`, batched without waste."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from ..primitives import unvmap_any
from ._traced import Arrays, Loop


def any_left(max_steps: int | None) -> Callable[[Any], Any]:
    """Whether to go on, told from a carry that begins with the step and what `cond` gave."""

    def go_on(carry: Any) -> Any:
        step, pred, *_ = carry
        more = unvmap_any(pred)
        return more if max_steps is None else more & (step < max_steps)

    return go_on


def run(loop: Loop, max_steps: int | None) -> Arrays:
    """Run the loop, at most `max_steps` times."""

    def body(carry: Any) -> Any:
        step, pred, *arrays = carry
        arrays = loop.body(pred, *arrays)
        return (step if max_steps is None else step + 1, *loop.cond(*arrays), *arrays)

    start = (jnp.array(0, jnp.int32), *loop.cond(*loop.init), *loop.init)
    _, _, *arrays = lax.while_loop(any_left(max_steps), body, start)
    return arrays
