"""Which states are kept: never more than there is room for, and few steps taken again."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from eqx_filter.loops import while_loop
from eqx_filter.loops._schedule import _unplanned, keep, lengths, nothing_kept, planned, split

FEWEST = json.loads((Path(__file__).parent / "fewest_runs.json").read_text(encoding="utf-8"))
"""For so many checkpoints, and 1 to 130 steps: the fewest runs of the body that equinox 0.13.8, or
Algorithm 1 of Wang, Moin & Iaccarino (2009), takes for a gradient."""


@functools.cache
def taken_again(steps, states):
    """The fewest steps to take again to reverse so many, by a dynamic programme."""
    if states == 1:
        return steps * (steps - 1) // 2
    return min(
        (k + taken_again(steps - k, states - 1) + taken_again(k, states) for k in range(1, steps)),
        default=0,
    )


@functools.cache
def optimum(steps, states):
    """The fewest, where the states that are kept on the way are chosen with the end known."""
    if steps <= 0 or states == 1:
        return taken_again(steps, 1)
    return min(taken_again(k, states) + optimum(steps - k, states - 1) for k in range(1, steps + 1))


def taken_again_by_plan(plan, steps, slots):
    kept = {}
    for step, slot in enumerate(plan[:steps]):
        if slot < slots:
            kept[int(slot)] = step
    ends = [*sorted(kept.values()), steps]
    return sum(taken_again(ends[j + 1] - ends[j], slots - j) for j in range(len(kept)))


@functools.cache
def counted(checkpoints, max_steps):
    """A function that counts how often the body runs for a gradient of so many steps."""
    count = []

    def body(state):
        i, x = state
        jax.debug.callback(lambda: count.append(1))
        return i + 1, jnp.sin(x)

    @jax.jit
    @jax.grad
    def gradient(x, steps):
        options = {"max_steps": max_steps, "checkpoints": checkpoints}
        init = (0, x)
        return while_loop(lambda s: s[0] < steps, body, init, kind="checkpointed", **options)[1]

    def run(steps):
        count.clear()
        jax.block_until_ready(gradient(1.0, steps))
        jax.effects_barrier()
        return len(count)

    return run


@pytest.mark.parametrize("checkpoints", range(1, 9))
def test_the_plan_is_the_optimum_while_no_step_is_taken_twice_again(checkpoints):
    plan = planned(checkpoints, 130)
    for steps in range(1, (checkpoints + 1) * (checkpoints + 2) // 2):
        again = taken_again_by_plan(plan, steps, checkpoints)
        assert again == optimum(steps, checkpoints), steps


@pytest.mark.parametrize("checkpoints", range(1, 9))
def test_the_plan_takes_no_more_runs_than_others(checkpoints):
    plan = planned(checkpoints, 130)
    for steps, fewest in enumerate(FEWEST[str(checkpoints)], start=1):
        assert 2 * steps + taken_again_by_plan(plan, steps, checkpoints) <= fewest, steps


@pytest.mark.parametrize("checkpoints", [1, 2, 4, 7])
@pytest.mark.parametrize("max_steps", [None, 130])
def test_a_gradient_runs_the_body_as_often_as_planned(checkpoints, max_steps):
    run, plan = counted(checkpoints, max_steps), planned(checkpoints, 130)
    for steps in (0, 1, 2, 5, 14, 15, 30, 77 if checkpoints > 1 else 31):
        assert run(steps) == 2 * steps + taken_again_by_plan(plan, steps, checkpoints), steps


def test_what_was_said_to_be_run():
    assert counted(4, None)(14) == 38
    assert counted(None, 100)(100) == 287


def test_a_state_kept_for_each_step_takes_none_again():
    assert counted(5, None)(5) == counted(50, None)(5) == 10


@pytest.mark.parametrize("slots", [2, 3, 7])
def test_a_program_goes_on_as_planned(slots):
    plan = planned(slots, 10_000)
    kept, step = nothing_kept(slots), jax.jit(_unplanned)
    for i, slot in enumerate(plan[:80].tolist()):
        if i >= slots * (slots + 3) // 2:
            assert int(step(kept, i)) == slot
        kept = kept.at[slot].set(i, mode="drop")


def test_beyond_the_plan_states_are_kept_too():
    plan = planned(4, 10_000)
    kept, step = nothing_kept(4), jax.jit(keep)
    for i in range(len(plan) + 40):
        slot, kept = step(kept, i)
        assert 0 <= slot <= 4
        assert slot == 4 or int(kept[slot]) == i
    assert len(set(kept.tolist())) == 4
    assert 0 in kept


def test_the_first_state_stays_when_there_is_room_for_no_other():
    kept = nothing_kept(1)
    for i in range(5):
        _, kept = keep(kept, i)
    assert kept.tolist() == [0]


@pytest.mark.parametrize("states", [2, 3, 7])
@pytest.mark.parametrize("length", [2, 3, 10, 100])
@pytest.mark.parametrize("max_steps", [None, 5, 100])
def test_splits_are_within_the_range(states, length, max_steps):
    table = jnp.asarray(lengths(8, max_steps))
    assert 1 <= int(split(table, length, states)) < length
