"""Layers that hold functions of JAX: pickled, copied, and the same function again."""

import copy
import functools
import operator
import pickle

import cloudpickle
import jax
import jax.numpy as jnp
import pytest

from eqx_nn import MLP, Lambda, Sequential
from eqx_nn._pickling import from_state, to_state
from eqx_pytree import tree_equal

COPIES = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "cloudpickle": lambda x: cloudpickle.loads(cloudpickle.dumps(x)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "activation", [jax.nn.relu, jax.nn.silu, jnp.tanh, jax.lax.tanh, jax.nn.gelu, operator.neg]
)
def test_mlp(how, activation, key):
    model = MLP(2, 3, 4, 2, activation, jnp.tanh, key=key)
    again = COPIES[how](model)
    assert again.activation is activation
    assert again.final_activation is jnp.tanh
    assert tree_equal(again.layers, model.layers)
    assert tree_equal(again(jnp.ones(2)), model(jnp.ones(2)))


@pytest.mark.parametrize("how", COPIES)
def test_defaults(how, key):
    model = MLP(2, 3, 4, 2, scan=True, key=key)
    assert tree_equal(COPIES[how](model), model)


@pytest.mark.parametrize("how", COPIES)
def test_lambda(how):
    model = COPIES[how](Sequential([Lambda(jax.nn.relu), Lambda(jnp.tanh)]))
    assert model[0].fn is jax.nn.relu
    assert model[1].fn is jnp.tanh


def test_state_holds_public_names():
    state = to_state({"a": jax.nn.relu, "b": 3, "c": functools.partial(jax.nn.relu)})
    assert (state["a"].module, state["a"].name) == ("jax.nn", "relu")
    assert state["b"] == 3
    assert type(state["c"]) is functools.partial
    assert from_state(state)["a"] is jax.nn.relu


def test_state_is_that_of_the_instance(key):
    layer = Lambda(jnp.tanh)
    state = layer.__getstate__()
    assert layer.fn is jnp.tanh
    assert list(state) == ["fn"]
