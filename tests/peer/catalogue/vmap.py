"""`filter_vmap`."""

import functools as ft
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
M2 = jnp.arange(6.0).reshape(3, 2)
VM = eqx.filter_vmap


def f(x, y=None):
    return x * 2


class A(eqx.Module):
    """A Module with batched methods."""

    w: Any

    @eqx.filter_vmap
    def g(self, x):
        return self.w * x

    @eqx.filter_vmap(in_axes=(None, 0))
    def h(self, x):
        return self.w * x

    def m(self, x):
        return self.w * x


CALLS = {
    "basic": lambda: VM(f)(V),
    "nonarray broadcast": lambda: VM(lambda x, n, s: (x * n, n, s))(V, 3, "a"),
    "out nonarray": lambda: VM(lambda x: (x, "a", 3, None, max))(V),
    "scalar array arg": lambda: VM(lambda x, y: x * y)(V, X),
    "np": lambda: VM(lambda x, y: x * y)(V, np.arange(3.0)),
    "module arg": lambda: VM(lambda m, x: m(x))(M(V), V),
    "module fn": lambda: VM(M(X))(V),
    "module fn batched leaf": lambda: VM(M(V))(V),
    "module fn in_axes fn": lambda: VM(M(V), in_axes={"fn": 0})(V),
    "in_axes int": lambda: VM(f, in_axes=1)(M2),
    "in_axes tuple": lambda: VM(lambda x, y: x * y, in_axes=(0, None))(V, V),
    "in_axes short tuple": lambda: VM(lambda x, y: x * y, in_axes=(0,))(V, V),
    "in_axes long tuple": lambda: VM(lambda x: x, in_axes=(0, 0))(V),
    "in_axes None": lambda: VM(lambda x: x, in_axes=None)(V),
    "in_axes None axis_size": lambda: VM(lambda x: x, in_axes=None, axis_size=2)(V),
    "in_axes dict": lambda: VM(lambda x, y: x * y, in_axes={"x": 0, "y": None})(V, V),
    "in_axes dict partial": lambda: VM(lambda x, y: x * y, in_axes={"y": None})(V, V),
    "in_axes dict kwargs": lambda: VM(lambda x, *, y: x * y, in_axes={"y": None})(V, y=V),
    "in_axes dict unknown": lambda: VM(lambda x: x, in_axes={"z": 0})(V),
    "in_axes dict kw var": lambda: VM(lambda x, **k: x * k["y"], in_axes={"y": None})(V, y=V),
    "in_axes kwargs name": lambda: VM(lambda x, **k: x * k["y"], in_axes={"k": None})(V, y=V),
    "in_axes args": lambda: VM(lambda x, *a: x * a[0], in_axes={"a": None})(V, V),
    "in_axes args tuple": lambda: VM(lambda x, *a: x * a[0], in_axes={"a": (None,)})(V, V),
    "kwargs default": lambda: VM(lambda x, *, y: x * y)(V, y=V),
    "default arg": lambda: VM(lambda x, y=3: x * y)(V),
    "default arg array": lambda: VM(lambda x, y=V: (x * y).shape)(V),
    "in_axes fn": lambda: VM(lambda x, y: x * y, in_axes=eqx.if_array(0))(V, 3),
    "in_axes fn if_array1": lambda: VM(lambda x, y: x, in_axes=eqx.if_array(1))(M2, 3),
    "if_array repr": lambda: (
        repr(eqx.if_array(1)),
        eqx.if_array(1) == eqx.if_array(1),
        eqx.if_array(1)(V),
        eqx.if_array(1)("a"),
        eqx.if_array(1)(X),
        eqx.if_array(axis=0).axis,
    ),
    "in_axes fn custom": lambda: VM(lambda x, y: x * y, in_axes=(0, lambda leaf: None))(V, V),
    "in_axes prefix": lambda: VM(lambda d: d["a"] * d["b"].sum(), in_axes=({"a": 0, "b": None},))(
        {"a": V, "b": V}
    ),
    "in_axes module prefix": lambda: VM(lambda m, x: m(x), in_axes=(M(0), None))(M(V), V),
    "in_axes negative": lambda: VM(f, in_axes=-1)(M2),
    "in_axes 0 to nonarray": lambda: VM(lambda x, n: x, in_axes=(0, 0))(V, 3),
    "in_axes 0 to str": lambda: VM(lambda x, n: x, in_axes=(0, 0))(V, "a"),
    "in_axes 0 on scalar": lambda: VM(lambda x, n: x, in_axes=(0, 0))(V, X),
    "in_axes bad type": lambda: VM(f, in_axes="a")(V),
    "in_axes float": lambda: VM(f, in_axes=1.0)(V),
    "in_axes True": lambda: VM(f, in_axes=True)(M2),
    "mismatch sizes": lambda: VM(lambda x, y: x, in_axes=(0, 0))(V, jnp.arange(2.0)),
    "out_axes 1": lambda: VM(lambda x: x, out_axes=1)(M2),
    "out_axes -1": lambda: VM(lambda x: x, out_axes=-1)(M2),
    "out_axes None": lambda: VM(lambda x: 1 + X, out_axes=None)(V),
    "out_axes None batched": lambda: VM(lambda x: x, out_axes=None)(V),
    "out_axes tuple": lambda: VM(lambda x: (x, X), out_axes=(0, None))(V),
    "out_axes fn": lambda: VM(lambda x: (x, "a"), out_axes=eqx.if_array(0))(M2),
    "out_axes 0 nonarray": lambda: VM(lambda x: (x, "a"), out_axes=0)(V),
    "out_axes 0 float": lambda: VM(lambda x: (x, 3), out_axes=0)(V),
    "out_axes prefix": lambda: VM(lambda x: {"a": x, "b": x}, out_axes={"a": 0, "b": 1})(M2),
    "out_axes bad": lambda: VM(lambda x: x, out_axes=(0, 0))(V),
    "unbatched out": lambda: VM(lambda x: X)(V),
    "axis_name": lambda: VM(lambda x: jax.lax.psum(x, "i"), axis_name="i")(V),
    "axis_size": VM(lambda: jnp.array(1.0), axis_size=3),
    "axis_size wrong": lambda: VM(f, axis_size=2)(V),
    "no batch": VM(lambda: jnp.array(1.0)),
    "spmd": lambda: VM(f, spmd_axis_name=None)(V),
    "unknown kw": lambda: VM(f, foo=1),
    "decorator": lambda: VM(in_axes=1)(f)(M2),
    "ensemble use": lambda: (
        VM(lambda m, x: m(x), in_axes=(0, None))(
            VM(lambda k: eqx.nn.Linear(2, 3, key=k))(jax.random.split(jax.random.key(0), 4)),
            jnp.ones(2),
        ).shape
    ),
    "keys": lambda: VM(jax.random.normal)(jax.random.split(jax.random.key(0), 2)),
    "jit": lambda: eqx.filter_jit(VM(f))(V),
    "grad": lambda: eqx.filter_grad(lambda m: VM(m)(V).sum())(M(X)),
    "nested": lambda: VM(VM(f))(M2),
    "3": lambda: VM(3),
    "None arg": lambda: VM(lambda x, y: x)(V, None),
    "axes None on None": lambda: VM(lambda x, y: x, in_axes=(0, 0))(V, None),
    "0d out with out_axes": lambda: VM(lambda x: x, out_axes=2)(M2),
    "in axes oob": lambda: VM(f, in_axes=3)(M2),
    "list in_axes": lambda: VM(lambda x, y: x * y, in_axes=[0, None])(V, V),
    "tuple1 with default": lambda: VM(f, in_axes=(0,))(V),
    "tuple2 with default": lambda: VM(f, in_axes=(0, None))(V),
    "dict default": lambda: VM(lambda x, y=V: (x * y).shape, in_axes={"y": 0})(V),
    "fn tuple default": lambda: VM(lambda x, y=V: (x * y).shape, in_axes=(0, 0))(V),
    "fn int default": lambda: VM(lambda x, y=V: (x * y).shape, in_axes=0)(V),
    "kwonly default": lambda: VM(lambda x, *, y=V: (x * y).shape)(V),
    "kwonly default dict": lambda: VM(lambda x, *, y=V: (x * y).shape, in_axes={"y": 0})(V),
    "partial fn": lambda: VM(ft.partial(lambda y, x: x * y, 3.0))(V),
    "eqx partial": lambda: VM(eqx.Partial(lambda y, x: (x * y).shape, V))(V),
    "dict self": lambda: VM(M(V), in_axes={"self": 0})(V),
    "builtin": lambda: VM(jnp.sin)(V),
    "builtin max": lambda: VM(max)(V, V),
    "out_axes dict": lambda: VM(lambda x: {"a": x}, out_axes={"a": 0})(V),
    "in_axes empty dict": lambda: VM(f, in_axes={})(V),
    "in dict None for str": lambda: VM(lambda x, s: x, in_axes={"s": None})(V, "a"),
    "method": lambda: A(V).g(V),
    "method with axes": lambda: A(V).h(V),
    "bound method": lambda: VM(A(X).m)(V),
    "bound method of a batch": lambda: VM(A(V).m)(V),
    "ensemble": lambda: VM(lambda k: eqx.nn.Linear(2, 3, key=k))(
        jax.random.split(jax.random.key(0), 4)
    ),
}


@over(CALLS)
@rounded
def case_call(call):
    return call()
