"""Custom rules, checkpoints and closure conversion."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx


class M(eqx.Module):
    """A Module with a leaf and a static field."""

    a: Any
    b: Any = eqx.field(static=True, default=0)

    def __call__(self, x):
        return self.a * x

    def meth(self, x):
        return self.a + x


X, Y, V = jnp.array(2.0), jnp.array(3.0), jnp.arange(3.0)
C, CV = eqx.filter_custom_jvp, eqx.filter_custom_vjp
CK, CC = eqx.filter_checkpoint, eqx.filter_closure_convert
SEEN = []


def mk(f, rule):
    f = C(f)
    f.def_jvp(rule)
    return f


def mkv(f, fwd, bwd):
    f = CV(f)
    f.def_fwd(fwd)
    f.def_bwd(bwd)
    return f


def rule(primals, tangents, **kw):
    SEEN.append((primals, tangents, kw))
    return primals[0] * 2, None if tangents[0] is None else tangents[0] * 2


def fwd(perturbed, x, *a, **k):
    SEEN.append((perturbed, a, k))
    return x * 2, (x, "res", 3, len)


def bwd(res, g, perturbed, x, *a, **k):
    SEEN.append((res, g, perturbed, a, k))
    return None if g is None else g * 5


def with_jvp():
    return mk(lambda x, *a, **k: x * 2, rule)


def with_vjp():
    return mkv(lambda x, *a, **k: x * 2, fwd, bwd)


def g(x, y=None, *, k=1):
    return jnp.sin(x) * k


def closing_over(y):
    return lambda x: x * y


JVP = {
    "grad": lambda: jax.grad(with_jvp())(X),
    "jvp": lambda: jax.jvp(with_jvp(), (X,), (X,)),
    "nondiff args": lambda: eqx.filter_jvp(with_jvp(), (X, "a", 3, M(Y)), (X, None, None, None)),
    "module tangent": lambda: eqx.filter_jvp(with_jvp(), (X, M(Y)), (X, M(Y))),
    "module tangent all none": lambda: eqx.filter_jvp(
        lambda x, y: with_jvp()(x, M(y)), (X, Y), (X, None)
    ),
    "kwargs": lambda: eqx.filter_jvp(lambda x: with_jvp()(x, k=3), (X,), (X,)),
    "kwargs array": lambda: eqx.filter_jvp(lambda x: with_jvp()(x, k=Y), (X,), (X,)),
    "kwargs perturbed": lambda: eqx.filter_jvp(lambda x: with_jvp()(X, k=x), (X,), (X,)),
    "no perturbed": lambda: eqx.filter_jvp(lambda x, y: with_jvp()(y), (X, Y), (X, None)),
    "no rule call": lambda: C(lambda x: x)(X),
    "no rule grad": lambda: jax.grad(C(lambda x: x))(X),
    "defjvp old": lambda: (lambda g: (g.defjvp(rule), jax.jvp(g, (X,), (X,)))[1])(
        C(lambda x: x * 2)
    ),
    "defjvps": lambda: C(lambda x: x).defjvps(rule),
    "rule bad return": lambda: jax.jvp(mk(lambda x: x, lambda p, t: 3), (X,), (X,)),
    "rule tangent None": lambda: jax.jvp(mk(lambda x: x, lambda p, t: (p[0], None)), (X,), (X,)),
    "rule out struct": lambda: jax.jvp(mk(lambda x: (x, x), lambda p, t: (p[0], t[0])), (X,), (X,)),
    "nonarray out": lambda: eqx.filter_jvp(
        mk(lambda x: (x, "a"), lambda p, t: ((p[0], "a"), (t[0], None))), (X,), (X,)
    ),
    "nonarray out call": lambda: mk(lambda x: (x, "a"), lambda p, t: ((p[0], "a"), (t[0], None)))(
        X
    ),
    "nonarray out jit": lambda: eqx.filter_jit(
        mk(lambda x: (x, "a"), lambda p, t: ((p[0], "a"), (t[0], None)))
    )(X),
    "int array arg": lambda: eqx.filter_jvp(with_jvp(), (X, jnp.array(2)), (X, None)),
    "closure tracer": lambda: jax.grad(
        lambda y: mk(lambda x: x * y, lambda p, t: (p[0] * y, t[0]))(X)
    )(Y),
    "vmap": lambda: jax.vmap(with_jvp())(V),
    "under jit grad": lambda: jax.jit(jax.grad(with_jvp()))(X),
    "fn module": lambda: jax.jvp(mk(M(Y), rule), (X,), (X,)),
    "fn module perturbed": lambda: eqx.filter_jvp(lambda y: mk(M(y), rule)(X), (X,), (X,)),
    "numpy arg": lambda: eqx.filter_jvp(with_jvp(), (X, np.array(2.0)), (X, None)),
}
VJP = {
    "call": lambda: with_vjp()(X),
    "grad": lambda: jax.grad(with_vjp())(X),
    "extra": lambda: jax.grad(lambda x: with_vjp()(x, Y, "s", 3, k=Y, j="a"))(X),
    "extra perturbed": lambda: jax.grad(lambda y: with_vjp()(X, y))(Y),
    "extra perturbed2": lambda: jax.grad(lambda y: with_vjp()(y, y))(Y),
    "kw perturbed": lambda: jax.grad(lambda y: with_vjp()(X, k=y))(Y),
    "tuple bwd None": lambda: jax.grad(
        lambda y: mkv(
            lambda t: t[0] * t[1], lambda p, t: (t[0] * t[1], None), lambda r, g, p, t: (None, None)
        )((y, Y))
    )(X),
    "tuple bwd too much": lambda: jax.grad(
        lambda y: mkv(
            lambda t: t[0] * t[1], lambda p, t: (t[0] * t[1], None), lambda r, g, p, t: (g, g)
        )((y, Y))
    )(X),
    "bwd struct": lambda: jax.grad(
        lambda y: mkv(
            lambda t: t[0] * t[1], lambda p, t: (t[0] * t[1], None), lambda r, g, p, t: g
        )((y, Y))
    )(X),
    "bwd shape": lambda: jax.grad(
        mkv(lambda t: t * 1, lambda p, t: (t * 1, None), lambda r, g, p, t: V)
    )(X),
    "bwd dtype": lambda: jax.grad(
        mkv(lambda t: t * 1, lambda p, t: (t * 1, None), lambda r, g, p, t: jnp.array(1))
    )(X),
    "no rule call": lambda: CV(lambda x: x)(X),
    "no bwd": lambda: (lambda g: (g.def_fwd(fwd), g(X)))(CV(lambda x: x)),
    "defvjp": lambda: (lambda g: (g.defvjp(fwd, bwd), g(X)))(CV(lambda x: x)),
    "defvjp grad": lambda: (
        lambda g: (g.defvjp(lambda x, *a: (x, 3), lambda r, g, x, *a: g), jax.grad(g)(X))
    )(CV(lambda x: x)),
    "closure tracer": lambda: jax.grad(
        lambda y: mkv(lambda x: x * y, lambda p, x: (x * y, None), lambda r, g, p, x: g)(X)
    )(Y),
    "closure tracer2": lambda: jax.grad(
        lambda y: mkv(lambda x: x * y, lambda p, x: (x * y, None), lambda r, g, p, x: g)(y)
    )(Y),
    "closure jit tracer": lambda: jax.jit(
        lambda y: jax.grad(mkv(lambda x: x * y, lambda p, x: (x * y, None), lambda r, g, p, x: g))(
            X
        )
    )(Y),
    "int first": lambda: with_vjp()(3),
    "int arr first": lambda: with_vjp()(jnp.array(3)),
    "str first": lambda: mkv(lambda x: 3, fwd, bwd)("a"),
    "nonarray out": lambda: mkv(
        lambda x: (x, "a"), lambda p, x: ((x, "a"), None), lambda r, g, p, x: g[0]
    )(X),
    "jvp": lambda: jax.jvp(with_vjp(), (X,), (X,)),
    "vmap grad": lambda: jax.vmap(
        jax.grad(mkv(lambda x: x * 2, lambda p, x: (x * 2, None), lambda r, g, p, x: g * x))
    )(V),
    "jit grad": lambda: jax.jit(
        jax.grad(mkv(lambda x: x * 2, lambda p, x: (x * 2, None), lambda r, g, p, x: g * x))
    )(X),
    "no args": with_vjp(),
    "kw first": lambda: with_vjp()(x=X),
    "fwd out mismatch": lambda: jax.grad(
        mkv(lambda x: x * 2, lambda p, x: ((x, x), None), lambda r, g, p, x: g)
    )(X),
    "fwd not pair": lambda: jax.grad(mkv(lambda x: x * 2, lambda p, x: x, lambda r, g, p, x: g))(X),
    "numpy first": lambda: with_vjp()(np.array(2.0)),
}
CHECKPOINT = {
    "basic": lambda: CK(g)(X),
    "grad": lambda: jax.grad(CK(g))(X),
    "nonarrays": lambda: CK(lambda x, s, n: (x * n, s))(X, "a", 3),
    "module": lambda: CK(M(X))(Y),
    "policy": lambda: jax.grad(CK(g, policy=jax.checkpoint_policies.everything_saveable))(X),
    "jaxpr": lambda: str(jax.make_jaxpr(jax.grad(CK(g)))(X)),
    "deco": lambda: CK(prevent_cse=False)(g)(X),
    "closure": lambda: jax.grad(lambda y: CK(lambda x: x * y)(X))(Y),
    "grad module": lambda: eqx.filter_grad(lambda m: CK(m)(Y))(M(X)),
}
CLOSURE = {
    "call": lambda: CC(lambda x: x * Y, X)(X),
    "in_struct": lambda: CC(lambda x: x * Y, X).in_struct,
    "out_struct": lambda: CC(lambda x: x * Y, X).out_struct,
    "wrong shape": lambda: CC(lambda x: x * Y, X)(V),
    "wrong dtype": lambda: CC(lambda x: x * Y, X)(jnp.array(2)),
    "wrong nargs": lambda: CC(lambda x: x * Y, X)(X, X),
    "kw": lambda: CC(lambda x: x * Y, X)(x=X),
    "python float": lambda: CC(lambda x: x * Y, X)(2.0),
    "static args": lambda: CC(lambda x, s: x * s, X, 3)(X, 3),
    "static args other": lambda: CC(lambda x, s: x * s, X, 3)(X, 4),
    "static str": lambda: CC(lambda x, s: (x, s), X, "a")(X, "a"),
    "static str other": lambda: CC(lambda x, s: (x, s), X, "a")(X, "b"),
    "kwargs": lambda: CC(lambda x, k: (x, k), X, k=Y)(X, k=Y),
    "struct args": lambda: CC(lambda x: x * Y, jax.ShapeDtypeStruct((), jnp.float32))(X),
    "grad closure": lambda: jax.grad(lambda y: CC(lambda x: x * y, X)(X))(Y),
    "in_struct2": lambda: CC(lambda x, s: (x, s), X, "a").in_struct,
    "out_struct2": lambda: CC(lambda x, s: (x, s), X, "a").out_struct,
    "jit": lambda: eqx.filter_jit(lambda c, x: c(x))(CC(lambda x: x * Y, X), X),
    "vmap": lambda: jax.vmap(CC(lambda x: x * Y, X))(V),
    "nonjax out": lambda: CC(lambda x: "a", X)(X),
    "weak": lambda: CC(lambda x: x * Y, X)(jnp.float32(2)),
}


def seen_by(call):
    SEEN.clear()
    out = call()
    return out, list(SEEN)


@over(JVP)
@rounded
def case_custom_jvp(call):
    return seen_by(call)


@over(VJP)
@rounded
def case_custom_vjp(call):
    return seen_by(call)


@over(CHECKPOINT)
@rounded
def case_checkpoint(call):
    return call()


@over(CLOSURE)
@rounded
def case_closure_convert(call):
    return call()
