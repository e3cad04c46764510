"""Plain JAX: cells by their formulas, in a scan that is batched by vmap, and an LRU."""

import jax
import jax.numpy as jnp
from jax import lax

from sides.plain import side
from sides.settings import HIDDEN, MANY_STEPS, enter_sequences, key, sequences

GATES = {"lstm": 4, "gru": 3}
ZEROS = {"lstm": (jnp.zeros(HIDDEN),) * 2, "gru": jnp.zeros(HIDDEN)}


def weights(kind):
    rows, limit = GATES[kind] * HIDDEN, HIDDEN**-0.5
    shapes = {"ih": (rows, HIDDEN), "hh": (rows, HIDDEN), "b": (rows,), "n": (HIDDEN,)}
    shapes = {name: shapes[name] for name in shapes if kind == "gru" or name != "n"}
    keys = jax.random.split(key(), len(shapes))
    drawn = zip(keys, shapes.items(), strict=True)
    return {
        name: jax.random.uniform(k, shape, minval=-limit, maxval=limit)
        for k, (name, shape) in drawn
    }


def lstm(weights, x, state):
    h, c = state
    i, f, g, o = jnp.split(weights["ih"] @ x + weights["hh"] @ h + weights["b"], 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(weights, x, h):
    r, z, n = jnp.split(weights["ih"] @ x + weights["b"], 3)
    by_r, by_z, by_n = jnp.split(weights["hh"] @ h, 3)
    r, z = jax.nn.sigmoid(r + by_r), jax.nn.sigmoid(z + by_z)
    n = jnp.tanh(n + r * (by_n + weights["n"]))
    return n + z * (h - n)


CELLS = {"lstm": lstm, "gru": gru}


def run(kind, weights, xs):
    def one(xs):
        def step(state, x):
            state = CELLS[kind](weights, x, state)
            return state, state[0] if kind == "lstm" else state

        return lax.scan(step, ZEROS[kind], xs)[1]

    return jax.vmap(one)(xs)


def last(kind, weights, xs, lengths):
    def one(xs, length):
        def step(state, at):
            x, i = at
            new = CELLS[kind](weights, x, state)
            return jax.tree.map(lambda n, o: jnp.where(i < length, n, o), new, state), None

        return lax.scan(step, ZEROS[kind], (xs, jnp.arange(len(xs))))[0][0]

    return jax.vmap(one)(xs, lengths)


enter_sequences(side, run, last, weights)


def lru_weights():
    shapes = {"nu": (HIDDEN,), "theta": (HIDDEN,), "gamma": (HIDDEN,), "D": (HIDDEN,)}
    shapes |= dict.fromkeys(("B_real", "B_imag", "C_real", "C_imag"), (HIDDEN, HIDDEN))
    keys = jax.random.split(key(), len(shapes))
    drawn = zip(keys, shapes.items(), strict=True)
    return {name: jax.random.uniform(k, shape, minval=-1) / 8 for k, (name, shape) in drawn}


def lru(weights, xs):
    a = jnp.exp(lax.complex(-jnp.exp(weights["nu"]), jnp.exp(weights["theta"])))
    driven = xs @ lax.complex(weights["B_real"], weights["B_imag"]).T * jnp.exp(weights["gamma"])

    def composed(first, second):
        return second[0] * first[0], second[0] * first[1] + second[1]

    each = jnp.broadcast_to(a, driven.shape)
    _, states = lax.associative_scan(composed, (each, driven))
    c = lax.complex(weights["C_real"], weights["C_imag"])
    return (states @ c.T).real + weights["D"] * xs


@side.row
def lru_forward():
    function, arguments = jax.jit(lru), (lru_weights(), sequences(MANY_STEPS))
    return lambda: jax.block_until_ready(function(*arguments))


@side.row
def lru_gradient():
    function = jax.jit(jax.grad(lambda *arguments: jnp.sum(lru(*arguments) ** 2)))
    arguments = lru_weights(), sequences(MANY_STEPS)
    return lambda: jax.block_until_ready(function(*arguments))
