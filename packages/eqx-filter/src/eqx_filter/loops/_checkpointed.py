"""The loop of any number of steps whose gradient keeps a fixed number of states.

The others are computed again from those. `_schedule.py` says which are kept, and when; memory does
not grow with the number of steps.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero, zero_from_primal

from eqx_pytree import Static

from ..shared._jax import let_vary_as, zeros_of_aval
from . import _lax
from ._moving import Moving, can_move, chosen, merged, moving_in, step_of_moving
from ._schedule import NEVER, keep, lengths, nothing_kept, split
from ._state import Arrays
from ._traced import Loop

Flags = tuple[bool, ...]


def run(loop: Loop, max_steps: int | None, checkpoints: int) -> Arrays:
    """Run the loop, at most `max_steps` times."""
    bare = loop.without_arrays()
    most = None if max_steps is None else min(max_steps, NEVER)  # as far as steps are numbered

    def of(cond_consts: Arrays, body_consts: Arrays, init: Arrays) -> Loop:
        cond, body = bare.cond._replace(consts=cond_consts), bare.body._replace(consts=body_consts)
        return bare._replace(cond=cond, body=body, init=init)

    @jax.custom_vjp
    def whole(*args: Arrays) -> Arrays:
        this = of(*args)
        return _lax.run(this.cond, this.body, this.init, max_steps)

    @functools.cache
    def moving(consts: Flags, arrays: Flags) -> Moving:
        return moving_in(bare, Moving(consts, arrays))

    def forward(*args: Any) -> tuple[Arrays, Any]:
        this = of(*([x.value for x in part] for part in args))
        _, *moves = (tuple(x.perturbed and can_move(x.value) for x in part) for part in args)
        out, trail = _keeping(this, most, _integer(checkpoints))
        buffers = [x if b else None for x, b in zip(out, bare.is_buffer, strict=True)]
        return out, (this.cond.consts, this.body.consts, Static(moving(*moves)), buffers, trail)

    def backward(residuals: Any, cotangents: Any) -> Any:
        cond_consts, body_consts, moving, buffers, trail = residuals
        this = of(cond_consts, body_consts, [])
        after = [
            None if not moves else zeros_of_aval(x.aval) if type(x) is SymbolicZero else x
            for x, moves in zip(cotangents, moving.value.arrays, strict=True)
        ]
        found = _reversed(this, most, moving.value, buffers, trail, after)
        return [None] * len(cond_consts), *found

    whole.defvjp(forward, backward, symbolic_zeros=True)
    args = loop.cond.consts, loop.body.consts, loop.init
    return _with_tangents_of_what_moves(moving, whole(*args), args[1:])


def _integer(checkpoints: Any) -> int:
    try:
        return operator.index(checkpoints)
    except TypeError:
        message = f"`checkpoints` must be a number of states, an integer; it is {checkpoints!r}."
        raise TypeError(message) from None


def _with_tangents_of_what_moves(
    moving: Callable[[Flags, Flags], Moving], out: Arrays, args: Any
) -> Arrays:
    """The arrays that a loop ended with: those that no tangent reaches have none.

    JAX gives one to every result of a function with a rule for its cotangents.
    """

    @jax.custom_jvp
    def identity(out: Arrays, args: Any) -> Arrays:
        return out

    def rule(primals: Any, tangents: Any) -> Any:
        found, by_args = tangents
        perturbed = (
            tuple(can_move(x) and type(t) is not SymbolicZero for x, t in zip(*part, strict=True))
            for part in zip(primals[1], by_args, strict=True)
        )
        moves = moving(*perturbed).arrays
        out = identity(*primals)
        return out, [
            tangent if moved else zero_from_primal(x, symbolic_zeros=True)
            for tangent, moved, x in zip(found, moves, out, strict=True)
        ]

    identity.defjvp(rule, symbolic_zeros=True)
    return identity(out, args)


def _written(saved: Arrays, slot: Any, arrays: Arrays) -> Arrays:
    """Write a state into a slot, if it is one; buffers, which are not kept, are None."""

    def write(x: Any, new: Any) -> Any:
        last = len(x) - 1
        old = lax.dynamic_index_in_dim(x, slot, 0, keepdims=False)  # of the last, if beyond it
        new = lax.select(slot <= last, new, old)
        return lax.dynamic_update_index_in_dim(x, new, slot, 0)

    return [None if x is None else write(x, a) for x, a in zip(saved, arrays, strict=True)]


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
        slot, kept = keep(kept, step, max_steps)
        saved = _written(saved, slot, arrays)
        arrays = loop.body(pred, *arrays)
        return step + 1, *loop.cond(*arrays), kept, saved, arrays

    saved = [
        None if b else jnp.broadcast_to(x, (checkpoints, *x.shape))
        for x, b in zip(loop.init, loop.is_buffer, strict=True)
    ]
    zero = jnp.array(0, jnp.int32)
    start = (zero, *loop.cond(*loop.init), nothing_kept(checkpoints), saved, loop.init)
    steps, _, kept, saved, arrays = lax.while_loop(_lax.any_left(max_steps), body, start)
    return arrays, (steps, kept, saved)


def _reversed(
    loop: Loop,
    max_steps: int | None,
    moving: Moving,
    buffers: Arrays,
    trail: Any,
    by_arrays: Arrays,
) -> Any:
    """The cotangents of what the body closes over, and of the first state, where they move."""
    steps, kept_steps, saved = trail
    slots = len(kept_steps)
    order = jnp.argsort(kept_steps).astype(jnp.int32)  # a stack, the newest kept on top
    table = jnp.asarray(lengths(slots, max_steps))

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
        more, by_arrays = _pulled_back(loop, _with(buffers, arrays), moving, by_arrays)
        by_consts = [None if x is None else x + y for x, y in zip(by_consts, more, strict=True)]
        return goal, top, where, saved, by_consts, by_arrays

    consts = zip(loop.body.consts, moving.consts, strict=True)
    by_consts = [
        let_vary_as(jnp.zeros_like(x), jax.typeof(x)) if moves else None for x, moves in consts
    ]
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
    loop: Loop, arrays: Arrays, moving: Moving, cotangents: Arrays
) -> tuple[Arrays, Arrays]:
    """The cotangents of the body's closure and of the arrays before one step."""
    step, *before = step_of_moving(loop, loop.body.consts, arrays, moving)
    _, pullback = jax.vjp(lambda *some: chosen(step(*some), moving.arrays), *before)
    by_consts, by_arrays = pullback(chosen(cotangents, moving.arrays))
    nones = [None] * len(moving.consts), [None] * len(arrays)
    return merged(by_consts, nones[0], moving.consts), merged(by_arrays, nones[1], moving.arrays)
