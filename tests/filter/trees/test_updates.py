"""`apply_updates`: additions with gaps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import apply_updates, tree_equal
from eqx_pytree import Module, field


class Linear(Module):
    weight: Any
    bias: Any
    activation: Any = len
    name: str = field(static=True, default="linear")


def test_adds_leaf_by_leaf_as_tree_map_does():
    model = Linear(jnp.arange(3.0), jnp.ones(2), 1.0)
    updates = Linear(jnp.ones(3), -jnp.ones(2), 0.5)
    expected = jax.tree_util.tree_map(lambda m, u: m + u, model, updates)
    assert tree_equal(apply_updates(model, updates), expected)


def test_none_leaves_a_leaf_or_a_subtree_alone():
    model = {"a": Linear(1, 2), "b": [3, "text"], "c": None}
    updated = apply_updates(model, {"a": None, "b": [1, None], "c": None})
    assert updated == {"a": Linear(1, 2), "b": [4, "text"], "c": None}
    assert updated["a"] is model["a"]


@pytest.mark.parametrize("tree", [None, (), [], {}], ids=repr)
def test_of_empty_trees(tree):
    assert apply_updates(tree, tree) == tree


def test_dtypes_follow_addition():
    updated = apply_updates([jnp.ones(2, jnp.bfloat16), 1], [jnp.ones(2), np.float32(1)])
    assert updated[0].dtype == jnp.float32
    assert updated[1] == 2


def test_under_a_trace():
    run = jax.jit(apply_updates)
    assert run({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": None}) == {"a": 2, "b": 2}


def test_other_structures_are_refused_and_the_place_is_told():
    with pytest.raises(ValueError, match=r"(?s)`updates` .* structure of `model`.*\['a'\]"):
        apply_updates({"a": [1, 2]}, {"a": [1]})


@pytest.mark.parametrize("update", [np.ones(2), jnp.ones(2)], ids=["numpy", "jax"])
def test_an_array_for_a_list_of_numbers_is_refused(update):
    with pytest.raises((ValueError, TypeError), match=r"updates.*model"):
        apply_updates({"a": [1, 2]}, {"a": update})


@pytest.mark.parametrize("leaf", ["text", None, len], ids=["text", "none", "function"])
def test_a_leaf_that_cannot_be_added_to_is_named(leaf):
    with pytest.raises(
        TypeError, match=r"`updates\['a'\]\[1\]` is a `float` and `model\['a'\]\[1\]` a `"
    ):
        apply_updates({"a": [1, leaf]}, {"a": [1, 2.0]})
