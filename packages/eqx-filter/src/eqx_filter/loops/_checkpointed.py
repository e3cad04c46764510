"""The loop of any number of steps whose gradient keeps a fixed number of states.

The others are computed again from those. `_schedule.py` says which are kept, and when; memory does
not grow with the number of steps.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from . import _lax
from ._schedule import keep, lengths, nothing_kept, split
from ._traced import Arrays, Loop


def run(loop: Loop, max_steps: int | None, checkpoints: int) -> Arrays:
    """Run the loop, at most `max_steps` times."""

    def of(cond_consts: Arrays, body_consts: Arrays, init: Arrays) -> Loop:
        cond, body = loop.cond._replace(consts=cond_consts), loop.body._replace(consts=body_consts)
        return loop._replace(cond=cond, body=body, init=init)

    @jax.custom_vjp
    def whole(*args: Arrays) -> Arrays:
        this = of(*args)
        return _lax.run(this.cond, this.body, this.init, max_steps)

    def forward(*args: Arrays) -> tuple[Arrays, Any]:
        out, trail = _keeping(of(*args), max_steps, checkpoints)
        buffers = [x if b else None for x, b in zip(out, loop.is_buffer, strict=True)]
        return out, (*args[:2], buffers, trail)

    def backward(residuals: Any, cotangents: Arrays) -> Any:
        cond_consts, body_consts, buffers, trail = residuals
        this = of(cond_consts, body_consts, [])
        return [None] * len(cond_consts), *_reversed(this, max_steps, buffers, trail, cotangents)

    whole.defvjp(forward, backward)
    return whole(loop.cond.consts, loop.body.consts, loop.init)


def _written(saved: Arrays, slot: Any, arrays: Arrays) -> Arrays:
    """Write a state into a slot; buffers, which are not kept, are None."""
    return [
        None if x is None else lax.dynamic_update_index_in_dim(x, new, slot, 0)
        for x, new in zip(saved, arrays, strict=True)
    ]


def _read(saved: Arrays, slot: Any) -> Arrays:
    return [
        None if x is None else lax.dynamic_index_in_dim(x, slot, 0, keepdims=False) for x in saved
    ]


def _with(buffers: Arrays, arrays: Arrays) -> Arrays:
    """The arrays of a step; the buffers, which are finished, are the same in each."""
    return [x if b is None else b for x, b in zip(arrays, buffers, strict=True)]


def _keeping(loop: Loop, max_steps: int | None, checkpoints: int) -> tuple[Arrays, Any]:
    """Run the loop and keep states: where it ended, and how many steps, which states, and those."""

    def body(carry: Any) -> Any:
        step, pred, kept, saved, arrays = carry
        slot, kept = keep(kept, step)
        saved = _written(saved, slot, arrays)
        arrays = loop.body(pred, *arrays)
        return step + 1, *loop.cond(*arrays), kept, saved, arrays

    saved = [
        None if b else jnp.broadcast_to(x, (checkpoints + 1, *x.shape))
        for x, b in zip(loop.init, loop.is_buffer, strict=True)
    ]
    zero = jnp.array(0, jnp.int32)
    start = (zero, *loop.cond(*loop.init), nothing_kept(checkpoints), saved, loop.init)
    steps, _, kept, saved, arrays = lax.while_loop(_lax.any_left(max_steps), body, start)
    return arrays, (steps, kept.steps, saved)


def _reversed(
    loop: Loop, max_steps: int | None, buffers: Arrays, trail: Any, cotangents: Arrays
) -> Any:
    """The cotangents of what the body closes over, and of the first state."""
    steps, kept_steps, saved = trail
    slots = len(kept_steps)
    order = jnp.argsort(kept_steps).astype(jnp.int32)  # a stack, the newest kept on top
    table = jnp.asarray(lengths(slots, max_steps))
    of_floats = [jnp.issubdtype(x.dtype, jnp.inexact) for x in cotangents]

    def advance(goal: Any, carry: Any) -> Any:
        """Go on towards `goal`, as far as the next state to keep, and keep it."""
        now, top, where, saved, arrays = carry
        free = slots - 1 - top
        far = split(table, goal - now + 1, jnp.minimum(free + 1, slots))
        count = jnp.where(free > 0, far, goal - now)
        arrays = lax.fori_loop(0, count, lambda _, a: _stepped(loop, a, buffers), arrays)
        top = jnp.where(free > 0, top + 1, top)
        slot = jnp.where(free > 0, order[jnp.minimum(top, slots - 1)], slots)
        where = where.at[jnp.where(free > 0, top, slots)].set(now + count, mode="drop")
        return now + count, top, where, _written(saved, slot, arrays), arrays

    def backwards(carry: Any) -> Any:
        step, top, where, saved, by_consts, by_arrays = carry
        goal = step - 1
        arrays = _read(saved, order[top])
        start = (where[top], top, where, saved, arrays)
        _, top, where, saved, arrays = lax.while_loop(
            lambda c: c[0] < goal, lambda c: advance(goal, c), start
        )
        top = jnp.where(where[top] == goal, top - 1, top)
        more, by_arrays = _pulled_back(loop, _with(buffers, arrays), by_arrays, of_floats)
        by_consts = [None if x is None else x + y for x, y in zip(by_consts, more, strict=True)]
        return goal, top, where, saved, by_consts, by_arrays

    by_consts = [
        jnp.zeros_like(x) if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else None
        for x in loop.body.consts
    ]
    by_arrays = [x if f else None for x, f in zip(cotangents, of_floats, strict=True)]
    top = jnp.minimum(steps, slots) - 1
    start = (steps, top, kept_steps[order], saved, by_consts, by_arrays)
    *_, by_consts, by_arrays = lax.while_loop(lambda c: c[0] > 0, backwards, start)
    return by_consts, by_arrays


def _stepped(loop: Loop, arrays: Arrays, buffers: Arrays) -> Arrays:
    """One step of what is no buffer."""
    arrays = _with(buffers, arrays)
    news = loop.body(*loop.cond(*arrays), *arrays)
    return [new if b is None else None for new, b in zip(news, buffers, strict=True)]


def _pulled_back(
    loop: Loop, arrays: Arrays, cotangents: Arrays, of_floats: list[bool]
) -> tuple[Arrays, Arrays]:
    """The cotangents of the body's closure and of the arrays before one step."""
    [pred] = loop.cond(*arrays)
    consts = loop.body.consts
    const_floats = [jnp.issubdtype(jnp.result_type(x), jnp.inexact) for x in consts]

    def step(some_consts: Arrays, some_arrays: Arrays) -> Arrays:
        all_consts = _merged(some_consts, consts, const_floats)
        outs = loop.body.of(all_consts, pred, *_merged(some_arrays, arrays, of_floats))
        return _chosen(outs, of_floats)

    _, pullback = jax.vjp(step, _chosen(consts, const_floats), _chosen(arrays, of_floats))
    by_consts, by_arrays = pullback(_chosen(cotangents, of_floats))
    nones = [None] * len(consts), [None] * len(arrays)
    return _merged(by_consts, nones[0], const_floats), _merged(by_arrays, nones[1], of_floats)


def _chosen(arrays: Arrays, mask: list[bool]) -> Arrays:
    return [x for x, chosen in zip(arrays, mask, strict=True) if chosen]


def _merged(some: Arrays, others: Arrays, mask: list[bool]) -> Arrays:
    given = iter(some)
    return [next(given) if chosen else x for x, chosen in zip(others, mask, strict=True)]
