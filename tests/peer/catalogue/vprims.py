"""`create_vprim`: each transformation of each other, and a second implementation."""

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from marks import over, rounded

import equinox.internal as eqxi

X = jnp.arange(3.0)
M = jnp.arange(6.0).reshape(2, 3)


def product(name="product"):
    def jvp(primals, tangents, *, scale=1.0):
        (x, y), (tx, ty) = primals, tangents
        tx = jnp.zeros_like(x) if type(tx) is ad.Zero else tx
        ty = jnp.zeros_like(y) if type(ty) is ad.Zero else ty
        out = primitive.bind(x, y, scale=scale)
        moved = primitive.bind(tx, y, scale=scale)[0] + primitive.bind(x, ty, scale=scale)[0]
        return out, [moved, tx]

    def transpose(cotangents, x, y, *, scale=1.0):
        ct, rest = (None if type(c) is ad.Zero else c for c in cotangents)
        if not ad.is_undefined_primal(x):
            return [None, primitive.bind(ct, x, scale=scale)[0]]
        back = 0.0 if ct is None else primitive.bind(ct, y, scale=scale)[0]
        return [back + (0.0 if rest is None else rest), None]

    def impl(x, y, *, scale=1.0):
        return [scale * x * y, x]

    primitive = eqxi.create_vprim(name, impl, lambda x, y, **_: [x, x], jvp, transpose)
    return primitive


P = product()


def f(x, y=X):
    return P.bind(x, y)[0]


def g(x):
    return P.bind(x, x, scale=3.0)[0]


def h(x):
    return P.bind(x, jnp.ones_like(x))[0] ** 2


CALLS = {
    "name": lambda: (P.name, P.multiple_results),
    "eager": lambda: P.bind(X, X),
    "parameter": lambda: g(X),
    "jit": lambda: jax.jit(P.bind)(X, X),
    "vmap": lambda: jax.vmap(P.bind)(X, X),
    "vmap one": lambda: jax.vmap(P.bind, in_axes=(0, None))(M, X),
    "vmap axis": lambda: jax.vmap(P.bind, in_axes=(1, None), out_axes=1)(M, X[:2]),
    "vmap none": lambda: jax.vmap(lambda z: P.bind(X, X))(X),
    "vmap vmap": lambda: jax.vmap(jax.vmap(P.bind))(M, M),
    "vmap vmap axes": lambda: jax.vmap(jax.vmap(P.bind, (0, None)), (None, 0))(X, X),
    "vmap jit": lambda: jax.vmap(jax.jit(g))(X),
    "jit vmap": lambda: jax.jit(jax.vmap(g))(X),
    "jit vmap vmap": lambda: jax.jit(jax.vmap(jax.vmap(g)))(M),
    "vmap with a name": lambda: jax.vmap(g, axis_name="i")(X),
    "vmap spmd": lambda: jax.vmap(g, spmd_axis_name="i")(X),
    "jvp": lambda: jax.jvp(f, (X,), (X,)),
    "jvp of both": lambda: jax.jvp(g, (X,), (X,)),
    "jvp vmap": lambda: jax.jvp(jax.vmap(g), (X,), (X,)),
    "vmap jvp": lambda: jax.vmap(lambda x: jax.jvp(g, (x,), (x,)))(X),
    "grad": lambda: jax.grad(lambda x: g(x).sum())(X),
    "jit grad": lambda: jax.jit(jax.grad(lambda x: g(x).sum()))(X),
    "grad vmap": lambda: jax.grad(lambda x: jax.vmap(g)(x).sum())(X),
    "grad vmap shared": lambda: jax.grad(lambda x: jax.vmap(f, (None, 0))(x, M).sum())(X),
    "vmap grad": lambda: jax.vmap(jax.grad(g))(X),
    "grad vmap vmap": lambda: jax.grad(lambda m: jax.vmap(jax.vmap(g))(m).sum())(M),
    "linear_transpose": lambda: jax.linear_transpose(f, X)(X),
    "linear_transpose vmap": lambda: jax.linear_transpose(lambda m: jax.vmap(f)(m, M), M)(M),
    "jacfwd": lambda: jax.jacfwd(h)(X),
    "jacrev": lambda: jax.jacrev(h)(X),
    "hessian": lambda: jax.hessian(lambda x: h(x).sum())(X),
    "vmap hessian": lambda: jax.vmap(jax.hessian(lambda x: h(x).sum()))(M),
    "linearize": lambda: jax.linearize(g, X)[1](X),
    "scan": lambda: jax.lax.scan(lambda c, _: (g(c), None), X, None, 2)[0],
    "vmap scan": lambda: jax.vmap(lambda m: jax.lax.scan(lambda c, _: (g(c), None), m, None, 2)[0])(
        M
    ),
    "eval_shape": lambda: jax.eval_shape(jax.vmap(g), M),
    "complex": lambda: jax.vmap(g)(1j * X),
    "half": lambda: jax.vmap(g)(X.astype(jnp.float16)),
    "integers": lambda: jax.vmap(P.bind)(jnp.arange(3), jnp.arange(3)),
    "no jvp": lambda: jax.jvp(bare().bind, (X,), (X,)),
    "no transpose": lambda: jax.linear_transpose(bare().bind, X)([X]),
    "without rules, vmap": lambda: jax.vmap(bare().bind)(X),
}


def bare():
    return eqxi.create_vprim("bare", lambda x: [x], lambda x: [x], None, None)


@over(CALLS)
@rounded
def case_call(call):
    return call()


def replaced():
    p = product()
    p.def_impl(lambda x, y, **_: [100 * x, 100 * y])
    return p


AFTER = {
    "eager": lambda p: p.bind(X, X),
    "jit": lambda p: jax.jit(p.bind)(X, X),
    "vmap": lambda p: jax.vmap(p.bind)(X, X),
    "vmap vmap": lambda p: jax.vmap(jax.vmap(p.bind))(M, M),
    "jit vmap": lambda p: jax.jit(jax.vmap(p.bind))(X, X),
    "finalised": lambda p: (
        eqxi.register_impl_finalisation(p),
        eqxi.finalise_fn(jax.jit(p.bind))(X, X),
    ),
    "finalised, then replaced": lambda p: (
        eqxi.register_impl_finalisation(p),
        p.def_impl(lambda x, y, **_: [x - 7, y]),
        eqxi.finalise_fn(p.bind)(X, X),
    ),
    "not registered": lambda p: eqxi.finalise_fn(jax.jit(p.bind))(X, X),
    "in the table": lambda p: (
        eqxi.register_impl_finalisation(p),
        p in eqxi.primitive_finalisations,
    ),
}


@over(AFTER)
def case_second_implementation(use):
    return use(replaced())
