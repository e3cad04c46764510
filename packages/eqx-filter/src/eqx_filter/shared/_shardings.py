"""Shardings as prefix trees: which one is whose, and how arrays are laid out by them."""

import functools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ._difference import first_difference
from ._jax import reshard
from ._predicates import is_array, is_none

_Tree = TypeVar("_Tree")

Shardings = Any
"""A PyTree prefix of shardings, `PartitionSpec`s, devices, plans, and None for what stays as it is.

A plan is what has `__leaf_shardings__(tree, is_call)`, which gives the sharding of each leaf; it is
told whether the tree is the arguments of a call, or its results.
"""


def lay_out(name: str, tree: _Tree, shardings: Shardings) -> _Tree:
    """Lay arrays out, where the shardings are the argument called `name`; in a trace or not.

    **Raises:** as `of_leaves`.
    """
    if shardings is None:
        return tree
    leaves, structure = jtu.tree_flatten(tree)
    pairs = zip(leaves, of_leaves(name, shardings, tree), strict=True)
    return structure.unflatten([_laid_out(leaf, sharding) for leaf, sharding in pairs])


def of_leaves(name: str, shardings: Shardings, tree: Any) -> list[Any]:
    """The sharding of each leaf, where `shardings` is the argument called `name`.

    **Raises:** `ValueError` if it is no prefix, `TypeError` if it holds anything else.
    """
    specs, structure = jtu.tree_flatten_with_path(shardings, is_leaf=_is_spec)
    try:
        subtrees = structure.flatten_up_to(tree)
    except ValueError:
        path, told = first_difference(shardings, tree, prefix=True, is_leaf=_is_spec)
        message = f"`{name}` must be a tree prefix; at `{name}{jtu.keystr(path)}`: {told}."
        raise ValueError(message) from None
    found: list[Any] = []
    for (path, spec), subtree in zip(specs, subtrees, strict=True):
        if not _is_spec(spec):
            message = (
                f"`{name}{jtu.keystr(path)}` must be a sharding, a `PartitionSpec`, a device, a "
                f"`ShardingPlan` or None, not `{spec!r}`."
            )
            raise TypeError(message)
        if is_plan(spec):
            found += spec.__leaf_shardings__(subtree, is_call=not path and name in OF_CALLS)
        else:
            found += [spec] * len(jtu.tree_leaves(subtree))
    return found


OF_CALLS = ("in_shardings", "out_shardings")


def is_plan(node: Any) -> bool:
    """Whether it says by itself where each leaf of a tree lies."""
    return hasattr(type(node), "__leaf_shardings__")


def has_plans(shardings: Shardings) -> bool:
    """Whether a plan is among them."""
    return any(map(is_plan, jtu.tree_leaves(shardings, is_leaf=_is_spec)))


def _is_spec(node: Any) -> bool:
    return is_none(node) or isinstance(node, _SPECS) or is_plan(node)


_SPECS = (Sharding, PartitionSpec, jax.Device)


def _laid_out(leaf: Any, sharding: Any) -> Any:
    if sharding is None or not is_array(leaf):
        return leaf
    if isinstance(sharding, jax.Device):
        sharding = SingleDeviceSharding(sharding)
    if not isinstance(leaf, jax.core.Tracer) and not isinstance(sharding, PartitionSpec):
        leaf = put(leaf, sharding)
        if not isinstance(leaf, jax.core.Tracer):  # what is constant in a traced function
            return leaf
    if _is_explicit(sharding):
        return reshard(leaf, sharding)
    return jax.lax.with_sharding_constraint(leaf, sharding)


def put(array: Any, sharding: Any) -> Any:
    """As `jax.device_put`, which refuses to put typed keys on devices of several processes."""
    if not (isinstance(sharding, Sharding) and is_spread_key(array, sharding)):
        return jax.device_put(array, sharding)
    data, impl = jax.random.key_data(array), jax.random.key_impl(array)
    if array.is_fully_addressable:  # then each process gives the same
        data = np.asarray(data)
    wrap = functools.partial(jax.random.wrap_key_data, impl=impl)
    return jax.jit(wrap, out_shardings=sharding)(data)


def is_spread_key(array: Any, sharding: Sharding) -> bool:
    """Whether an array of typed keys is to lie on devices of several processes."""
    is_key = isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return is_key and not sharding.is_fully_addressable


def _is_explicit(sharding: Any) -> bool:
    """Whether a sharding names axes that are part of an array's type."""
    if isinstance(sharding, PartitionSpec):
        mesh, spec = jax.sharding.get_abstract_mesh(), sharding
    elif isinstance(sharding, NamedSharding):
        mesh, spec = sharding.mesh, sharding.spec
    else:
        return False
    kinds = dict(zip(mesh.axis_names, getattr(mesh, "axis_types", None) or (), strict=False))
    named = [axis for part in spec for axis in (part if isinstance(part, tuple) else (part,))]
    explicit = jax.sharding.AxisType.Explicit
    if any(kinds.get(axis) == explicit for axis in named):
        return True
    return bool(kinds) and all(kind == explicit for kind in kinds.values())
