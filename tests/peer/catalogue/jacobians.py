"""`filter_jacfwd`, `filter_jacrev` and `filter_hessian`."""

from typing import Any

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


def F(x):  # noqa: N802
    return {"s": jnp.sin(x), "p": x[0] * x}


CALLS = {
    "vec": lambda J: J(F)(V),
    "module": lambda J: J(lambda m, x: m(x))(M(V), V),
    "mixed": lambda J: J(lambda d: d["a"] * d["n"])({"a": V, "n": 3, "s": "t"}),
    "intarr": lambda J: J(lambda d: d["a"] * d["n"])({"a": V, "n": jnp.array(3)}),
    "aux": lambda J: J(lambda x: (x * 2, "aux", x), has_aux=True)(V),
    "aux2": lambda J: J(lambda x: (x * 2, ("aux", x)), has_aux=True)(V),
    "out nonarray": lambda J: J(lambda x: (x * 2, "a"))(V),
    "out intarr": lambda J: J(lambda x: (x * 2, jnp.array(1)))(V),
    "kwargs": lambda J: J(lambda x, y: x * y)(V, y=3.0),
    "kwonly": lambda J: J(lambda x: x)(x=V),
    "noargs": lambda J: J(lambda: V)(),
    "complex": lambda J: J(lambda x: x * x)(V + 0j),
    "numpy": lambda J: J(lambda x: x * x)(np.arange(2.0)),
    "float": lambda J: J(lambda x: x * x)(2.0),
    "intonly": lambda J: J(lambda x: x * x)(jnp.arange(2)),
    "decorator": lambda J: J(has_aux=True)(lambda x: (x, 1))(V),
    "unknown kw": lambda J: J(F, argnums=0)(V),
    "extra kw": lambda J: J(F, holomorphic=True)(V),
    "scalar fn": lambda J: J(lambda x: (x**2).sum())(V),
    "empty": lambda J: J(lambda x: x)(()),
    "under jit": lambda J: eqx.filter_jit(J(F))(V),
    "f16": lambda J: J(lambda x: x * x)(V.astype(jnp.float16)),
    "two args": lambda J: J(lambda x, y: x * y)(V, V),
    "function is a Module": lambda J: J(M(V))(V),
}


@over(CALLS)
@rounded
def case_jacfwd(call):
    return call(eqx.filter_jacfwd)


@over(CALLS)
@rounded
def case_jacrev(call):
    return call(eqx.filter_jacrev)


@over(CALLS)
@rounded
def case_hessian(call):
    return call(eqx.filter_hessian)
