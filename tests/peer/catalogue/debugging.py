"""`debug.assert_max_traces`, `debug.get_num_traces` and `clear_caches`."""

from typing import Any

import jax
import jax.numpy as jnp
from marks import over

import equinox as eqx

V = jnp.arange(3.0)
limit, count = eqx.debug.assert_max_traces, eqx.debug.get_num_traces


class M(eqx.Module):
    """A Module with a method that may be traced once."""

    a: Any

    @eqx.filter_jit
    @eqx.debug.assert_max_traces(max_traces=1)
    def __call__(self, x):
        return self.a * x


def f(x):
    return x * 2


def limited(max_traces=1, fun=None):
    return limit(fun or (lambda x: x * 2), max_traces=max_traces)


def traced(fun, *arguments):
    for argument in arguments:
        fun(argument)
    return fun


def jitted(max_traces, *arguments):
    """Call a compiled function; give the number of its traces."""
    inner = limited(max_traces)
    traced(eqx.filter_jit(inner), *arguments)
    return count(inner)


CALLS = {
    "called by itself": lambda: limited()(V),
    "called twice by itself": lambda: (g := limited(), g(V), g(V), count(g))[-1],
    "once": lambda: jitted(1, V, V),
    "twice": lambda: jitted(2, V, V[:2], V),
    "too often": lambda: jitted(1, V, V[:2]),
    "too often by dtype": lambda: jitted(1, V, V.astype(int)),
    "too often by a static value": lambda: jitted(1, 1, 2),
    "None": lambda: jitted(None, V, V[:2], V[:1]),
    "never": lambda: jitted(0, V),
    "count before": lambda: count(limited()),
    "count in plain jit": lambda: (g := limited(3), traced(jax.jit(g), V, V[:2]), count(g))[-1],
    "too often in plain jit": lambda: traced(jax.jit(limited()), V, V[:2]),
    "vmap": lambda: (g := limited(3), jax.vmap(g)(V), count(g))[-1],
    "grad": lambda: (g := limited(3), jax.grad(g)(1.0), count(g))[-1],
    "grad in jit": lambda: (
        g := limited(3),
        traced(eqx.filter_jit(eqx.filter_grad(lambda x: g(x).sum())), V, V),
        count(g),
    )[-1],
    "count goes through jit": lambda: (
        g := eqx.filter_jit(limited(3)),
        traced(g, V, V[:2]),
        count(g),
    )[-1],
    "count goes through plain jit": lambda: (
        g := jax.jit(limited(3)),
        traced(g, V, V[:2]),
        count(g),
    )[-1],
    "count of a function without": lambda: count(f),
    "count of a jitted function without": lambda: count(eqx.filter_jit(f)),
    "count of a number": lambda: count(3),
    "a module": lambda: (m := M(V), m(V), m(V))[-1],
    "a module, two shapes": lambda: (m := M(V), m(V), m(V[:1])),
    "decorator": lambda: limit(max_traces=1)(f)(V),
    "name": lambda: limit(f, max_traces=1).__name__,
    "wrapped": lambda: limit(f, max_traces=1).__wrapped__ is f,
    "keyword": lambda: limit(f, max_traces=1)(x=V),
    "no max_traces": lambda: limit(f),
    "no function": lambda: limit(3, max_traces=1),
    "two wrappers count apart": lambda: (
        a := limited(fun=f),
        b := limited(fun=f),
        eqx.filter_jit(a)(V),
        count(a),
        count(b),
    )[-2:],
    "scan traces": lambda: (
        g := limited(9, lambda c, x: (c + x, x)),
        jax.lax.scan(g, 0.0, V),
        count(g),
    )[-1],
    "eval_shape": lambda: (g := limited(9), eqx.filter_eval_shape(g, V), count(g))[-1],
    "is a pytree of its function": lambda: len(
        jax.tree.leaves(limit(eqx.nn.Linear(2, 2, key=jax.random.key(0)), max_traces=1))
    ),
}


@over(CALLS)
def case_traces(call):
    return call()


def case_clear_caches():
    inner = limited(2)
    outer = eqx.filter_jit(inner)
    outer(V)
    before = count(inner)
    eqx.clear_caches()
    outer(V)
    return before, count(inner)


def case_clear_caches_returns():
    return eqx.clear_caches()


def case_clear_caches_takes_no_argument():
    return eqx.clear_caches(1)
