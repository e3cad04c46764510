"""`migrate` and `reverse`: rules in a row."""

import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.migrations import Rule, drop, migrate, rename, reverse, transpose

A = np.arange(6.0).reshape(2, 3)


def test_rules_come_one_after_the_other():
    rules = [rename("a", "b"), transpose("b"), rename("b", "c")]
    np.testing.assert_array_equal(migrate({"a": A}, rules)["c"], A.T, strict=True)


def test_a_rule_alone_is_taken_too():
    assert list(migrate({"a": A}, rename("a", "b"))) == ["b"]
    assert reverse(rename("a", "b")) == (rename("b", "a"),)


def test_arrays_of_jax_come_back_as_those_of_numpy():
    found = migrate({"a": jnp.ones(2, jnp.bfloat16)}, rename("a", "b"))["b"]
    assert type(found) is np.ndarray
    assert found.dtype == jnp.bfloat16


def test_the_reverse_begins_with_the_last():
    rules = [rename("a", "b"), rename("b.c", "d")]
    assert reverse(rules) == (rename("d", "b.c"), rename("b", "a"))


def test_what_is_no_rule_is_refused():
    with pytest.raises(TypeError, match=r"`rules` of `migrate` has rules, as `rename` and .*'a'"):
        migrate({}, ["a"])
    with pytest.raises(TypeError, match=r"`rules` of `reverse` has rules, .* got None"):
        reverse(None)


def test_rules_are_values_and_told_as_they_are_made():
    rule = rename("a", "b", optional=True)
    assert isinstance(rule, Rule)
    assert repr(rule) == "rename('a', 'b', optional=True)"
    assert rule == rename("a", "b", optional=True) != rename("a", "b")
    assert hash(rule) == hash(rename("a", "b", optional=True))
    assert repr(transpose("a", [1, 0])) == "transpose('a', (1, 0))"
    assert repr(drop("a")) == "drop('a')"
