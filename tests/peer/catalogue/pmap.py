"""`filter_pmap`, on four devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over

import equinox as eqx


class M(eqx.Module):
    """A Module with a leaf and a static field."""

    a: Any
    b: Any = eqx.field(static=True, default=0)

    def __call__(self, x):
        return self.a * x

    def meth(self, x):
        return self.a + x


class A(eqx.Module):
    """A Module with a method that runs on several devices."""

    w: Any

    @eqx.filter_pmap(in_axes=(None, 0))
    def h(self, x):
        return self.w * x


X, V = jnp.array(2.0), jnp.arange(4.0)
M2 = jnp.arange(8.0).reshape(4, 2)
PM = eqx.filter_pmap


def f(x, y=None):
    return x * 2


def new(array=M2):
    return array + 0


def keys():
    return jax.random.split(jax.random.key(0), 4)


CALLS = {
    "basic": lambda: PM(f)(V),
    "two of four": lambda: PM(f)(V[:2]),
    "matrix": lambda: PM(f)(M2),
    "devices of the result": lambda: sorted(d.id for d in PM(f)(M2).sharding.device_set),
    "spread": lambda: len(PM(f)(M2).addressable_shards),
    "psum": lambda: PM(lambda x: jax.lax.psum(x, "i"), axis_name="i")(V),
    "pmean": lambda: PM(lambda x: jax.lax.pmean(x, "i"), axis_name="i")(M2),
    "axis_index": lambda: PM(lambda x: jax.lax.axis_index("i"), axis_name="i")(V),
    "all_gather": lambda: PM(lambda x: jax.lax.all_gather(x, "i"), axis_name="i")(V),
    "ppermute": lambda: PM(
        lambda x: jax.lax.ppermute(x, "i", [(0, 1), (1, 2), (2, 3), (3, 0)]), axis_name="i"
    )(V),
    "axis_name is a number": lambda: PM(lambda x: jax.lax.psum(x, 3), axis_name=3)(V),
    "not an array": lambda: PM(lambda x, n: (x * n, n))(V, 3),
    "text": lambda: PM(lambda x, s: x)(V, "a"),
    "static output": lambda: PM(lambda x: (x, 3, "a", None, max))(V),
    "array the same for all": lambda: PM(lambda x, y: x * y, in_axes=(0, None))(V, X),
    "numpy": lambda: PM(f)(np.arange(4.0)),
    "integers": lambda: PM(f)(jnp.arange(4)),
    "complex": lambda: PM(f)(V + 1j),
    "bfloat16": lambda: PM(f)(V.astype(jnp.bfloat16)),
    "bool": lambda: PM(lambda x: ~x)(V > 1),
    "typed keys": lambda: PM(lambda k: jax.random.bits(k))(keys()),
    "typed keys out": lambda: PM(lambda k: jax.random.key_data(k))(keys()),
    "dict": lambda: PM(lambda d: d["a"] * d["b"])({"a": V, "b": V}),
    "module as argument": lambda: PM(lambda m, x: m(x))(M(V), V),
    "module as function": lambda: PM(M(X))(V),
    "bound method": lambda: PM(M(X).meth)(V),
    "method": lambda: A(X).h(V),
    "layer": lambda: PM(eqx.nn.Linear(2, 2, key=jax.random.key(0)))(M2).shape,
    "ensemble": lambda: PM(lambda k: eqx.nn.Linear(2, 3, key=k))(keys()).weight.shape,
    "in_axes int": lambda: PM(f, in_axes=1)(M2.T),
    "in_axes tuple": lambda: PM(lambda x, y: x * y, in_axes=(0, 1))(M2, M2.T),
    "in_axes None axis_size": lambda: PM(lambda x: x, in_axes=None, axis_size=2)(V),
    "in_axes dict": lambda: PM(lambda x, y: x * y, in_axes={"x": 0, "y": None})(V, V),
    "in_axes dict partial": lambda: PM(lambda x, y: x * y, in_axes={"y": None})(V, V),
    "in_axes dict unknown": lambda: PM(lambda x: x, in_axes={"z": 0})(V),
    "in_axes function": lambda: PM(lambda x, y: x * y, in_axes=eqx.if_array(0))(V, 3),
    "in_axes prefix": lambda: PM(lambda m, x: m(x), in_axes=(M(0), None))(M(V), V),
    "in_axes short": lambda: PM(lambda x, y: x, in_axes=(0,))(V, V),
    "in_axes bad": lambda: PM(f, in_axes="a")(V),
    "in_axes on text": lambda: PM(lambda x, s: x, in_axes=(0, 0))(V, "a"),
    "in_axes on a scalar": lambda: PM(lambda x, y: x, in_axes=(0, 0))(V, X),
    "sizes differ": lambda: PM(lambda x, y: x)(V, V[:2]),
    "too many": lambda: PM(f)(jnp.zeros((8, 2))),
    "as many as no devices": lambda: PM(f)(jnp.zeros((5, 2))),
    "out_axes 1": lambda: PM(lambda x: x, out_axes=1)(M2),
    "out_axes -1": lambda: PM(lambda x: x, out_axes=-1)(M2),
    "out_axes None": lambda: PM(lambda x: X, out_axes=None)(V),
    "out_axes None of psum": lambda: PM(
        lambda x: jax.lax.psum(x, "i"), axis_name="i", out_axes=None
    )(V),
    "out_axes tuple": lambda: PM(lambda x: (x, X), out_axes=(0, None))(V),
    "out_axes dict": lambda: PM(lambda x: {"a": x, "b": x}, out_axes={"a": 0, "b": 1})(M2),
    "out_axes bad": lambda: PM(lambda x: x, out_axes=(0, 0))(V),
    "axis_size": lambda: PM(lambda: jax.lax.axis_index("i"), axis_name="i", axis_size=4)(),
    "axis_size wrong": lambda: PM(f, axis_size=2)(V),
    "nothing has an axis": lambda: PM(lambda: 1)(),
    "default": lambda: PM(lambda x, y=3: x * y)(V),
    "default and one axis": lambda: PM(f, in_axes=(0,))(V),
    "default array": lambda: PM(lambda x, y=V: (x * y).shape)(V),
    "keyword": lambda: PM(lambda x, y: x * y)(V, y=V),
    "donate all": lambda: PM(f, donate="all")(new()),
    "donate all deletes": lambda: (x := new(), PM(f, donate="all")(x), x.is_deleted())[-1],
    "donate warn": lambda: PM(f, donate="warn")(new()),
    "donate none": lambda: (x := new(), PM(f, donate="none")(x), x.is_deleted())[-1],
    "donate unknown": lambda: PM(f, donate="foo"),
    "donate all-except-first": lambda: PM(f, donate="all-except-first")(new()),
    "devices": lambda: sorted(
        d.id for d in PM(f, devices=jax.devices()[2:])(V[:2]).sharding.device_set
    ),
    "devices a tuple": lambda: PM(f, devices=tuple(jax.devices()))(V),
    "backend": lambda: PM(f, backend="cpu")(V),
    "unknown keyword": lambda: PM(f, foo=1)(V),
    "static_broadcasted_argnums": lambda: PM(f, static_broadcasted_argnums=1)(V, 3),
    "donate_argnums": lambda: PM(f, donate_argnums=0)(V),
    "decorator": lambda: PM(in_axes=1)(f)(M2.T),
    "no function": lambda: PM(3),
    "inside jit": lambda: eqx.filter_jit(PM(f))(V),
    "gradient": lambda: jax.grad(lambda x: PM(f)(x).sum())(V),
    "gradient inside": lambda: PM(eqx.filter_grad(lambda m, x: m(x)), in_axes=(None, 0))(M(X), V),
    "vmap outside": lambda: jax.vmap(PM(f), in_axes=1)(M2),
    "vmap inside": lambda: PM(eqx.filter_vmap(f))(M2),
    "lower and compile": lambda: PM(f).lower(V).compile()(V),
    "name": lambda: PM(f).__name__,
}


@over(CALLS)
def case_call(call):
    return call()


def case_traces_once():
    count = [0]

    def g(x, s):
        count[0] += 1
        return x

    PM(g)(V, "a")
    first = count[0]
    PM(g)(V, "a")
    return count[0] == first


def case_traces_again_for_a_static_value():
    count = [0]

    def g(x, s):
        count[0] += 1
        return x

    run = PM(g)
    run(V, "a")
    first = count[0]
    run(V, "b")
    return count[0] > first
