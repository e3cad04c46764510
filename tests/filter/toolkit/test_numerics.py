"""`nextafter` and kin, `left_broadcast_to`, `eval_empty` and `eval_zero`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from eqx_filter import (
    eval_empty,
    eval_zero,
    is_array,
    left_broadcast_to,
    nextafter,
    prevbefore,
    tree_equal,
)
from eqx_pytree import Module, field

PAIR = [(nextafter, np.inf), (prevbefore, -np.inf)]
STEPS = pytest.mark.parametrize(("step", "towards"), PAIR, ids=["nextafter", "prevbefore"])
EVALUATE = pytest.mark.parametrize("evaluate", [eval_empty, eval_zero])
NORMAL = st.floats(
    np.finfo(np.float32).tiny * 4, np.finfo(np.float32).max / 2, width=32, allow_subnormal=False
)


class Scaled(Module):
    weight: jax.Array
    activation: object
    name: str = field(static=True, default="scaled")


@given(st.builds(lambda x, sign: sign * x, NORMAL, st.sampled_from([1.0, -1.0])))
@settings(max_examples=50, deadline=None)
def test_it_is_what_numpy_gives(value):
    for step, towards in PAIR:
        assert step(jnp.float32(value)) == np.nextafter(np.float32(value), np.float32(towards))
    assert prevbefore(nextafter(jnp.float32(value))) == value


@STEPS
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes_and_zero(step, towards, dtype):
    x = jnp.array([1.0, 0.0, -0.0, -3.0], dtype)
    out = step(x)
    assert out.dtype == x.dtype
    expected = jnp.nextafter(x, jnp.array(towards, dtype))
    tiny = jnp.finfo(dtype).tiny * np.sign(towards)
    assert out.tolist() == [float(expected[0]), float(tiny), float(tiny), float(expected[3])]


def test_float64(x64):
    with x64(True):
        assert nextafter(jnp.array(1.0)) == np.nextafter(1.0, np.inf)
        assert nextafter(0.0) == np.finfo(np.float64).tiny


@STEPS
def test_infinite_and_nan(step, towards):
    largest = np.finfo(np.float32).max
    out = step(jnp.array([towards, -towards, np.nan, np.sign(towards) * largest]))
    assert out[:2].tolist() == [towards, -np.sign(towards) * largest]
    assert np.isnan(out[2])
    assert out[3] == towards


@STEPS
@pytest.mark.parametrize(
    "value", [1.5, np.float32(1.5), np.full(2, 1.5), np.float64(1.5)], ids=repr
)
def test_python_and_numpy_floats(step, towards, value):
    out = step(value)
    assert isinstance(out, jax.Array)
    assert out.dtype == jnp.float32
    assert np.all(out == np.nextafter(np.float32(1.5), np.float32(towards)))


@STEPS
def test_derivatives_are_those_of_the_identity(step, towards):
    x = jnp.array([1.0, 0.0, -2.0])
    t = jnp.array([3.0, -4.0, 5.0])
    primal, tangent = jax.jvp(step, (x,), (t,))
    assert np.array_equal(primal, step(x))
    assert np.array_equal(tangent, t)
    assert np.array_equal(jax.linearize(step, x)[1](t), t)
    assert np.array_equal(jax.vjp(step, x)[1](t)[0], t)
    assert jax.grad(lambda x: step(x).sum())(x.astype(jnp.float16)).tolist() == [1, 1, 1]
    assert jax.hessian(lambda x: step(x) ** 2)(1.0) == 2
    assert jax.grad(step)(0.0) == 1


@STEPS
def test_transformed(step, towards):
    x = jnp.array([[1.0, 0.0, -2.0]])
    for transformed in (jax.jit(step), jax.vmap(step), jax.vmap(jax.jit(step), 1, 1)):
        assert np.array_equal(transformed(x), step(x))
    assert step(jnp.zeros((0, 2))).shape == (0, 2)


@STEPS
@pytest.mark.parametrize("value", [1, True, jnp.arange(2), np.uint8(1)], ids=repr)
def test_integers_have_none(step, towards, value):
    with pytest.raises(
        ValueError, match=rf"`{step.__name__}` takes a floating array, not one of d"
    ):
        step(value)


@STEPS
@pytest.mark.parametrize("value", [1j, None, [1.0], "float32", jax.random.key(0)], ids=type)
def test_others_have_none(step, towards, value):
    with pytest.raises(TypeError, match=rf"`{step.__name__}` takes a floating array, not "):
        step(value)


@given(stn.array_shapes(min_dims=0, max_dims=3), stn.array_shapes(min_dims=0, max_dims=2))
@settings(max_examples=30, deadline=None)
def test_axes_are_added_on_the_right(shape, more):
    array = np.arange(np.prod(shape)).reshape(shape)
    out = jax.jit(lambda array: left_broadcast_to(array, shape + more))(array)
    assert out.shape == shape + more
    expected = np.moveaxis(
        np.broadcast_to(array, more + shape), range(len(more)), range(-len(more), 0)
    )
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("value", [2.0, np.float32(2), True, jnp.ones((1, 2))], ids=repr)
def test_numbers_and_axes_of_length_one_broadcast(value):
    out = left_broadcast_to(value, (3, 2, 4))
    assert out.shape == (3, 2, 4)
    assert (out == np.max(value)).all()


def test_left_broadcast_of_keys_and_under_transformations():
    keys = jax.random.split(jax.random.key(0), 2)
    out = left_broadcast_to(keys, (2, 3))
    assert (out == keys[:, None]).all()
    assert jax.grad(lambda x: left_broadcast_to(x, [3, 2]).sum())(jnp.ones(3)).tolist() == [2, 2, 2]
    assert jax.jit(jax.vmap(lambda x: left_broadcast_to(x, (3, 2))))(jnp.ones((5, 3))).shape == (
        5,
        3,
        2,
    )


@pytest.mark.parametrize("shape", [(2, 3), (), (2,)], ids=str)
def test_axes_must_be_the_first(shape):
    with pytest.raises(ValueError, match=r"`arr` of shape \(3,\) .* must be the first of `shape`"):
        left_broadcast_to(jnp.arange(3), shape)


@pytest.mark.parametrize("shape", [3, (3, -1)], ids=str)
def test_the_shape_must_be_one(shape):
    with pytest.raises(TypeError):
        left_broadcast_to(jnp.arange(3), shape)


def several(x, y):
    return {"a": x + y, "b": (x > y, x.astype(int), x.astype(complex)), "c": None}


@EVALUATE
def test_as_the_function_returns(evaluate):
    x = jnp.arange(3.0)
    expected = jax.tree_util.tree_map(jnp.zeros_like, several(x, 1.0))
    assert tree_equal(evaluate(several, x, 1.0), expected, typematch=True)
    assert tree_equal(jax.jit(lambda x: evaluate(several, x, 1.0))(x), expected)
    assert tree_equal(evaluate(several, jax.ShapeDtypeStruct((3,), x.dtype), 1.0), expected)


@EVALUATE
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint32", "bool"])
def test_dtypes(evaluate, dtype):
    assert evaluate(lambda x: x, jnp.ones((0, 2), dtype)).dtype == dtype


@EVALUATE
def test_numpy_and_keys_are_arrays(evaluate):
    out = evaluate(lambda x: (x, np.arange(3.0), np.float32(1)), np.arange(2))
    assert [(leaf.shape, leaf.dtype.name) for leaf in out] == [
        ((2,), "int32"),
        ((3,), "float32"),
        ((), "float32"),
    ]
    keys = evaluate(lambda key: jax.random.split(key, 2), jax.random.key(0))
    assert keys.shape == (2,)
    assert jax.dtypes.issubdtype(keys.dtype, jax.dtypes.prng_key)


@EVALUATE
def test_what_is_no_array_stays(evaluate):
    model = Scaled(jnp.ones(2), jax.nn.relu)
    out = evaluate(lambda model, text: (model, text, 3), model, "text")
    assert out[1:] == ("text", 3)
    assert out[0].activation is jax.nn.relu
    assert out[0].weight.tolist() == [0, 0]


@EVALUATE
def test_the_function_is_not_run(evaluate):
    ran = []

    def function(x):
        jax.debug.callback(ran.append, x)
        return x

    assert is_array(evaluate(function, jnp.ones(3)))
    jax.effects_barrier()
    assert not ran


@EVALUATE
def test_batched_and_differentiated(evaluate):
    out = jax.vmap(lambda x: evaluate(lambda y: y + 1, x))(jnp.ones((4, 3)))
    assert out.shape == (4, 3)
    assert jax.grad(lambda x: x + evaluate(jnp.sin, x))(1.0) == 1
