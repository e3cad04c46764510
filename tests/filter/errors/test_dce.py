"""`assert_dce`."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import EquinoxRuntimeError, assert_dce, filter_jit

X = jnp.array(1.0)


def test_what_is_used_raises():
    for _ in range(2):
        with pytest.raises(EquinoxRuntimeError, match="still there"):
            filter_jit(lambda x: assert_dce(x, "still there"))(X)


def test_what_is_unused_does_not():
    assert filter_jit(lambda x: (assert_dce(x, "still there"), x)[1])(X) == 1
    assert filter_jit(lambda x: assert_dce({"a": x, "b": 3}, "still there")["b"])(X) == 3


def test_nothing_happens_outside_of_programs():
    assert assert_dce(X, "still there") == 1
    assert jax.vmap(lambda x: assert_dce(x, "still there"))(jnp.ones(2)).shape == (2,)


def test_off():
    assert filter_jit(lambda x: assert_dce(x, "still there", on_error="off"))(X) == 1


def test_without_arrays():
    assert filter_jit(lambda x: assert_dce("text", "still there"))(X) == "text"
