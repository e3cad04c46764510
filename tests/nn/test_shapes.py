"""What is said of an input of the wrong shape."""

import jax.numpy as jnp
import numpy as np
import pytest

from eqx_nn._shapes import columns, describe, for_channels, shape_of, wrong_shape


@pytest.mark.parametrize(
    ("x", "shape"),
    [(jnp.ones((2, 3)), (2, 3)), (np.ones(2), (2,)), (1.0, ()), (True, ()), (1j, ())],
)
def test_shape_of(x, shape):
    assert shape_of(x) == shape


@pytest.mark.parametrize("x", [[1.0], "a", None, (1, 2)])
def test_shape_of_what_is_no_array(x):
    assert shape_of(x) is None
    assert describe("L", "x", x, (3,)).startswith("`L` expects `x` of shape (3,), got a `")


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((5,), None),
        ((), None),
        ((7, 3), "first axis use `jax.vmap(layer)`"),
        ((3, 7), "last axis use `jax.vmap(layer, in_axes=1)`"),
        ((3, 3), "first axis use `jax.vmap(layer)`"),
        ((7, 5), "first axis use `jax.vmap(layer)`"),
        ((2, 7, 3), "first 2 axes use `jax.vmap(jax.vmap(layer))`"),
    ],
)
def test_vmap_is_named_where_the_input_looks_batched(shape, advice):
    told = describe("L", "x", np.ones(shape), (3,))
    assert told.startswith(f"`L` expects `x` of shape (3,), got shape {shape}.")
    assert ("jax.vmap" in told) is (advice is not None)
    assert advice is None or advice in told


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((3, 8), ""),
        ((8,), ""),
        ((5, 8), ""),
        ((5, 3, 8), "use `jax.vmap(layer)`"),
        ((8, 8, 3), "`jax.numpy.moveaxis(x, -1, 0)`"),
    ],
)
def test_channels_at_another_place(shape, advice):
    told = for_channels(shape, 3)
    assert advice in told
    assert bool(told) is bool(advice)
    assert for_channels(shape, None) == ""


def test_first_wrong_input_is_told():
    inputs = {"a": (np.ones(3), (3,)), "b": (np.ones(2), (3,)), "c": (1.0, (3,))}
    error = wrong_shape("L", TypeError("inner"), inputs)
    assert type(error) is TypeError
    assert "`b` of shape (3,), got shape (2,)" in str(error)


def test_other_errors_are_left_alone():
    class SpecialError(TypeError):
        pass

    for error, given in ((TypeError("inner"), np.ones(3)), (SpecialError("inner"), np.ones(2))):
        assert wrong_shape("L", error, {"x": (given, (3,))}) is error
    assert wrong_shape("L", error, {"x": (given, None)}) is error


def test_columns():
    assert columns(np.ones((4, 3))) == (3,)
    assert columns(np.ones((7, 4, 3))) == (3,)
    assert columns(object()) is None
