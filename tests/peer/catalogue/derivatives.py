"""`filter_jvp` and `filter_vjp`."""

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


def run(f, *primals, ct=X, **options):
    """The output, the cotangents, and what else there is."""
    out = eqx.filter_vjp(f, *primals, **options)
    return (out[0], out[1](ct), *out[2:])


JVP = {
    "simple": lambda: eqx.filter_jvp(lambda x, y: x * y, (X, Y), (X, X)),
    "None tangent": lambda: eqx.filter_jvp(lambda x, y: x * y, (X, Y), (X, None)),
    "int primal None": lambda: eqx.filter_jvp(lambda x, y: x * y, (X, 3), (X, None)),
    "int primal tangent": lambda: eqx.filter_jvp(lambda x, y: x * y, (X, 3), (X, 1)),
    "float primal, array tangent": lambda: eqx.filter_jvp(lambda x: x * 2, (2.0,), (X,)),
    "float primal, float tangent": lambda: eqx.filter_jvp(lambda x: x * 2, (2.0,), (1.0,)),
    "int array None": lambda: eqx.filter_jvp(lambda x, y: x * y, (X, jnp.array(3)), (X, None)),
    "int array float0": lambda: eqx.filter_jvp(
        lambda x, y: x * y, (X, jnp.array(3)), (X, np.zeros((), jax.dtypes.float0))
    ),
    "int array int tangent": lambda: eqx.filter_jvp(
        lambda x, y: x * y, (X, jnp.array(3)), (X, jnp.array(1))
    ),
    "kwargs": lambda: eqx.filter_jvp(lambda x, y: x * y, (X,), (X,), y=Y),
    "module": lambda: eqx.filter_jvp(lambda m, x: m(x), (M(X), Y), (M(Y), None)),
    "module as fn": lambda: eqx.filter_jvp(M(X), (Y,), (X,)),
    "out nonarray": lambda: eqx.filter_jvp(lambda x: (x, "a", 3, None), (X,), (X,)),
    "out int array": lambda: eqx.filter_jvp(lambda x: (x, jnp.array(3)), (X,), (X,)),
    "out all none tangent": lambda: eqx.filter_jvp(lambda x, y: (x, y), (X, Y), (X, None)),
    "all none": lambda: eqx.filter_jvp(lambda x, y: (x, y), (X, Y), (None, None)),
    "struct mismatch": lambda: eqx.filter_jvp(lambda x: x, (X,), (X, X)),
    "struct mismatch2": lambda: eqx.filter_jvp(lambda x: x, ((X, X),), ((X,),)),
    "list primals": lambda: eqx.filter_jvp(lambda x: x, [X], [X]),
    "tuple/list": lambda: eqx.filter_jvp(lambda x: x, (X,), [X]),
    "primals array": lambda: eqx.filter_jvp(lambda x: x, X, X),
    "shape mismatch": lambda: eqx.filter_jvp(lambda x: x, (V,), (X,)),
    "dtype mismatch": lambda: eqx.filter_jvp(lambda x: x, (X,), (X.astype(jnp.float16),)),
    "complex": lambda: eqx.filter_jvp(lambda x: x * x, (jnp.array(1j),), (jnp.array(1.0 + 0j),)),
    "numpy": lambda: eqx.filter_jvp(lambda x: x * x, (np.array(1.0),), (np.array(1.0),)),
    "str primal": lambda: eqx.filter_jvp(lambda x, s: x, (X, "a"), (X, None)),
    "str primal tangent": lambda: eqx.filter_jvp(lambda x, s: x, (X, "a"), (X, "a")),
    "None subtree": lambda: eqx.filter_jvp(
        lambda d: d["a"] * d["b"][0], ({"a": X, "b": [Y]},), ({"a": X, "b": None},)
    ),
    "has_aux": lambda: eqx.filter_jvp(lambda x: (x, 1), (X,), (X,), has_aux=True),
    "fn none": lambda: eqx.filter_jvp(3, (X,), (X,)),
    "empty": lambda: eqx.filter_jvp(lambda: X, (), ()),
    "under jit": lambda: eqx.filter_jit(
        lambda x: eqx.filter_jvp(lambda x, y: x * y, (x, 3), (x, None))
    )(X),
    "sym zero": lambda: eqx.filter_jvp(lambda x, y: (x + 1, y + 1), (X, Y), (X, None)),
    "const out": lambda: eqx.filter_jvp(lambda x: (x, jnp.array(4.0)), (X,), (X,)),
}
VJP = {
    "simple": lambda: run(lambda x, y: x * y, X, Y),
    "nonarray": lambda: run(lambda x, y, s: x * y, X, 3, "a"),
    "int array": lambda: run(lambda x, y: x * y, X, jnp.array(3)),
    "float": lambda: run(lambda x, y: x * y, X, 3.0),
    "numpy": lambda: run(lambda x, y: x * y, X, np.array(3.0)),
    "module": lambda: run(lambda m, x: m(x), M(X), Y),
    "aux": lambda: run(lambda x: (x * 2, ("a", x)), X, has_aux=True),
    "out nonarray": lambda: run(lambda x: (x, "a", 3), X, ct=(X, None, None)),
    "out nonarray ct str": lambda: run(lambda x: (x, "a", 3), X, ct=(X, "a", 3)),
    "out None ct": lambda: run(lambda x: (x, x * 2), X, ct=(X, None)),
    "out int array None ct": lambda: run(lambda x: (x, jnp.array(2)), X, ct=(X, None)),
    "out int array float0": lambda: run(
        lambda x: (x, jnp.array(2)), X, ct=(X, np.zeros((), jax.dtypes.float0))
    ),
    "ct all None": lambda: run(lambda x: x, X, ct=None),
    "ct wrong struct": lambda: run(lambda x: x, X, ct=(X, X)),
    "ct wrong shape": lambda: run(lambda x: x, X, ct=V),
    "ct wrong dtype": lambda: run(lambda x: x, X, ct=jnp.array(1)),
    "ct float": lambda: run(lambda x: x, X, ct=1.0),
    "complex": lambda: run(lambda x: x * x, jnp.array(1j), ct=jnp.array(1 + 0j)),
    "kwargs": lambda: eqx.filter_vjp(lambda x, y: x * y, X, y=Y),
    "vjp fn jit": lambda: eqx.filter_jit(lambda f, c: f(c))(eqx.filter_vjp(jnp.sin, X)[1], X),
    "vjp fn two args": lambda: eqx.filter_vjp(lambda x: x, X)[1](X, X),
    "no primals": lambda: run(lambda: X),
    "fn Module": lambda: run(M(X), Y),
    "fn 3": lambda: run(3, Y),
    "float0 shape": lambda: eqx.filter_jvp(
        lambda x, y: x * y, (X, jnp.array(3)), (X, np.zeros((2,), jax.dtypes.float0))
    ),
}


@over(JVP)
@rounded
def case_jvp(call):
    return call()


@over(VJP)
@rounded
def case_vjp(call):
    return call()
