"""Barriers under each transformation: what passes, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

X = jnp.arange(3.0)
SAME = jnp.ones((2, 3))
BARRIERS = {
    "nontraceable": eqxi.nontraceable,
    "nondifferentiable": eqxi.nondifferentiable,
    "nondifferentiable_backward": eqxi.nondifferentiable_backward,
    "nondifferentiable_backward by value": functools.partial(
        eqxi.nondifferentiable_backward, symbolic=False
    ),
    "nonbatchable": eqxi.nonbatchable,
    "nonbatchable but constant": functools.partial(
        eqxi.nonbatchable, allow_constant_across_batch=True
    ),
}
USES = {
    "eager": lambda f: f(X),
    "tree": lambda f: f({"a": X, "b": None, "c": 1.5, "d": "s", "e": (np.ones(2), True)}),
    "numpy scalar": lambda f: f(np.float32(1)).dtype,
    "complex": lambda f: f(jnp.ones(2, complex)),
    "half": lambda f: f(jnp.ones(2, jnp.float16)),
    "bool": lambda f: f(jnp.array([True])),
    "key": lambda f: jax.random.key_data(f(jax.random.key(0))),
    "empty": lambda f: f(()),
    "empty array": lambda f: f(jnp.ones((0, 2))),
    "jit": lambda f: jax.jit(f)(X),
    "vmap": lambda f: jax.vmap(f)(X),
    "vmap of equal": lambda f: jax.vmap(f)(SAME),
    "vmap of equal, in_axes": lambda f: jax.vmap(f, in_axes=1)(SAME),
    "vmap of equal, out_axes None": lambda f: jax.vmap(f, out_axes=None)(SAME),
    "vmap of another": lambda f: jax.vmap(lambda x: f(X) + x)(X),
    "jit vmap of equal": lambda f: jax.jit(jax.vmap(f))(SAME),
    "filter_jit vmap": lambda f: eqx.filter_jit(jax.vmap(f))(X),
    "jvp": lambda f: jax.jvp(f, (X,), (X,)),
    "jvp of another": lambda f: jax.jvp(lambda x: x * f(X), (X,), (X,)),
    "jvp stopped before": lambda f: jax.jvp(lambda x: f(jax.lax.stop_gradient(x)), (X,), (X,)),
    "jvp of a part": lambda f: jax.jvp(lambda x: f((x, X))[1], (X,), (X,)),
    "jvp of integers": lambda f: jax.jvp(lambda x: f(jnp.int32(x)) * x, (1.0,), (1.0,)),
    "jvp jit": lambda f: jax.jvp(jax.jit(f), (X,), (X,)),
    "grad": lambda f: jax.grad(lambda x: f(x).sum())(X),
    "grad unused": lambda f: jax.grad(lambda x: (f(x), x.sum())[1])(X),
    "grad stopped after": lambda f: jax.grad(lambda x: jax.lax.stop_gradient(f(x)).sum())(X),
    "grad of a tree's part": lambda f: jax.grad(
        lambda x: f((jax.lax.stop_gradient(x), x))[0].sum()
    )(X),
    "grad scan": lambda f: eqx.filter_jit(
        jax.grad(lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0].sum())
    )(X),
    "linearize": lambda f: jax.linearize(f, X)[1](X),
    "vjp of zeros": lambda f: jax.vjp(f, X)[1](jnp.zeros(3)),
    "linear_transpose": lambda f: jax.linear_transpose(f, X)(jnp.zeros(3)),
    "eval_shape": lambda f: jax.eval_shape(f, X),
    "scan": lambda f: jax.lax.scan(lambda c, _: (f(c), None), X, None, length=2)[0],
    "structure": lambda f: jtu.tree_structure(f({"a": X, "b": (None, 2)})),
}


@over({f"{b}, {u}": (BARRIERS[b], USES[u]) for b in BARRIERS for u in USES})
def case_use(pair):
    barrier, use = pair
    return use(barrier)


MESSAGES = {
    "nontraceable": lambda: jax.vmap(lambda x: eqxi.nontraceable(x, name="n"))(X),
    "nontraceable has no msg": lambda: eqxi.nontraceable(X, msg="m"),
    "nondifferentiable": lambda: jax.grad(lambda x: eqxi.nondifferentiable(x, msg="m"))(1.0),
    "nondifferentiable by position": lambda: eqxi.nondifferentiable(X, "n"),
    "backward by position": lambda: eqxi.nondifferentiable_backward(X, "n", "m", False),
    "backward": lambda: jax.grad(lambda x: eqxi.nondifferentiable_backward(x, "n", "m"))(1.0),
    "nonbatchable": lambda: jax.vmap(lambda x: eqxi.nonbatchable(x, name="n", msg="m"))(X),
    "nonbatchable by position": lambda: eqxi.nonbatchable(X, "n"),
}


@over(MESSAGES)
def case_message(call):
    return call()


PRIMITIVES = [
    "announce_jaxpr_p",
    "noinline_p",
    "nonbatchable_p",
    "nondifferentiable_backward_p",
    "nontraceable_p",
    "unvmap_all_p",
    "unvmap_any_p",
    "unvmap_max_p",
]


@over({name: name for name in PRIMITIVES})
def case_primitive(name):
    primitive = getattr(eqxi, name)
    return primitive.name, primitive.multiple_results
