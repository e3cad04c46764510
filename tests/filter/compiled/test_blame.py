"""Errors of JAX inside of a compiled function name the user's function, line and argument."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, is_array, jitf
from eqx_pytree import Module

ONE = jnp.ones(())


class Model(Module):
    layers: list[Any]

    def __call__(self, x):
        return x if self.layers[0] > 0 else -x

    def method(self, x):
        return int(x)


def positive(x, *others, flag=None):
    return x if x > 0 else flag


def of_a_keyword(x, *, flag):
    return x if flag["a"][1] > 0 else -x


def of_a_model(model, x):
    return np.asarray(model.layers[0])


def sized(x, n):
    return jnp.zeros(n) + x


MODEL = Model([ONE])
CASES = {
    "an argument": (filter_jit(positive), (ONE,), {}, positive, "x"),
    "one of several": (filter_jit(of_a_model), (MODEL, ONE), {}, of_a_model, "model.layers[0]"),
    "a keyword": (
        filter_jit(of_a_keyword),
        (ONE,),
        {"flag": {"a": (1, ONE)}},
        of_a_keyword,
        "flag['a'][1]",
    ),
    "the callable's": (filter_jit(MODEL), (ONE,), {}, Model.__call__, "Model.layers[0]"),
    "a method": (filter_jit(MODEL.method), (ONE,), {}, Model.method, "x"),
    "a size": (filter_jit(sized), (ONE, jnp.array(2)), {}, sized, "n"),
    "lowered": (filter_jit(positive).lower, (ONE,), {}, positive, "x"),
    "a gradient's": (filter_jit(filter_grad(positive)), (ONE,), {}, positive, "x"),
    "a partial's": (filter_jit(functools.partial(sized, 1)), (jnp.array(2),), {}, sized, "n"),
    "jitf": (jitf(positive, filter_fn=is_array), (ONE,), {}, positive, "x"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_named_as_the_user_does(name):
    run, args, kwargs, fun, blamed = CASES[name]
    with pytest.raises((TypeError, jax.errors.JAXTypeError)) as caught:
        run(*args, **kwargs)
    code = inspect.unwrap(fun).__code__
    told = str(caught.value)
    assert f"the function {code.co_name} at {code.co_filename}:{code.co_firstlineno} for" in told
    assert f"the value of the argument {blamed}." in told


def test_an_inner_function_is_blamed_for_its_own():
    @filter_jit
    def outer(y):
        return filter_jit(positive)(y * 2)

    with pytest.raises(jax.errors.TracerBoolConversionError, match=r"function positive .* x\."):
        outer(ONE)


def test_other_errors_stay_as_they_are():
    def fail(x):
        message = "dynamic[0] is mine"
        raise ValueError(message)

    with pytest.raises(ValueError, match=r"^dynamic\[0\] is mine"):
        filter_jit(fail)(ONE)
