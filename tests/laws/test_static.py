"""Static values: two structures are equal when type and value are, whichever came first.

Every pair of values is tried, for what is confused is rarely drawn twice.
"""

import itertools

import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import hashable_partition, is_array
from eqx_pytree import Module, Static, field, static_key

from .oracle import has_hash, strict
from .values import HASHABLE, UNHASHABLE

EVERY_PAIR = list(itertools.product([*HASHABLE, *UNHASHABLE], repeat=2))

ARRAYS = [
    np.zeros(shape, dtype)
    for shape in [(), (1,), (0,), (1, 1), (0, 1)]
    for dtype in ["int32", "float32", "bool", "int64", "S1"]
]
BY_KEY = {str({1: "a"}), str({True: "a"})}
"""Dictionaries that differ by the type of a key, and by nothing else."""


def with_one_field():
    """A new class, so that any value can be the first that its class sees."""

    class One(Module):
        value: object = field(static=True)

    return One


def with_two_fields():
    class Two(Module):
        other: object
        value: object = field(static=True)
        text: str = field(static=True, default="text")

    return lambda value: Two(0, value)


@pytest.mark.parametrize("make", [with_one_field, with_two_fields])
def test_structures_are_equal_where_the_static_values_are(make):
    for first in (*HASHABLE, *UNHASHABLE):
        new = make()
        seen_first = jtu.tree_structure(new(first))
        for other in (*HASHABLE, *UNHASHABLE, first):
            structure = jtu.tree_structure(new(other))
            same = strict(first) == strict(other)
            assert (seen_first == structure) is same, (first, other)
            assert (structure == seen_first) is same, (first, other)
            if same and has_hash(first):
                assert hash(structure) == hash(seen_first)


def test_static_nodes_are_equal_where_their_values_are():
    for one, other in EVERY_PAIR:
        if not {str(one), str(other)} <= BY_KEY:
            structures = jtu.tree_structure(Static(one)), jtu.tree_structure(Static(other))
            same = strict(one) == strict(other)
            assert (structures[0] == structures[1]) is same, (one, other)


def test_static_nodes_are_told_apart_by_the_keys_of_their_dicts():
    structures = jtu.tree_structure(Static({1: "a"})), jtu.tree_structure(Static({True: "a"}))
    assert structures[0] != structures[1]


def test_keys_are_equal_where_values_are():
    for one, other in [*EVERY_PAIR, *itertools.product(ARRAYS, repeat=2)]:
        same = strict(one) == strict(other)
        assert (static_key(one) == static_key(other)) is same, (one, other)
        if same and has_hash(one):
            assert hash(static_key(one)) == hash(static_key(other))


def test_what_is_left_of_hashable_partition_is_a_key():
    for one, other in itertools.product(HASHABLE, repeat=2):
        keys = [hashable_partition(["array", value], is_array)[1] for value in (one, other)]
        same = strict(one) == strict(other) or (is_array(one) and is_array(other))
        assert (keys[0] == keys[1]) is same, (one, other)
        if same:
            assert hash(keys[0]) == hash(keys[1])
