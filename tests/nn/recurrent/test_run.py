"""The scan of known cells: its derivatives of any order, against those of the cell in a scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    combine,
    filter_grad,
    filter_jit,
    filter_vmap,
    is_inexact_array,
    partition,
    tree_at,
)
from eqx_nn import RNN, GRUCell, LSTMCell, RNNCell

KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (2, 5, 2))
MASK = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0]], bool)
CELLS = {
    "LSTM": LSTMCell(2, 3, key=KEY),
    "LSTM without bias": LSTMCell(2, 3, use_bias=False, key=KEY),
    "GRU": GRUCell(2, 3, key=KEY),
    "GRU without bias": GRUCell(2, 3, use_bias=False, key=KEY),
    "tanh": RNNCell(2, 3, key=KEY),
    "softplus": RNNCell(2, 3, activation=jax.nn.softplus, key=KEY),
    "a function of its own": RNNCell(2, 3, activation=lambda x: jnp.sin(x) + x, key=KEY),
}


def ours(cell, xs, state, *, reverse):
    ys, last = RNN(cell, reverse=reverse)(xs, state, mask=MASK)
    return ys, jax.tree.map(lambda x: x[:, 0], last)


def by_hand(cell, xs, state, *, reverse):
    def one(xs, state, mask):
        def step(state, at):
            x, there = at
            new = cell(x, state)
            new = jax.tree.map(lambda n, o: jnp.where(there, n, o), new, state)
            return new, jnp.where(there, new[0] if isinstance(new, tuple) else new, 0)

        last, ys = jax.lax.scan(step, state, (xs, mask), reverse=reverse)
        return ys, last

    return jax.vmap(one)(xs, jax.tree.map(lambda x: x[:, 0], state), MASK)


def of_arrays(call, name, *, reverse):
    """A scalar function of all arrays, and the arrays."""
    cell = CELLS[name]
    state = jax.tree.map(lambda x: jnp.full((2, 1, 3), 0.2), cell.initial_state())
    arrays, rest = partition((cell, XS, state), is_inexact_array)

    def total(arrays):
        found = call(*combine(arrays, rest), reverse=reverse)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(found))

    return total, arrays


def assert_close(one, other, rtol=1e-3, atol=1e-4):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def compare(derive, name, *, reverse=False):
    one, arrays = of_arrays(ours, name, reverse=reverse)
    other, _ = of_arrays(by_hand, name, reverse=reverse)
    assert_close(jax.jit(derive(one))(arrays), jax.jit(derive(other))(arrays))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_value_and_gradient(name, reverse):
    compare(jax.value_and_grad, name, reverse=reverse)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "tanh"])
@pytest.mark.parametrize("reverse", [False, True])
def test_forwards(name, reverse):
    compare(
        lambda f: lambda x: jax.jvp(f, (x,), (jax.tree.map(jnp.cos, x),)), name, reverse=reverse
    )


@pytest.mark.parametrize("name", ["LSTM", "GRU", "tanh"])
def test_gradient_of_a_gradient(name):
    def second(f):
        return jax.grad(lambda x: sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(f)(x))))

    compare(second, name)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "tanh"])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_of_one_argument_alone(name, argument):
    """The others have no tangents, and none are made for them."""
    cell = CELLS[name]
    state = jax.tree.map(lambda x: jnp.full((2, 1, 3), 0.2), cell.initial_state())
    given = [cell, XS, state]

    def derive(call):
        def total(it):
            found = call(*given[:argument], it, *given[argument + 1 :], reverse=False)
            return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(found))

        arrays, rest = partition(given[argument], is_inexact_array)
        return jax.jit(jax.grad(lambda arrays: total(combine(arrays, rest))))(arrays)

    assert_close(derive(ours), derive(by_hand))


@pytest.mark.parametrize("name", ["LSTM", "GRU", "tanh"])
def test_an_ensemble_under_vmap(name):
    make = type(CELLS[name])
    cells = filter_vmap(lambda key: make(2, 3, key=key))(jax.random.split(KEY, 4))
    gradient = filter_grad(lambda cell: jnp.sum(RNN(cell)(XS)[0]))
    found = filter_jit(filter_vmap(gradient))(cells)
    one = jax.tree.map(lambda x: x[2] if is_inexact_array(x) else x, cells)
    expected = filter_jit(gradient)(one)
    assert_close(jax.tree.map(lambda x: x[2], found), expected)


@pytest.mark.parametrize("activation", [jnp.conj, jnp.tanh, lambda x: jnp.real(x) + 2j * x])
@pytest.mark.parametrize("of_bias", [False, True])
def test_complex_numbers_of_any_origin(activation, of_bias):
    """A function of them need not have one slope."""
    cell = RNNCell(2, 3, activation=activation, key=KEY)
    xs = XS[0] if of_bias else XS[0] + 1j * XS[1]
    bias = cell.bias * (1 + 1j) if of_bias else cell.bias
    cell = tree_at(lambda c: c.bias, cell, bias)
    state = jnp.ones((1, 3), complex)

    def looped(cell, xs):
        h, hs = state[0], []
        for x in xs:
            h = cell(x, h)
            hs.append(h)
        return jnp.stack(hs)

    def gradient(call):
        return filter_grad(lambda it: jnp.sum(jnp.abs(call(*it) + 0.3) ** 2))((cell, xs))

    assert_close(gradient(lambda cell, xs: RNN(cell)(xs, state)[0]), gradient(looped))


def test_gradients_of_weights_are_one_product_after_the_loop():
    """In no loop is there a product with the shape of a weight."""
    cell = CELLS["LSTM"]
    arrays, rest = partition(cell, is_inexact_array)
    gradient = jax.grad(lambda a: jnp.sum(RNN(combine(a, rest))(XS)[0] ** 2))
    loops = loops_of(jax.make_jaxpr(gradient)(arrays).jaxpr)
    assert len(loops) == 2
    products = [eqn for loop in loops for eqn in loop.eqns if eqn.primitive.name == "dot_general"]
    assert {eqn.outvars[0].aval.shape for eqn in products} == {(2, 12), (2, 3)}


def loops_of(jaxpr):
    found = []
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", None)
            if eqn.primitive.name == "scan" and inner is not None:
                found.append(inner)
            elif inner is not None:
                found += loops_of(inner)
    return found
