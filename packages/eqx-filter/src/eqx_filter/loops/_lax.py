"""The loop that is not differentiated backwards: `jax.lax.while_loop`, batched without waste."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from ..primitives import unvmap_any
from ._traced import Arrays, Loop


def run(loop: Loop, max_steps: int | None) -> Arrays:
    """Run the loop, at most `max_steps` times."""

    def go_on(carry: Any) -> Any:
        step, pred, *_ = carry
        any_left = unvmap_any(pred)
        return any_left if max_steps is None else any_left & (step < max_steps)

    def body(carry: Any) -> Any:
        step, pred, *arrays = carry
        arrays = loop.body(pred, *arrays)
        return (step if max_steps is None else step + 1, *loop.cond(*arrays), *arrays)

    start = (jnp.array(0, jnp.int32), *loop.cond(*loop.init), *loop.init)
    _, _, *arrays = lax.while_loop(go_on, body, start)
    return arrays
