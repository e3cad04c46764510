"""Nothing is left of what was dropped: neither objects nor arrays nor memory, round by round.

Classes are the exception. JAX keeps each class that it was told how to flatten, also a plain
dataclass, and with it all that its methods refer to.
"""

import jax.numpy as jnp
import pytest

from . import scenarios
from .rounds import IS_LONG, growth_per_round, survivors
from .scenarios import PLAIN, SCENARIOS, a_class, a_class_of_plain_jax

MOST_BYTES = 1024
"""Python memory per round. JAX itself leaves 100 to 300 bytes for each compiled function."""

MOST_RESIDENT_BYTES = 16 * 1024
"""All memory per round; of allocators that give back late, not of what is still there."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_dropped_is_freed(name):
    assert survivors(SCENARIOS[name]) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_rounds_leave_nothing_behind(name):
    left = growth_per_round(SCENARIOS[name])
    plain = growth_per_round(PLAIN[name])["objects"] if name in PLAIN else 0
    assert left["objects"] < plain + 0.5
    assert left["arrays"] <= 0
    if IS_LONG:
        assert left["traced_bytes"] < MOST_BYTES
        assert left["resident_bytes"] < MOST_RESIDENT_BYTES


def test_what_each_round_leaves_is_counted():
    kept: list[object] = []
    left = growth_per_round(lambda: [kept.append([]), kept.append(jnp.ones(1))])
    assert left["objects"] >= 1
    assert left["arrays"] == 1


def test_the_structure_of_shapes_stays_where_it_does_with_plain_jax():
    """JAX keeps the structure of what `eval_shape` found, and so what is static in it."""
    plain = survivors(scenarios.static_values_in_shapes_of_plain_jax)
    assert len(survivors(scenarios.static_values_in_shapes)) <= len(plain)


def test_instances_of_a_class_are_freed_and_the_class_is_not():
    assert survivors(a_class) == []
    assert survivors(a_class_of_plain_jax) == []
    for make in (a_class, a_class_of_plain_jax):
        assert survivors(lambda make=make: [type(make()[0])]) != []


def test_a_class_leaves_no_more_behind_than_one_of_plain_jax():
    ours, plain = growth_per_round(a_class), growth_per_round(a_class_of_plain_jax)
    assert ours["arrays"] <= 0
    assert ours["objects"] <= plain["objects"]
    assert ours["traced_bytes"] <= plain["traced_bytes"] * 1.1
