"""The finalising functions, over each operation that holds a program; `closure_to_pytree`."""

import functools

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax
from marks import over

import equinox as eqx
import equinox.internal as eqxi

X = jnp.arange(3.0)
nt = eqxi.nontraceable


@jax.custom_jvp
def with_jvp(x):
    return nt(x) * 2


with_jvp.defjvp(lambda p, t: (with_jvp(*p), t[0] * 3))


@jax.custom_vjp
def with_vjp(x):
    return nt(x) * 2


with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda r, g: (g * 3,))

PROGRAMS = {
    "barrier": nt,
    "nondifferentiable": eqxi.nondifferentiable,
    "backward": eqxi.nondifferentiable_backward,
    "nonbatchable": eqxi.nonbatchable,
    "unvmap": lambda x: (eqxi.unvmap_any(x > 0), eqxi.unvmap_all(x > 0), eqxi.unvmap_max(x)),
    "stop_gradient": lax.stop_gradient,
    "closed over": lambda x: nt(x) + X,
    "jit": jax.jit(nt),
    "jit jit": lambda x: jax.jit(lambda y: jax.jit(nt)(y) + 1)(x),
    "scan": lambda x: lax.scan(lambda c, _: (nt(c), c), x, None, length=2),
    "while": lambda x: lax.while_loop(lambda c: eqxi.unvmap_any(c < 2), lambda c: nt(c) + 1, x),
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: nt(c) + i, x),
    "cond": lambda x: lax.cond(x[0] > 0, nt, lambda x: x, x),
    "switch": lambda x: lax.switch(1, [nt, nt, lambda x: x], x),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "checkpoint": jax.checkpoint(nt),
    "map": lambda x: lax.map(nt, x),
    "nothing of ours": jnp.sort,
    "weak types": lambda x: lax.scan(lambda c, _: (nt(c) * 2, None), 1.0, None, length=2)[0] + x,
    "noinline": lambda x: eqxi.noinline(lambda y: nt(y) + 1)(x),
    "error_if that passes": lambda x: eqx.error_if(x, x.sum() > 9, "m"),
}
WAYS = {
    "fn": lambda f: eqxi.finalise_fn(f)(X),
    "fn, jit": lambda f: jax.jit(eqxi.finalise_fn(f))(X),
    "as_fn": lambda f: eqxi.finalise_jaxpr_as_fn(jax.make_jaxpr(f)(X))(X),
    "jaxpr": lambda f: jax.core.eval_jaxpr(
        (j := eqxi.finalise_jaxpr(jax.make_jaxpr(f)(X))).jaxpr, j.consts, X
    ),
    "make_jaxpr": lambda f: [v.aval for v in eqxi.finalise_make_jaxpr(f)(X).jaxpr.outvars],
}


@over({f"{p}, {w}": (PROGRAMS[p], WAYS[w]) for p in PROGRAMS for w in WAYS})
def case_program(pair):
    program, way = pair
    return way(program)


@over({p: f for p, f in PROGRAMS.items() if not p.startswith("error_if")})
def case_text(program):
    return str(eqxi.finalise_make_jaxpr(program)(X))


J = jax.make_jaxpr(lambda x: (nt(x) + X, x))(X)
CALLS = {
    "vmap": lambda: jax.vmap(eqxi.finalise_fn(nt))(X),
    "grad": lambda: jax.grad(lambda x: eqxi.finalise_fn(nt)(x).sum())(X),
    "grad of custom_jvp": lambda: jax.grad(lambda x: eqxi.finalise_fn(with_jvp)(x).sum())(X),
    "grad of custom_vjp": lambda: jax.grad(lambda x: eqxi.finalise_fn(with_vjp)(x).sum())(X),
    "numpy": lambda: eqxi.finalise_fn(lambda x: (nt(x), x))(np.ones(2, np.float32)),
    "number": lambda: eqxi.finalise_fn(nt)(1.0),
    "tree": lambda: eqxi.finalise_fn(lambda d: {"b": nt(d["a"]), "c": None})({"a": X}),
    "text": lambda: eqxi.finalise_fn(nt)("s"),
    "text out": lambda: eqxi.finalise_fn(lambda: "s")(),
    "eval": lambda: eqxi.finalise_eval_jaxpr(J.jaxpr, J.consts, X),
    "eval closed": lambda: eqxi.finalise_eval_jaxpr(J, J.consts, X),
    "eval few": lambda: eqxi.finalise_eval_jaxpr(J.jaxpr, J.consts),
    "as_fn open": lambda: eqxi.finalise_jaxpr_as_fn(J.jaxpr),
    "return_shape": lambda: eqxi.finalise_make_jaxpr(lambda x: {"a": nt(x)}, return_shape=True)(X)[
        1
    ],
    "of a struct": lambda: str(eqxi.finalise_make_jaxpr(nt)(jax.ShapeDtypeStruct((2,), "int32"))),
    "of a number": lambda: str(eqxi.finalise_make_jaxpr(nt)(1.0)),
    "of text": lambda: eqxi.finalise_make_jaxpr(nt)("s"),
    "table": lambda: type(eqxi.primitive_finalisations).__name__,
    "in the table": lambda: [
        p in eqxi.primitive_finalisations
        for p in (eqxi.unvmap_any_p, eqxi.noinline_p, eqxi.nontraceable_p, eqxi.announce_jaxpr_p)
    ],
    "announce": lambda: eqxi.finalise_fn(
        lambda x: eqxi.announce_transform(x, announce=lambda text: None)
    )(X),
    "register": lambda: eqxi.register_impl_finalisation(eqxi.unvmap_any_p),
}


@over(CALLS)
def case_call(call):
    return call()


def closing(a, inner=None):
    def f(x):
        return a * x if inner is None else inner(x) + a

    return f


def defaulted(c):
    def f(x, *, y=X):
        return x + y + c

    return f


to_pytree = eqxi.closure_to_pytree
F = closing(X)


def arrays(tree):
    return eqx.filter(jtu.tree_leaves(tree), eqx.is_array)


CLOSURES = {
    "call": lambda: to_pytree(F)(X),
    "call by keyword": lambda: to_pytree(F)(x=X),
    "leaves": lambda: jtu.tree_leaves(to_pytree(F))[1:],
    "count": lambda: len(jtu.tree_leaves(to_pytree(closing(2.0, F)))),
    "nested": lambda: to_pytree(closing(2.0, F))(X),
    "nested leaves": lambda: arrays(to_pytree(closing(2.0, F))),
    "keyword default": lambda: to_pytree(defaulted(X))(X),
    "paths": lambda: [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(to_pytree(F))[0]],
    "same structure": lambda: (
        jtu.tree_structure(to_pytree(closing(X))) == jtu.tree_structure(to_pytree(closing(2 * X)))
    ),
    "same code": lambda: (
        jtu.tree_leaves(to_pytree(closing(1)))[0] == jtu.tree_leaves(to_pytree(closing(2)))[0]
    ),
    "other code": lambda: (
        jtu.tree_leaves(to_pytree(closing(1)))[0] == jtu.tree_leaves(to_pytree(defaulted(2)))[0]
    ),
    "builtin": lambda: to_pytree(len) is len,
    "no closure": lambda: len(jtu.tree_leaves(to_pytree(lambda x: x))),
    "in a tree": lambda: to_pytree({"a": F, "b": 1})["a"](X),
    "other leaves": lambda: to_pytree({"b": 1, "c": X, "d": None}),
    "partial": lambda: type(to_pytree(functools.partial(F, X))).__name__,
    "jitted": lambda: len(jtu.tree_leaves(to_pytree(jax.jit(F)))),
    "class": lambda: to_pytree(dict) is dict,
    "twice": lambda: to_pytree(to_pytree(F))(X),
    "list": lambda: jtu.tree_leaves(to_pytree(closing([X, "s", None])))[1:],
    "numpy": lambda: jtu.tree_leaves(to_pytree(closing(np.ones(2))))[1:],
    "as an argument": lambda: eqx.filter_jit(lambda f, x: f(x))(to_pytree(F), X),
    "differentiated": lambda: arrays(eqx.filter_grad(lambda f: f(X).sum())(to_pytree(closing(X)))),
    "is callable": lambda: callable(to_pytree(F)),
}


@over(CLOSURES)
def case_closure(call):
    return call()
