"""`tree_cost`: what XLA says of a compiled program."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import eqx_filter as eqf
from eqx_filter import TreeCost, tree_cost

from .models import linear

X = jnp.ones((8, 8))


def product(x):
    return jnp.sum(x @ x)


def test_it_is_what_xla_says_of_the_program():
    cost = tree_cost(product, X)
    compiled = jax.jit(product).lower(X).compile()
    assert isinstance(cost, TreeCost)
    assert cost.flops == compiled.cost_analysis()["flops"] >= 2 * 8**3
    assert cost.bytes_accessed == compiled.cost_analysis()["bytes accessed"]
    assert cost.temporary_memory == compiled.memory_analysis().temp_size_in_bytes >= X.nbytes
    assert (cost.arguments, cost.outputs) == (X.nbytes, 4)
    with pytest.raises(dataclasses.FrozenInstanceError, match="flops"):
        cost.flops = 0.0


def test_models_and_what_has_no_values():
    model = eqf.filter_eval_shape(linear, 4, 4)
    x = jax.ShapeDtypeStruct((4,), jnp.float32)
    cost = tree_cost(eqf.filter_jit(lambda model, x: model(x)), model, x=x)
    assert cost.flops == 2 * 16 + 4
    assert cost.arguments == 4 * (16 + 4 + 4)


def test_what_xla_cannot_tell_is_none():
    cost = tree_cost(lambda x: jnp.linalg.qr(x)[0], X)
    assert (cost.flops, cost.bytes_accessed) == (None, None)
    assert cost.temporary_memory is not None


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="`tree_cost` takes a function as `fn`; 3 cannot be called"):
        tree_cost(3, X)
