"""`filter_shard`, inside a compiled function and outside one, on four devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P
from marks import over

import equinox as eqx


class M(eqx.Module):
    """A Module with arrays, a function and a static field."""

    a: Any
    b: Any = None
    f: Any = jnp.tanh
    s: Any = eqx.field(static=True, default="s")


V, M2 = jnp.arange(8.0), jnp.arange(32.0).reshape(8, 4)


def mesh(kind=AxisType.Auto):
    return jax.make_mesh((4,), ("d",), axis_types=(kind,))


def split(kind=AxisType.Auto):
    return NamedSharding(mesh(kind), P("d"))


def whole(kind=AxisType.Auto):
    return NamedSharding(mesh(kind), P())


def place(x):
    """The shape of the part of each device, by the device."""
    if isinstance(x, jax.Array):
        return sorted((shard.device.id, shard.data.shape) for shard in x.addressable_shards)
    return x


def places(tree):
    return jax.tree.map(place, tree)


def second():
    return jax.devices()[1]


OUTSIDE = {
    "array": lambda: places(eqx.filter_shard(V, split())),
    "values": lambda: eqx.filter_shard(V, split()),
    "array to a device": lambda: places(eqx.filter_shard(V, second())),
    "array to one device's sharding": lambda: places(
        eqx.filter_shard(V, SingleDeviceSharding(second()))
    ),
    "whole on each": lambda: places(eqx.filter_shard(V, whole())),
    "numpy": lambda: places(eqx.filter_shard(np.arange(8.0), split())),
    "numpy's type": lambda: type(eqx.filter_shard(np.arange(8.0), split())).__name__,
    "numpy scalar": lambda: eqx.filter_shard(np.float32(1.0), whole()),
    "float": lambda: eqx.filter_shard(1.0, whole()),
    "text": lambda: eqx.filter_shard("a", split()),
    "function": lambda: eqx.filter_shard(jnp.sin, split()) is jnp.sin,
    "None": lambda: eqx.filter_shard(None, split()),
    "empty": lambda: eqx.filter_shard((), split()),
    "tuple": lambda: places(eqx.filter_shard((V, 3, "a", None), split())),
    "dict": lambda: places(eqx.filter_shard({"a": V, "b": M2}, split())),
    "module": lambda: places(eqx.filter_shard(M(V, M2), split())),
    "static field stays": lambda: eqx.filter_shard(M(V), split()).s,
    "layer": lambda: places(
        eqx.filter_shard(eqx.nn.Linear(4, 8, key=jax.random.key(0)), split()).weight
    ),
    "prefix": lambda: places(eqx.filter_shard((V, M2), (split(), whole()))),
    "prefix of a tree": lambda: places(eqx.filter_shard(({"a": V}, M2), (split(), whole()))),
    "prefix too long": lambda: eqx.filter_shard((V,), (split(), whole())),
    "prefix of another kind": lambda: eqx.filter_shard((V, V), [split(), whole()]),
    "module of shardings": lambda: places(eqx.filter_shard(M(V, M2), M(split(), whole(), None))),
    "integers": lambda: places(eqx.filter_shard(jnp.arange(8), split())),
    "bool": lambda: places(eqx.filter_shard(V > 3, split())),
    "complex": lambda: places(eqx.filter_shard(V + 1j, split())),
    "bfloat16": lambda: places(eqx.filter_shard(V.astype(jnp.bfloat16), split())),
    "typed keys": lambda: eqx.filter_shard(jax.random.split(jax.random.key(0), 4), split()).shape,
    "second axis": lambda: places(eqx.filter_shard(M2, NamedSharding(mesh(), P(None, "d")))),
    "two axes": lambda: places(
        eqx.filter_shard(M2, NamedSharding(jax.make_mesh((2, 2), ("a", "b")), P("a", "b")))
    ),
    "not divisible": lambda: eqx.filter_shard(jnp.arange(7.0), split()),
    "too few axes": lambda: eqx.filter_shard(jnp.array(1.0), split()),
    "not a sharding": lambda: eqx.filter_shard(V, "a"),
    "a number for a sharding": lambda: eqx.filter_shard(V, 3),
    "a spec without a mesh": lambda: eqx.filter_shard(V, P("d")),
    "nothing": lambda: eqx.filter_shard(V),
    "by keyword": lambda: places(eqx.filter_shard(x=V, device_or_shardings=split())),
    "unknown keyword": lambda: eqx.filter_shard(V, split(), foo=1),
    "again": lambda: places(eqx.filter_shard(eqx.filter_shard(V, split()), whole())),
    "explicit axes": lambda: places(eqx.filter_shard(V, split(AxisType.Explicit))),
    "explicit axes, module": lambda: places(eqx.filter_shard(M(V), split(AxisType.Explicit))),
}


@over(OUTSIDE)
def case_outside_jit(call):
    return call()


def inside(tree, shardings):
    return eqx.filter_jit(lambda tree: eqx.filter_shard(tree, shardings))(tree)


INSIDE = {
    "array": lambda: places(inside(V, split())),
    "values": lambda: inside(V, split()),
    "whole on each": lambda: places(inside(V, whole())),
    "module": lambda: places(inside(M(V, M2), split())),
    "prefix": lambda: places(inside((V, M2), (split(), whole()))),
    "text": lambda: inside((V, "a"), split())[1],
    "numpy inside": lambda: places(
        eqx.filter_jit(lambda: eqx.filter_shard(np.arange(8.0), split()))()
    ),
    "of a sum": lambda: places(eqx.filter_jit(lambda x: eqx.filter_shard(x + 1, split()))(V)),
    "in plain jit": lambda: places(jax.jit(lambda x: eqx.filter_shard(x, split()))(V)),
    "a device": lambda: places(inside(V, second())),
    "not divisible": lambda: inside(jnp.arange(7.0), split()),
    "not a sharding": lambda: inside(V, "a"),
    "prefix too long": lambda: inside((V,), (split(), whole())),
    "gradient": lambda: places(
        eqx.filter_grad(lambda x: (eqx.filter_shard(x, split()) ** 2).sum())(V)
    ),
    "gradient in jit": lambda: eqx.filter_jit(
        eqx.filter_grad(lambda x: (eqx.filter_shard(x, split()) ** 2).sum())
    )(V),
    "vmap": lambda: eqx.filter_vmap(lambda x: eqx.filter_shard(x, whole()))(M2),
    "scan": lambda: jax.lax.scan(
        lambda c, x: (eqx.filter_shard(c + x, split()), None), V, jnp.ones((3, 8))
    )[0],
    "explicit axes": lambda: places(inside(V, split(AxisType.Explicit))),
    "explicit axes, sharded already": lambda: places(
        inside(jax.device_put(V, split(AxisType.Explicit)), whole(AxisType.Explicit))
    ),
    "in_shardings": lambda: places(eqx.filter_jit(lambda x: x, in_shardings=(split(),))(V)),
    "out_shardings": lambda: places(eqx.filter_jit(lambda x: x, out_shardings=split())(V)),
}


@over(INSIDE)
def case_inside_jit(call):
    return call()


def case_training_step_on_a_split_batch():
    model = eqx.nn.Linear(4, 1, key=jax.random.key(0))
    model = eqx.filter_shard(model, whole())
    batch = eqx.filter_shard(M2, split())

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(model, batch):
        return (jax.vmap(model)(batch) ** 2).mean().round(2)

    value, gradients = loss(model, batch)
    return value, places(gradients.weight)
