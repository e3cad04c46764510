"""`equinox.debug`, and `clear_caches`."""

import contextlib
import io
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


def printed(run):
    """What a call returns, and what it prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        out = run()
        jax.effects_barrier()
    return out, text.getvalue()


def announced(transform, x, **options):
    texts = []
    run = transform(lambda x: eqx.debug.announce_transform(x, announce=texts.append, **options))
    return run(x), texts


X = jnp.array(1.0)
TRANSFORMS = {
    "nothing": lambda fun: fun,
    "jit": jax.jit,
    "vmap": lambda fun: jax.vmap(fun, in_axes=None, axis_size=2),
    "jit of vmap": lambda fun: jax.jit(jax.vmap(fun, in_axes=None, axis_size=2)),
    "jvp": lambda fun: lambda x: jax.jvp(fun, (x,), (x,)),
    "grad": jax.grad,
    "jit of grad": lambda fun: jax.jit(jax.grad(fun)),
    "jit of grad of a square": lambda fun: jax.jit(jax.grad(lambda x: fun(x) ** 2)),
    "checkpoint": lambda fun: jax.jit(jax.grad(jax.checkpoint(lambda x: jnp.sin(fun(x))))),
    "cond": lambda fun: jax.jit(lambda x: jax.lax.cond(x > 0, fun, jnp.sin, x)),
    "scan": lambda fun: jax.jit(
        lambda x: jax.lax.scan(lambda c, _: (fun(c), None), x, None, length=2)[0]
    ),
}
OPTIONS = {
    "": {},
    ", named": {"name": "N"},
    ", with intermediates": {"intermediates": True},
}


@over({f"{t}{o}": (t, o) for t in TRANSFORMS for o in OPTIONS})
def case_announce_transform(argument):
    transform, options = argument
    return announced(TRANSFORMS[transform], X, **OPTIONS[options])


@over({"tree": {"a": X, "b": 3}, "text": "a", "None": None, "vector": V})
def case_announce_prints(tree):
    return printed(lambda: eqx.debug.announce_transform(tree))


def backward(factor, **options):
    return lambda x: eqx.debug.backward_nan(x, **options) * factor


BACKWARD = {
    "value": lambda: eqx.debug.backward_nan((X, 3, "a")),
    "value that is NaN": lambda: eqx.debug.backward_nan(X * jnp.nan),
    "gradient": lambda: jax.grad(backward(2.0))(X),
    "gradient, jitted": lambda: eqx.filter_jit(jax.grad(backward(2.0, name="N")))(X),
    "NaN": lambda: jax.grad(backward(jnp.nan))(X),
    "NaN, jitted": lambda: eqx.filter_jit(jax.grad(backward(jnp.nan, name="N")))(X),
    "NaN, goes on": lambda: jax.grad(backward(jnp.nan, terminate=False))(X),
    "infinity": lambda: jax.grad(backward(jnp.inf))(X),
    "tree": lambda: eqx.filter_grad(lambda t: eqx.debug.backward_nan(t)["a"] * 2)({"a": X, "b": V}),
}


@over(BACKWARD)
def case_backward_nan(call):
    return printed(call)


@over({"False": False, "array": jnp.array(False), "vector": jnp.zeros(2, bool)})
def case_breakpoint_that_is_not_reached(pred):
    run = eqx.filter_jit(lambda x: (eqx.debug.breakpoint_if(pred), x)[1])
    return run(X), eqx.debug.breakpoint_if(pred)


def case_store_dce_of_parts():
    run = jax.jit(lambda x: eqx.debug.store_dce((x, x + 1, 3, V), name="parts")[1])
    return run(X), printed(lambda: eqx.debug.inspect_dce("parts"))


def case_store_dce_of_all():
    run = jax.jit(lambda x: eqx.debug.store_dce({"a": x, "b": "text"}, name="all"))
    return run(X), printed(lambda: eqx.debug.inspect_dce("all"))


def case_inspect_dce_of_nothing():
    return printed(lambda: eqx.debug.inspect_dce("nothing"))


def case_store_dce_outside_of_a_program():
    return eqx.debug.store_dce(X)
