"""`noinline`, outside of compiled programs and finalised."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

X = jnp.arange(3.0)


def f(x, y=None, *, k=1):
    return x * 2, y, k


class Scaled(eqx.Module):
    w: jax.Array

    def __call__(self, x):
        return self.w * x


N = eqxi.noinline(f)
DOUBLED = eqxi.noinline(lambda x: x * 2)
S = eqxi.noinline(Scaled(X))


def first(x):
    return DOUBLED(x)


def same(_, x):
    return x


def exchanged(fn, *functions):
    """What each of some functions of one `abstract_fn` gives, and how often the call is traced."""
    traced = []

    def call(fn, x):
        traced.append(1)
        return fn(x)

    run = fn(call)
    return [run(eqxi.noinline(fun, same), X) for fun in functions], len(traced)


CALLS = {
    "eager": lambda: N(X),
    "static": lambda: N(X, "s", k=3),
    "numpy": lambda: N(np.ones(2)),
    "numbers": lambda: N(2.0, 3),
    "no arrays": lambda: N(1, "s"),
    "half": lambda: N(X.astype(jnp.float16)),
    "complex": lambda: N(1j * X),
    "key": lambda: eqxi.noinline(lambda k: jax.random.normal(k, (2,)))(jax.random.key(0)),
    "closed over": lambda: eqxi.noinline(lambda y: y * X)(X),
    "closed over and differentiated": lambda: jax.grad(
        lambda x: eqxi.noinline(lambda y: y * x)(X).sum()
    )(X),
    "raises": lambda: eqxi.noinline(lambda x: 1 / 0)(X),
    "module": lambda: S(X),
    "module is differentiated": lambda: jax.grad(lambda w: eqxi.noinline(Scaled(w))(X).sum())(X),
    "jit": lambda: jax.jit(first)(X),
    "jit twice": lambda: jax.jit(lambda x: first(first(x)))(X),
    "vmap": lambda: jax.vmap(first)(X),
    "jit vmap": lambda: jax.jit(jax.vmap(first))(X),
    "vmap of another": lambda: jax.vmap(lambda z: first(X) + z)(X),
    "jvp": lambda: jax.jvp(first, (X,), (X,)),
    "grad": lambda: jax.grad(lambda x: first(x).sum())(X),
    "jit grad": lambda: jax.jit(jax.grad(lambda x: first(x).sum()))(X),
    "vmap grad": lambda: jax.vmap(jax.grad(first))(X),
    "hessian": lambda: jax.jacfwd(jax.jacrev(lambda x: first(x) ** 2))(X),
    "scan": lambda: jax.lax.scan(lambda c, _: (first(c), None), X, None, 2)[0],
    "eval_shape": lambda: jax.eval_shape(first, X),
    "abstract_fn, eager": lambda: eqxi.noinline(jnp.sin, abstract_fn=lambda _, x: x)(X),
    "abstract_fn, jit": lambda: jax.jit(eqxi.noinline(jnp.sin, abstract_fn=lambda _, x: x))(X),
    "abstract_fn by position": lambda: eqxi.noinline(jnp.sin, lambda _, x: x)(X),
    "exchanged under jit": lambda: exchanged(jax.jit, jnp.sin, jnp.cos, jnp.sin),
    "exchanged under filter_jit": lambda: exchanged(eqx.filter_jit, jnp.sin, jnp.cos, jnp.sin),
    "exchanged modules": lambda: exchanged(jax.jit, Scaled(X), Scaled(X + 1)),
    "static outputs, jit": lambda: jax.jit(lambda x: N(x)[0])(X),
    "finalised": lambda: str(jax.make_jaxpr(eqxi.finalise_fn(first))(X)),
    "is a PyTree": lambda: eqx.filter(eqxi.noinline(Scaled(X)), eqx.is_inexact_array) is not None,
    "of no function": lambda: eqxi.noinline(3)(X),
}


@over(CALLS)
def case_call(call):
    return call()
