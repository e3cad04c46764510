"""`Static`: any value without leaves."""

import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import Module, Static


def test_has_no_leaves_and_comes_back():
    leaves, structure = jtu.tree_flatten(Static("a"))
    assert leaves == []
    assert structure.unflatten([]).value == "a"


@settings(deadline=None, max_examples=30)
@given(st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.booleans()))
def test_passes_through_a_jitted_function_untouched(value):
    out = jax.jit(lambda static, x: (static, x))(Static(value), 1.0)[0]
    assert type(out.value) is type(value)
    assert out.value == value


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ([1], [True]), ("a", b"a")]
)
def test_equal_by_type_and_value(one, other):
    assert Static(one) == Static(one)
    assert Static(one) != Static(other)


def test_a_change_of_the_value_compiles_anew():
    traces = []

    @jax.jit
    def power(x, static):
        traces.append(static.value)
        return x**static.value

    outs = [power(jnp.array(2.0), Static(value)) for value in (1, 2, 1, 2)]
    assert outs == [2, 4, 2, 4]
    assert traces == [1, 2]


def test_is_a_frozen_module():
    static = Static(1)
    assert isinstance(static, Module)
    with pytest.raises(AttributeError, match="cannot assign to field 'value'"):
        static.value = 2


def test_pickle_round_trip():
    assert pickle.loads(pickle.dumps(Static([1]))) == Static([1])


def test_is_generic():
    assert Static[int](3).value == 3
