"""Masks, labels and parts; with Optax where there is one."""

import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    by,
    combine,
    filter,
    is_inexact_array,
    partition_by,
    tree_equal,
    tree_label,
    tree_mask,
    tree_paths,
)

TREE = {"encoder": {"w": jnp.ones(2), "b": jnp.zeros(2)}, "head": jnp.ones(3), "name": "x"}


class TestMask:
    def test_is_of_the_structure_and_of_booleans(self):
        expected = {"encoder": {"w": True, "b": True}, "head": False, "name": False}
        assert tree_mask(TREE, "encoder") == expected
        assert all(type(it) is bool for it in tree_paths(tree_mask(TREE, "encoder")).values())


class TestPartition:
    def test_parts_and_the_rest(self):
        parts = partition_by(TREE, "**.b", "encoder")
        b, encoder, rest = parts
        assert b == {"encoder": {"w": None, "b": TREE["encoder"]["b"]}, "head": None, "name": None}
        assert encoder["encoder"] == {"w": TREE["encoder"]["w"], "b": None}
        assert rest == {"encoder": {"w": None, "b": None}, "head": TREE["head"], "name": "x"}
        assert tree_equal(combine(*parts), TREE)

    def test_by_nothing(self):
        assert partition_by(TREE) == (TREE,)

    def test_a_selector_without_a_leaf_of_its_own(self):
        message = r"The selector `'\*\*\.b'` is left without a leaf: .* by `'encoder'` before it"
        with pytest.raises(ValueError, match=message):
            partition_by(TREE, "encoder", "**.b")


class TestLabel:
    def test_the_first_rule_wins(self):
        labels = tree_label(TREE, {"**.b": "plain", "encoder": "slow"}, default="fast")
        expected = {"encoder": {"w": "slow", "b": "plain"}, "head": "fast", "name": "fast"}
        assert labels() == labels(TREE) == labels.tree == expected
        assert tree_label(TREE, [("encoder", 1), (by("head"), 2)])()["head"] == 2

    def test_what_is_no_parameter_needs_no_label(self):
        assert tree_label(TREE, {"encoder": 1, "head": 2})()["name"] is None

    def test_a_leaf_without_a_label(self):
        with pytest.raises(
            ValueError, match=r"No rule of `tree_label` selects `head`\. Pass `default"
        ):
            tree_label(TREE, {"encoder": 1})

    def test_two_rules_for_one_label(self):
        message = (
            "have the label 'a': `'encoder'` and `'head'`. Make them one: `by\\('encoder'\\) | 'h"
        )
        with pytest.raises(ValueError, match=message):
            tree_label(TREE, {"encoder": "a", "name": "b", "head": "a"})

    def test_numpy_arrays_need_one_too(self):
        with pytest.raises(ValueError, match="No rule of `tree_label` selects `b`"):
            tree_label({"a": np.ones(2), "b": np.ones(2)}, {"a": 1})

    @pytest.mark.parametrize("rules", ["ab", ["a"], 3, [("a", 1, 2)]])
    def test_rules_that_are_no_pairs(self, rules):
        with pytest.raises(TypeError, match="`rules` of `tree_label` is a dict from selectors, or"):
            tree_label(TREE, rules)

    def test_a_rule_that_is_never_first(self):
        with pytest.raises(ValueError, match=r"The rule `'\*\*\.b'` is left without a leaf"):
            tree_label(TREE, {"encoder": 1, "**.b": 2}, default=3)

    def test_a_rule_that_selects_nothing(self):
        with pytest.raises(ValueError, match="`'encodre'` selects nothing in the `dict`"):
            tree_label(TREE, {"encodre": 1}, default=3)


def test_with_optax():
    optax = pytest.importorskip("optax")
    params = filter(TREE, is_inexact_array)
    grads = {"encoder": {"w": jnp.ones(2), "b": jnp.ones(2)}, "head": jnp.ones(3), "name": None}
    labels = tree_label(TREE, {"**.b": "still", "encoder": "slow"}, default="fast")
    rates = {"still": optax.set_to_zero(), "slow": optax.sgd(1.0), "fast": optax.sgd(2.0)}
    tx = optax.multi_transform(rates, labels)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert [float(x[0]) for x in (updates["encoder"]["w"], updates["head"])] == [-1.0, -2.0]
    assert not updates["encoder"]["b"].any()
    tx = optax.masked(optax.scale(3.0), by("encoder"))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert float(updates["encoder"]["w"][0]) == 3.0
    assert float(updates["head"][0]) == 1.0
