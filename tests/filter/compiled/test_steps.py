"""What a loop, a branch or a checkpoint runs is kept with its function, and traced once."""

import weakref
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import (
    filter_checkpoint,
    filter_cond,
    filter_fori_loop,
    filter_grad,
    filter_jit,
    filter_scan,
    filter_switch,
    filter_while_loop,
    tree_equal,
)
from eqx_filter.compiled import _steps
from eqx_pytree import Module, field

XS = jnp.ones((3, 2))


class Model(Module):
    weight: Any
    scale: Any = 2
    name: str = field(static=True, default="model")

    def __call__(self, x):
        return self.weight * x * self.scale


# Each calls its function on a model; `function` is the object that JAX is to see again.
CALLERS = {
    "scan": lambda function, model: filter_scan(function, model, XS)[0],
    "while": lambda function, model: filter_while_loop(lambda _: False, function, model),
    "fori": lambda function, model: filter_fori_loop(0, 2, function, model),
    "cond": lambda function, model: filter_cond(True, function, lambda model: model, model),
    "switch": lambda function, model: filter_switch(1, [lambda model: model, function], model),
    "checkpoint": lambda function, model: filter_checkpoint(function)(model),
}


def counting(kind):
    """A function for a caller of this kind, and a list that grows when it is traced."""
    traced = []
    if kind == "scan":

        def function(model, x):
            traced.append(None)
            return model, x

    elif kind == "fori":

        def function(i, model):
            traced.append(None)
            return model

    else:

        def function(model):
            traced.append(None)
            return model

    return function, traced


@pytest.fixture(params=list(CALLERS))
def kind(request):
    return request.param


def test_calls_that_are_alike_are_traced_once(kind):
    function, traced = counting(kind)
    counts = []
    for weight in (1.0, 2.0, 3.0):
        out = CALLERS[kind](function, Model(jnp.full(2, weight)))
        assert tree_equal(out, Model(jnp.full(2, weight)))
        counts.append(len(traced))
    assert counts == counts[:1] * 3


@pytest.mark.parametrize(
    "other",
    [
        Model(jnp.ones(3)),
        Model(jnp.ones(2, int)),
        Model(jnp.ones(2), 2.0),
        Model(jnp.ones(2), True),
        Model(jnp.ones(2), name="other"),
        Model((jnp.ones(2),)),
    ],
    ids=["shape", "dtype", "type of a leaf", "bool", "static field", "structure"],
)
def test_other_calls_are_traced_for_themselves(kind, other):
    function, traced = counting(kind)
    CALLERS[kind](function, Model(jnp.ones(2)))
    once = len(traced)
    out = CALLERS[kind](function, other)
    assert len(traced) > once
    assert tree_equal(out, other)
    assert tree_equal(CALLERS[kind](function, Model(jnp.ones(2))), Model(jnp.ones(2)))


def test_a_leaf_without_a_hash(kind):
    class Unhashable:
        __hash__ = None

        def __eq__(self, other):
            return self is other

    function, _ = counting(kind)
    model = Model(jnp.ones(2), Unhashable())
    assert CALLERS[kind](function, model).scale is model.scale


@pytest.mark.clears_caches
def test_nothing_outlives_the_function(kind, assert_freed):
    function, traced = counting(kind)
    model = Model(jnp.ones(2))
    CALLERS[kind](function, model)
    references = weakref.ref(function), weakref.ref(model)
    del function, traced, model
    jax.clear_caches()
    assert_freed(*references)


@pytest.mark.clears_caches
def test_arrays_are_not_held(kind, assert_freed):
    function, _ = counting(kind)
    model = Model(jnp.ones(2))
    reference = weakref.ref(model.weight)
    CALLERS[kind](function, model)
    del model
    jax.clear_caches()
    assert_freed(reference)


def test_no_tracer_leaks(kind):
    with jax.checking_leaks():
        function, _ = counting(kind)

        @filter_jit
        def call(model, x):
            return CALLERS[kind](function, model).weight * x

        assert tree_equal(call(Model(jnp.ones(2)), 2.0), jnp.full(2, 2.0))


def test_the_number_that_is_kept_is_bounded():
    def function(model):
        return model

    def call(x):
        x = filter_fori_loop(0, 1, lambda i, model: function(model), x)
        return filter_checkpoint(function)(x)

    for size in range(_steps._MOST_STEPS + 5):
        jax.eval_shape(call, jnp.ones(size))
    [kept] = [its for its in vars(function).values() if _steps._STEPS in its]
    assert len(kept[_steps._STEPS]) == _steps._MOST_STEPS


def test_layers_that_are_alike_are_traced_once():
    count = 0

    class Layer(Module):
        weight: Any

        def __call__(self, x):
            nonlocal count
            count += 1
            return jnp.tanh(self.weight * x)

    @filter_jit
    @filter_grad
    def loss(layers, x):
        for layer in layers:
            x = filter_checkpoint(layer)(x)
        return x.sum()

    gradients = loss([Layer(jnp.ones(2)) for _ in range(5)], jnp.ones(2))
    assert count == 1
    assert len(gradients) == 5
