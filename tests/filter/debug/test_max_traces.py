"""`assert_max_traces` and `get_num_traces`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

from eqx_filter import filter_jit, tree_equal
from eqx_filter.debug import assert_max_traces, get_num_traces
from eqx_pytree import Module

X = jnp.ones(3)


def double(x, n=2):
    return x * n


class Scale(Module):
    weight: Any

    def __call__(self, x):
        return self.weight * x


class TestCounting:
    @pytest.mark.parametrize("jit", [jax.jit, filter_jit])
    def test_counts_traces_and_not_calls(self, jit):
        counted = assert_max_traces(double, max_traces=2)
        function = jit(counted)
        for x in (X, X + 1, jnp.ones(2), X):
            assert tree_equal(function(x), x * 2)
        assert get_num_traces(counted) == get_num_traces(function) == 2

    def test_each_wrapping_has_a_count_of_its_own(self):
        one, other = (assert_max_traces(double, max_traces=1) for _ in range(2))
        one(X)
        assert (get_num_traces(one), get_num_traces(other)) == (1, 0)

    def test_without_a_limit(self):
        counted = assert_max_traces(double, max_traces=None)
        for n in range(5):
            counted(X, n)
        assert get_num_traces(counted) == 5

    def test_a_copy_counts_with_it(self):
        counted = assert_max_traces(Scale(X), max_traces=5)
        copied = jtu.tree_map(lambda x: x * 2, counted)
        copied(X)
        assert get_num_traces(counted) == 1

    def test_as_a_method(self):
        class Layer(Module):
            weight: Any

            @filter_jit
            @assert_max_traces(max_traces=1)
            def apply(self, x):
                return self.weight * x

        assert tree_equal(Layer(X).apply(X), X)
        assert tree_equal(Layer(X * 2).apply(X), X * 2)
        with pytest.raises(RuntimeError, match=r"apply` can only be traced 1 times"):
            Layer(X).apply(jnp.ones(()))


class TestTooMany:
    def test_says_what_differs(self):
        function = filter_jit(assert_max_traces(double, max_traces=1))
        function(X)
        text = (
            r"`double` can only be traced 1 times. However, it has now been traced 2 times. It "
            r"differs from the nearest earlier call:\n  `x` has shape \(2,\) instead of \(3,\)"
        )
        with pytest.raises(RuntimeError, match=text):
            function(jnp.ones(2))

    def test_says_which_static_argument_differs(self):
        function = filter_jit(assert_max_traces(double, max_traces=2))
        for n in (1, 2):
            function(X, n)
        with pytest.raises(RuntimeError, match="`n` has the static value `3` instead of `2`"):
            function(X, 3)

    def test_says_that_nothing_differs(self):
        counted = assert_max_traces(double, max_traces=1)
        counted(X)
        with pytest.raises(RuntimeError, match="called again without a transformation around it"):
            counted(X)

    def test_of_none(self):
        with pytest.raises(RuntimeError, match="can only be traced 0 times"):
            assert_max_traces(double, max_traces=0)(X)


class TestArguments:
    @pytest.mark.parametrize("limit", [1.5, "1", True])
    def test_limit_that_is_no_integer(self, limit):
        with pytest.raises(TypeError, match="`max_traces` must be an integer or None"):
            assert_max_traces(double, max_traces=limit)

    def test_limit_below_zero(self):
        with pytest.raises(ValueError, match="`max_traces` must not be below 0; it is -1"):
            assert_max_traces(double, max_traces=-1)

    def test_no_limit_given(self):
        with pytest.raises(TypeError, match="max_traces"):
            assert_max_traces(double)

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`assert_max_traces` wraps a function; 3 is not"):
            assert_max_traces(3, max_traces=1)

    def test_count_of_another_function(self):
        with pytest.raises(ValueError, match=r"`double` is not wrapped with `debug.assert_max"):
            get_num_traces(double)
