"""Calls that say the same in other words, and defaults that must not get in the way."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_jit


def several(a, /, b, c=3, *rest, d, e=5, **more):
    return a, b, c, rest, d, e, more


run_several = filter_jit(several)
ONES = np.ones(2)


def _outcome(fun, args, kwargs):
    """The result, or the kind of error and whose it is."""
    try:
        return fun(*args, **kwargs)
    except TypeError as error:
        return type(error), str(error).split()[0]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=5),
    st.dictionaries(st.sampled_from("bcdez"), st.integers(0, 2)),
)
def test_a_call_gives_what_the_function_gives(args, kwargs):
    assert _outcome(run_several, args, kwargs) == _outcome(several, args, kwargs)


class TestDefaults:
    def test_an_array_stays_the_value_of_the_function(self):
        seen = []

        @filter_jit
        def add(x, y=ONES, z=3):
            seen.append((y, z))
            return x + y * z

        np.testing.assert_array_equal(add(jnp.zeros(2)), [3, 3])
        np.testing.assert_array_equal(add(jnp.zeros(2), z=2), [2, 2])
        np.testing.assert_array_equal(add(jnp.zeros(2), jnp.zeros(2)), [0, 0])
        assert not isinstance(seen[0][0], jax.core.Tracer)

    @pytest.mark.parametrize("default", [{1, 2}, bytearray(b"ab")], ids=["set", "bytearray"])
    def test_one_without_hash_stays_the_value_of_the_function(self, default):
        def count(x, values=default):
            return x + len(values)

        assert filter_jit(count)(jnp.array(1.0)) == 3

    @pytest.mark.parametrize("default", [None, [], {}, (1, "a"), len], ids=repr)
    def test_of_other_kinds(self, default):
        def echo(x, y=default):
            return y

        assert filter_jit(echo)(jnp.ones(2)) is default or filter_jit(echo)(jnp.ones(2)) == default

    def test_one_that_is_passed_wins(self):
        run = filter_jit(lambda x, n=1: n)
        assert [run(0.0), run(0.0, 2), run(0.0, n=3), run(0.0)] == [1, 2, 3, 1]


class TestDecoratedFunctions:
    """The signature of the function inside does not say how the one outside is called."""

    def test_with_fewer_positional_arguments(self):
        def add(x, y=1):
            return x + y

        @functools.wraps(add)
        def wrapper(x, **kwargs):
            return add(x, **kwargs)

        assert filter_jit(wrapper)(jnp.array(2.0)) == 3
        assert filter_jit(wrapper)(jnp.array(2.0), y=2) == 4

    def test_with_another_default(self):
        def add(x, y=1):
            return x + y

        @functools.wraps(add)
        def wrapper(*args, **kwargs):
            kwargs.setdefault("y", 5)
            return add(*args, **kwargs)

        assert filter_jit(wrapper)(jnp.array(2.0)) == 7

    def test_with_other_names(self):
        def add(x, y):
            return x + y

        @functools.wraps(add)
        def wrapper(first, second=2):
            return add(first, second)

        assert filter_jit(wrapper)(jnp.array(2.0)) == 4
        assert filter_jit(wrapper)(first=jnp.array(2.0), second=3) == 5


def test_a_keyword_only_default_keeps_no_two_calls_apart():
    traces = []

    @filter_jit
    def run(x, y=1, *, k=2):
        traces.append(k)
        return x + y + k

    assert run(jnp.array(1.0), 1) == run(jnp.array(1.0), y=1) == run(jnp.array(1.0)) == 4
    assert traces == [2]
