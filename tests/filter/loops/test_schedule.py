"""Which states are kept: never more than there is room for, and few steps taken again."""

import itertools
import math

import jax
import jax.numpy as jnp
import pytest

from eqx_filter.loops import while_loop
from eqx_filter.loops._schedule import keep, lengths, nothing_kept, split


def evaluations(steps, checkpoints, max_steps=None):
    """How often the body is evaluated for one gradient, that within each pullback included."""
    count = []

    def body(state):
        i, x = state
        jax.debug.callback(lambda: count.append(1))
        return i + 1, jnp.sin(x)

    def loss(x):
        options = {"max_steps": max_steps, "checkpoints": checkpoints}
        init = (0, x)
        return while_loop(lambda s: s[0] < steps, body, init, kind="checkpointed", **options)[1]

    jax.block_until_ready(jax.jit(jax.grad(loss))(1.0))
    jax.effects_barrier()
    return len(count)


@pytest.mark.parametrize(("steps", "checkpoints"), [(8, 8), (30, 6), (40, 3), (66, 10)])
@pytest.mark.parametrize("slack", [None, 0, 100])
def test_a_step_is_taken_again_about_as_often_as_it_must_be(steps, checkpoints, slack):
    """The offline optimum is that of Griewank & Walther (2000), and one more sweep is online."""
    repetitions = next(r for r in range(99) if math.comb(checkpoints + r, r) >= steps)
    optimum = repetitions * steps - math.comb(checkpoints + repetitions, repetitions - 1)
    max_steps = None if slack is None else steps + slack
    assert evaluations(steps, checkpoints, max_steps) <= 2 * steps + optimum + steps


def test_a_state_kept_for_each_step_takes_none_again():
    assert evaluations(5, 5) == evaluations(5, 50) == 10


def test_kept_states_lie_apart():
    kept = nothing_kept(6)
    step = jax.jit(keep)
    for i in range(60):
        slot, kept = step(kept, i)
        assert 0 <= slot < 6
        assert int(kept.steps[slot]) == i
    steps = sorted(kept.steps.tolist())
    assert steps[0] == 0
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 36


def test_the_first_state_stays_when_there_is_room_for_no_other():
    kept = nothing_kept(1)
    for i in range(5):
        _, kept = keep(kept, i)
    assert kept.steps.tolist() == [0]


@pytest.mark.parametrize("states", [2, 3, 7])
@pytest.mark.parametrize("length", [2, 3, 10, 100])
@pytest.mark.parametrize("max_steps", [None, 5, 100])
def test_splits_are_within_the_range(states, length, max_steps):
    table = jnp.asarray(lengths(8, max_steps))
    assert 1 <= int(split(table, length, states)) < length
