"""An `equinox`: loops of each kind, run and compiled, forward and their gradients."""

import functools

import jax
import jax.numpy as jnp

import equinox.internal as eqxi
from sides.equinox import side

STEPS = 500
BATCH = 8


def steps(start, weight, kind):
    """Apply a matrix and `tanh` 500 times."""

    def body(state):
        return state[0] + 1, jnp.tanh(weight @ state[1])

    return loop(body, (0, start), kind)[1].sum()


def written(start, weight, kind):
    """Write each second of 500 states into a buffer."""

    def body(state):
        i, x, rows = state
        x = jnp.sin(weight * x)
        return i + 1, x, eqxi.buffer_at_set(rows, i, x, pred=i % 2 == 0)

    init = (0, start, jnp.zeros((STEPS, *start.shape)))
    return loop(body, init, kind, buffers=lambda state: state[2])[2].sum()


def loop(body, init, kind, **options):
    bound = {} if kind == "lax" else {"max_steps": STEPS}
    return eqxi.while_loop(lambda s: s[0] < STEPS, body, init, kind=kind, **bound, **options)


def matrix(width):
    return 0.9 * jnp.eye(width) + 0.01


# What each row needs: a function, where it starts, and a weight.
LOOPS = {
    "narrow": (steps, jnp.ones(4), matrix(4)),
    "middle": (steps, jnp.ones(32), matrix(32)),
    "wide": (steps, jnp.ones(128), matrix(128)),
    "rows": (written, jnp.ones(64), jnp.array(1.1)),
}


def prepared(name, kind, way):
    """The function that a row is about, and its arguments."""
    function, start, weight = LOOPS[name]
    function = functools.partial(function, kind=kind)
    if way.startswith("gradient"):
        function = jax.grad(function, (0, 1))
    if way.endswith("batch"):
        scales = jnp.linspace(0.5, 1.0, BATCH).reshape(-1, *[1] * start.ndim)
        return jax.vmap(function, (0, None)), (scales * start, weight)
    return function, (start, weight)


def anew(function):
    """The same function as another object, which JAX has not traced."""
    return functools.partial(function)


def enter(name, kind, way):
    def prepare():
        function, args = prepared(name, kind, way.removesuffix("_compile"))
        if way.endswith("_compile"):
            return lambda: jax.jit(anew(function)).lower(*args).compile()
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*args))

    prepare.__name__ = f"{name}_{kind}_{way}"
    prepare.__module__ = __name__
    side.row(prepare)


for name in LOOPS:
    for way in ("forward", "forward_batch", "forward_compile"):
        for kind in ("lax", "bounded", "checkpointed"):
            enter(name, kind, way)
    for way in ("gradient", "gradient_batch", "gradient_compile"):
        for kind in ("bounded", "checkpointed"):
            enter(name, kind, way)
