"""What stands for the array of a weight is used as one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import filter_jit
from eqx_pytree import Module

KEY = jax.random.key(0)


def weight(kind):
    model = nn.quantise(nn.Embedding(5, 3, key=KEY), "weight")
    return (model if kind == "Quantised" else nn.lora(model, "weight", 2, key=KEY)).weight


@pytest.fixture(params=["Quantised", "Adapted"])
def pair(request):
    """A weight, and its array; an update that is not zero."""
    found = weight(request.param)
    if request.param == "Adapted":
        lora = nn.LoRA(found.lora.a, jnp.ones_like(found.lora.b), 0.5, 1)
        found = nn.Adapted(found.base, lora)
    return found, jnp.asarray(found)


def test_arithmetic_is_that_of_the_array(pair):
    w, array = pair
    other = jnp.full((5, 3), 2.0)

    def results(it):
        ways = (it + 1, 1 + it, it - 1, 1 - it, it * 2, 2 * it, it / 2, 2 / it, it**2, -it)
        methods = (it.sum(), it.sum(axis=0), it.mean(), it.reshape(15), it.reshape(3, 5), abs(it))
        return *ways, *methods, it * other, other * it, it.astype(jnp.float16)

    for found, expected in zip(results(w), results(array), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_so_are_its_sizes(pair):
    w, array = pair
    assert (len(w), w.size, w.ndim, w.shape) == (5, 15, 2, (5, 3))
    assert len(list(w)) == 5
    np.testing.assert_array_equal(np.asarray(w), array)
    assert np.asarray(w, np.float64).dtype == np.float64


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        9,
        np.int32(2),
        np.array([[0, -1], [4, 2]]),
        jnp.array([1, 1], jnp.uint8),
        slice(1, 3),
        (1, 2),
        (slice(None), jnp.array([0, 2])),
        np.array([True, False, True, False, False]),
        None,
        ...,
    ],
    ids=str,
)
def test_so_is_what_an_index_selects(pair, index):
    w, array = pair
    found, expected = w[index], array[index]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rows_are_made_alone(pair):
    class Model(Module):
        embedding: nn.Embedding

        def __call__(self, tokens):
            return self.embedding.weight[tokens]

    w, array = pair
    model = Model(nn.Embedding(weight=jnp.zeros((5, 3))))
    model = jax.tree.unflatten(jax.tree.structure(model), [w])
    program = jax.make_jaxpr(lambda w, tokens: w[tokens])(w, jnp.array([1, 3]))
    shapes = {var.aval.shape for equation in program.eqns for var in equation.outvars}
    assert (5, 3) not in shapes
    found = filter_jit(model)(jnp.array([1, 3]))
    np.testing.assert_allclose(found, array[jnp.array([1, 3])], rtol=1e-5)


def test_gradients_reach_the_update(pair):
    w, _ = pair
    if isinstance(w, nn.Adapted):
        grad = jax.grad(lambda b: nn.Adapted(w.base, nn.LoRA(w.lora.a, b, 0.5, 1))[1].sum())(
            w.lora.b
        )
        assert np.flatnonzero(np.asarray(grad).any(axis=1)).tolist() == [1]
