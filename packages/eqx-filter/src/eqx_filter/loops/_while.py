"""`while_loop`: a loop of a chosen kind, by how it is to be differentiated."""

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import jax.numpy as jnp
import numpy as np

from . import _bounded, _checkpointed, _lax
from ._entry import entered
from ._state import State
from ._traced import traced

T = TypeVar("T")
Kind = Literal["lax", "bounded", "checkpointed"]
"""How a loop can be differentiated; see `while_loop`."""


def while_loop(
    cond_fun: Callable[[T], Any],
    body_fun: Callable[[T], T],
    init_val: T,
    *,
    max_steps: int | None = None,
    buffers: Callable[[T], Any] | None = None,
    kind: Kind,
    checkpoints: int | None = None,
    base: int = 16,
) -> T:
    """Run `val = body_fun(val)` while `cond_fun(val)`.

    **Arguments:**

    - `cond_fun`: from the state to a bool of shape `()`.
    - `body_fun`: from the state to the next one, of the same structure, shapes and dtypes. Both
        are traced once, or twice where a weak type is lost.
    - `init_val`: the first state, a PyTree of arrays and numbers.
    - `max_steps`: after how many steps to stop in any case.
    - `buffers`: from a state to the arrays in it that are only written element by element, each
        once; they reach the functions as `Buffer`s, and are never copied or kept.
    - `kind`: `"lax"` can be differentiated forwards alone. `"bounded"` needs `max_steps`, can be
        differentiated any way and any number of times, and keeps more the more steps there may be.
        `"checkpointed"` can be differentiated backwards once, keeps `checkpoints` states, and
        needs one of `max_steps` and `checkpoints`.
    - `checkpoints`: how many states to keep; unless given, so many that no step of `max_steps` is
        taken more than three times.
    - `base`: of `"bounded"`: how many parts a part has.

    **Returns:** the last state. Under `vmap` the loop runs until all members are done, and those
    that are done stay as they are.

    **Raises:** `ValueError` for another kind, for what a kind needs, for numbers out of range, and
    if the body returns something else; `TypeError` for a leaf that is no array, for a condition
    that is not one bool, and for `checkpoints` and `base` that are no numbers.
    """
    if kind not in ("lax", "bounded", "checkpointed"):
        message = (
            f"Unrecognised kind of while loop {kind!r}: use 'lax', 'bounded' or 'checkpointed'."
        )
        raise ValueError(message)
    max_steps = _checked_steps(max_steps)
    state = State(init_val, buffers)
    loop = traced(cond_fun, body_fun, state)
    if kind == "lax":
        return state.finished(_lax.run(loop.cond, loop.body, loop.init, max_steps))
    if kind == "bounded":
        if max_steps is None or max_steps < 0:
            message = "kind='bounded' requires `max_steps` to be specified, as a number of steps."
            raise ValueError(message)
        base = _checked_base(base) if max_steps else 2
        return state.finished(_bounded.run(entered(loop, max_steps), max_steps, base))
    slots = _slots(max_steps, checkpoints)
    return state.finished(_checkpointed.run(entered(loop, max_steps), max_steps, slots))


def _checked_steps(max_steps: Any) -> int | None:
    """The number of steps; of what is below zero, -1."""
    if max_steps is None:
        return None
    if not isinstance(max_steps, int):
        message = (
            f"`max_steps` must be a Python integer, a non-negative integer, or None; got "
            f"{max_steps!r}. A number of steps that is known at run time belongs into `cond_fun`."
        )
        raise ValueError(message)
    most = jnp.iinfo(jnp.result_type(int)).max
    if max_steps > most:
        message = (
            f"`max_steps` must be at most {most}, which is as far as integers go; got {max_steps}. "
            "Leave it out for no limit, where the kind of loop allows."
        )
        raise ValueError(message)
    return max(max_steps, -1)


def _checked_base(base: Any) -> int:
    """The number of parts of a part.

    **Raises:** `TypeError` if it is no number, and `ValueError` if it is below 2 or between two.
    """
    message = f"`base` must be a number of parts, an integer of at least 2; it is {base!r}."
    if not isinstance(base, (int, float, np.integer, np.floating)):
        raise TypeError(message)
    if not base >= 2 or base != int(base):
        raise ValueError(message)
    return int(base)


def _slots(max_steps: int | None, checkpoints: int | None) -> int:
    """How many states to keep: at most as many as there are steps.

    With `n` of them and each step taken at most twice more, `(n + 1) (n + 2) / 2` steps can be
    reversed (Griewank & Walther 2000, equation (2)).
    """
    if checkpoints is None:
        if max_steps is None:
            message = "kind='checkpointed' needs one of `max_steps` and `checkpoints`."
            raise ValueError(message)
        checkpoints = max(1, math.ceil(math.sqrt(2 * max(max_steps, 0) + 0.25) - 1.5))
    if not isinstance(checkpoints, (int, float, np.integer, np.floating)):
        message = f"`checkpoints` must be a number of states, an integer; it is {checkpoints!r}."
        raise TypeError(message)
    if checkpoints < 1:
        message = f"Must have at least one checkpoint; got `checkpoints={checkpoints!r}`."
        raise ValueError(message)
    return checkpoints if max_steps is None else max(1, min(checkpoints, max_steps))
