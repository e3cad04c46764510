"""`filter_eval_shape`, `cached_filter_eval_shape`, `filter_make_jaxpr` and callbacks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi


class M(eqx.Module):
    """A Module with a leaf and a static field."""

    a: Any
    b: Any = eqx.field(static=True, default=0)

    def __call__(self, x):
        return self.a * x

    def meth(self, x):
        return self.a + x


X, Y, V = jnp.array(2.0), jnp.array(3.0), jnp.arange(3.0)
E = eqx.filter_eval_shape
P = eqx.filter_pure_callback
st = jax.ShapeDtypeStruct((), jnp.float32)


def cb(x, s, n=3):
    return np.asarray(x) * 2


EVAL_SHAPE = {
    "basic": lambda: E(lambda x, n: (x * n, n, "s", None), X, 3),
    "module": lambda: E(M, X),
    "mlp": lambda: E(eqx.nn.Linear, 2, 3, key=jax.random.key(0)),
    "struct": lambda: E(lambda x: x * 2, jax.ShapeDtypeStruct((3,), jnp.float32)),
    "fn module": lambda: E(M(X), V),
    "np": lambda: E(lambda x: x, np.ones(2)),
    "py": lambda: E(lambda x: (x, type(x).__name__), 2.0),
    "kw": lambda: E(lambda *, k: k, k=V),
    "weak": lambda: E(lambda x: x, jnp.asarray(2.0)),
    "3": lambda: E(3, X),
    "out fn": lambda: E(lambda x: lambda: x, X),
    "closure": lambda: E(lambda: V),
    "key": lambda: E(lambda: jax.random.key(0)),
    "in module struct": lambda: E(
        lambda m: m(jnp.ones(3)), M(jax.ShapeDtypeStruct((3,), jnp.float32))
    ),
}
CALLBACK = {
    "basic": lambda: P(cb, X, "a", result_shape_dtypes=st),
    "jit": lambda: eqx.filter_jit(lambda x: P(cb, x, "a", n=4, result_shape_dtypes=st))(X),
    "tree": lambda: P(lambda d: (d["a"], "s"), {"a": X, "b": "t"}, result_shape_dtypes=(st, "s")),
    "tree2": lambda: P(
        lambda d: (np.float32(3.0), "other"), {"a": X, "b": "t"}, result_shape_dtypes=(st, "s")
    ),
    "module": lambda: P(lambda m: m, M(X), result_shape_dtypes=M(st)),
    "array as result shape": lambda: P(cb, X, "a", result_shape_dtypes=X),
    "vmap": lambda: jax.vmap(lambda x: P(cb, x, "a", result_shape_dtypes=st))(V),
    "vmap seq": lambda: jax.vmap(
        lambda x: P(cb, x, "a", result_shape_dtypes=st, vmap_method="sequential")
    )(V),
    "vmap expand": lambda: jax.vmap(
        lambda x: P(cb, x, "a", result_shape_dtypes=st, vmap_method="expand_dims")
    )(V),
    "vectorized": lambda: P(cb, X, "a", result_shape_dtypes=st, vectorized=True),
    "vectorized vmap": lambda: jax.vmap(
        lambda x: P(cb, x, "a", result_shape_dtypes=st, vectorized=True)
    )(V),
    "vectorized F vmap": lambda: jax.vmap(
        lambda x: P(cb, x, "a", result_shape_dtypes=st, vectorized=False)
    )(V),
    "both": lambda: P(
        cb, X, "a", result_shape_dtypes=st, vectorized=True, vmap_method="sequential"
    ),
    "wrong shape": lambda: P(lambda x: np.ones(2, np.float32), X, result_shape_dtypes=st),
    "wrong dtype": lambda: P(lambda x: np.ones((), np.int32), X, result_shape_dtypes=st),
    "wrong struct": lambda: P(lambda x: (np.ones((), np.float32),) * 2, X, result_shape_dtypes=st),
    "missing": lambda: P(cb, X, "a"),
    "None": lambda: P(lambda x: None, X, result_shape_dtypes=None),
    "grad": lambda: jax.grad(lambda x: P(cb, x, "a", result_shape_dtypes=st))(X),
    "sharding": lambda: P(cb, X, "a", result_shape_dtypes=st, sharding=None),
}
JAXPR = {
    "numbers": lambda: eqx.filter_make_jaxpr(lambda x, n: (x * n, n, "s"))(X, 3),
    "module": lambda: eqx.filter_make_jaxpr(M(X))(Y),
    "struct": lambda: eqx.filter_make_jaxpr(lambda x: x * 2)(jax.ShapeDtypeStruct((3,), int)),
    "keyword": lambda: eqx.filter_make_jaxpr(lambda *, k: k * 2)(k=V),
    "python float": lambda: eqx.filter_make_jaxpr(lambda x: x * 2)(2.0),
    "closure": lambda: eqx.filter_make_jaxpr(lambda x: x * V)(X),
}


@over(EVAL_SHAPE)
def case_eval_shape(call):
    return call()


@over(CALLBACK)
def case_callback(call):
    return call()


@over(JAXPR)
def case_make_jaxpr(call):
    jaxpr, struct, static = call()
    return str(jaxpr), struct, static


def case_cached():
    runs = []

    def function(x, s):
        runs.append(s)
        return x * 2, s

    for x, s in [(X, "a"), (Y, "a"), (X, "b"), (V, "b"), (st, "b")]:
        eqxi.cached_filter_eval_shape(function, x, s)
    return runs


def case_cached_value():
    return eqxi.cached_filter_eval_shape(lambda x, n: (x * n, n, "s", None), X, 3)


def case_cached_without_hash():
    return eqxi.cached_filter_eval_shape(lambda x, s: x, X, [1, {2}])
