"""`Shared`: one node at several places, kept once."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import apply_updates, filter_grad, filter_jit, is_inexact_array, partition
from eqx_nn import Linear, Shared
from eqx_pytree import tree_equal


def first(pair):
    return pair[0]


def second(pair):
    return pair[1]


@pytest.fixture
def tied(key):
    there, back = Linear(3, 4, key=key), Linear(4, 3, key=key)
    return Shared((there, back), lambda p: p[1].weight, lambda p: p[0].weight.T)


def test_the_node_is_kept_once_and_comes_back(tied):
    assert len([x for x in jax.tree.leaves(tied) if is_inexact_array(x)]) == 3
    assert "weight=SharedNode" in repr(tied)
    there, back = tied()
    assert np.array_equal(back.weight, there.weight.T)
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(back(there(x)), there.weight.T @ there(x) + back.bias, rtol=1e-6)


def test_gradients_add_up(tied):
    def loss(shared):
        there, back = shared()
        return (there.weight.sum() + 2 * back.weight.sum()) ** 2

    def plain(weight):
        return (weight.sum() + 2 * weight.sum()) ** 2

    grads = filter_grad(loss)(tied)
    np.testing.assert_allclose(grads.pytree[0].weight, jax.grad(plain)(tied()[0].weight))
    updated = apply_updates(tied, grads)()
    assert np.array_equal(updated[1].weight, updated[0].weight.T)


def test_several_places_and_whole_layers(key):
    arrays = [jnp.ones(2), jnp.zeros(2), jnp.zeros(2)]
    shared = Shared(arrays, lambda p: (p[1], p[2]), lambda p: (p[0], p[0]))
    assert all(np.array_equal(each, [1, 1]) for each in shared())
    layers = [Linear(2, 2, key=key), Linear(2, 2, key=jax.random.PRNGKey(3))]
    shared = Shared(layers, second, first)
    assert tree_equal(*shared())


def test_it_is_a_pytree(tied):
    assert filter_jit(lambda s: s()[1].weight)(tied).shape == (3, 4)
    _, rest = partition(tied, is_inexact_array)
    assert jax.tree.leaves(rest) != []
    pair = Shared([jnp.ones(2), jnp.zeros(2)], second, first)
    for other in (copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
        assert tree_equal(other, pair)


@pytest.mark.parametrize(
    "pytree",
    [
        [jnp.ones(2), jnp.ones(3)],
        [jnp.ones(2), jnp.ones(2, int)],
        [(jnp.ones(2),), jnp.ones(2)],
        [jnp.ones(2), None],
        [jnp.sin, jnp.cos],
    ],
    ids=["shape", "dtype", "structure", "None", "functions"],
)
def test_nodes_that_differ_are_refused(pytree):
    with pytest.raises(ValueError, match=r"Every node being shared together") as caught:
        Shared(pytree, second, first)
    assert "let `get` transform its node" in str(caught.value)
