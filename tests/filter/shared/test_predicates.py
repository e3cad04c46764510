"""The four filters: `is_array`, `is_array_like`, `is_inexact_array`, `is_inexact_array_like`."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import is_array, is_array_like, is_inexact_array, is_inexact_array_like


class Convertible:
    def __init__(self, array):
        self.array = array

    def __jax_array__(self):
        return self.array


# value: array, array-like, inexact array, inexact array-like
TABLE = {
    "jax float": (jnp.ones(2), True, True, True, True),
    "jax bfloat16": (jnp.ones(2, jnp.bfloat16), True, True, True, True),
    "jax float16": (jnp.ones(2, jnp.float16), True, True, True, True),
    "jax float8": (jnp.ones(2, jnp.float8_e4m3fn), True, True, True, True),
    "jax complex": (jnp.ones(2, jnp.complex64), True, True, True, True),
    "jax int": (jnp.arange(2), True, True, False, False),
    "jax bool": (jnp.array(True), True, True, False, False),
    "jax scalar": (jnp.float32(1), True, True, True, True),
    "typed key": (jax.random.key(0), True, True, False, False),
    "raw key": (jax.random.PRNGKey(0), True, True, False, False),
    "numpy float": (np.ones(2), True, True, False, True),
    "numpy bfloat16": (np.ones(2, jnp.bfloat16), True, True, False, True),
    "numpy complex": (np.ones(2, np.complex64), True, True, False, True),
    "numpy int": (np.arange(2), True, True, False, False),
    "numpy float scalar": (np.float32(1), True, True, False, True),
    "numpy int scalar": (np.int32(1), True, True, False, False),
    "numpy bool scalar": (np.bool_(True), True, True, False, False),
    "numpy string": (np.array("a"), True, False, False, False),
    "numpy object": (np.array([None]), True, False, False, False),
    "numpy date": (np.datetime64("2020"), True, False, False, False),
    "numpy record": (np.zeros(1, [("a", int)]), True, False, False, False),
    "float": (1.0, False, True, False, True),
    "complex": (1j, False, True, False, True),
    "int": (1, False, True, False, False),
    "large int": (2**70, False, False, False, False),
    "bool": (True, False, True, False, False),
    "string": ("a", False, False, False, False),
    "none": (None, False, False, False, False),
    "ellipsis": (..., False, False, False, False),
    "function": (len, False, False, False, False),
    "type": (int, False, False, False, False),
    "dtype": (np.dtype("float32"), False, False, False, False),
    "numbers": ([1, 2], False, True, False, False),
    "nested numbers": ([[1.0], (2,)], False, True, False, False),
    "no numbers": ([], False, True, False, False),
    "ragged": ([[1], [1, 2]], False, False, False, False),
    "strings": (["a"], False, False, False, False),
    "dict": ({}, False, False, False, False),
    "object": (object(), False, False, False, False),
    "float like": (Convertible(jnp.ones(2)), False, True, False, True),
    "int like": (Convertible(jnp.arange(2)), False, True, False, False),
    "shape and dtype": (jax.ShapeDtypeStruct((), jnp.float32), False, False, False, False),
}


@pytest.mark.parametrize(
    ("value", "array", "like", "inexact", "inexact_like"), TABLE.values(), ids=TABLE
)
def test_table(value, array, like, inexact, inexact_like):
    assert is_array(value) is array
    assert is_array_like(value) is like
    assert is_inexact_array(value) is inexact
    assert is_inexact_array_like(value) is inexact_like


def test_tracers_are_arrays():
    @jax.jit
    def inner(x, n):
        assert [is_array(x), is_array_like(x), is_inexact_array(x)] == [True] * 3
        assert is_inexact_array_like(x)
        assert [is_array(n), is_inexact_array(n), is_inexact_array_like(n)] == [True, False, False]
        return x

    jax.vmap(jax.grad(inner), in_axes=(0, None))(jnp.ones(2), 1)


def test_limits_of_integers_follow_the_width_in_use(x64):
    assert is_array_like(2**31 - 1)
    assert not is_array_like(2**31)
    with x64(True):
        assert is_array_like(2**31)
        assert is_array_like(-(2**63))
        assert not is_array_like(2**63)


@pytest.mark.parametrize("value", [1, 1.0, "a", np.ones(2), np.array("a")], ids=repr)
def test_known_types_are_answered_without_building_an_array(monkeypatch, value):
    is_array_like(value)
    monkeypatch.setattr(jnp, "array", lambda *_: pytest.fail("built an array"))
    is_array_like(value)


def test_a_list_of_strings_warns_of_nothing(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert not is_array_like(["a"])
    assert not recwarn.list
