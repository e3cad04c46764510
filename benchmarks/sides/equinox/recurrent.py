"""An `equinox`: recurrent layers along sequences. The peer has the cells alone, and no LRU."""

import functools

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.settings import HIDDEN, MANY_STEPS, enter_sequences, key, sequences

nn = eqx.nn
IS_OURS = hasattr(nn, "LSTM")
LAYERS = {"lstm": "LSTM", "gru": "GRU"} if IS_OURS else {"lstm": "LSTMCell", "gru": "GRUCell"}


@functools.cache
def parts(kind):
    model = getattr(nn, LAYERS[kind])(HIDDEN, HIDDEN, key=key())
    return eqx.partition(model, eqx.is_array)


def weights(kind):
    return parts(kind)[0]


def run(kind, weights, xs):
    model = eqx.combine(weights, parts(kind)[1])
    return model(xs)[0] if IS_OURS else jax.vmap(lambda xs: by_hand(model, xs)[1])(xs)


def last(kind, weights, xs, lengths):
    model = eqx.combine(weights, parts(kind)[1])
    if IS_OURS:
        return model(xs, lengths=lengths, return_sequences=False)[0]
    return jax.vmap(lambda xs, length: by_hand(model, xs, length)[0][0])(xs, lengths)


def by_hand(cell, xs, length=None):
    """The cell in a scan: where it ends, and all that it gives."""
    zeros = jnp.zeros(HIDDEN)
    zeros = (zeros, zeros) if isinstance(cell, nn.LSTMCell) else zeros

    def step(state, at):
        x, i = at
        new = cell(x, state)
        if length is not None:
            new = jax.tree.map(lambda n, o: jnp.where(i < length, n, o), new, state)
        return new, new[0] if isinstance(new, tuple) else new

    return jax.lax.scan(step, zeros, (xs, jnp.arange(len(xs))))


enter_sequences(side, run, last, weights)


def lru(model, xs):
    return model(xs)[0]


def lru_forward():
    function, arguments = jax.jit(lru), (made(), sequences(MANY_STEPS))
    return lambda: jax.block_until_ready(function(*arguments))


def lru_gradient():
    function = jax.jit(jax.grad(lambda *arguments: jnp.sum(lru(*arguments) ** 2)))
    arguments = made(), sequences(MANY_STEPS)
    return lambda: jax.block_until_ready(function(*arguments))


def made():
    return nn.LRU(HIDDEN, HIDDEN, key=key())


if IS_OURS:
    side.row(lru_forward)
    side.row(lru_gradient)
