"""Where arrays lie: `filter_shard` and `filter_device_put`, and shardings as prefix trees."""

from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from .._jax import reshard
from .._predicates import is_array, is_none
from ..trees._difference import first_difference

_Tree = TypeVar("_Tree")

Shardings = Any
"""A PyTree prefix of shardings, `PartitionSpec`s, devices, and None for what stays as it is."""


def filter_shard(x: _Tree, device_or_shardings: Shardings) -> _Tree:
    """Lay the arrays of a PyTree out over devices, in a compiled function or outside of one.

    **Arguments:**

    - `x`: any PyTree. Leaves that are no arrays stay as they are.
    - `device_or_shardings`: a device, a `jax.sharding.Sharding`, or a `PartitionSpec` where a mesh
        is set; or a PyTree prefix of them, with None for arrays that stay where they are. The axes
        of a mesh may be `Auto`, which the compiler is told of, or `Explicit`, which are part of an
        array's type.

    **Returns:** the PyTree, with the same values.

    **Raises:** `ValueError` naming the place, if it is no prefix or an array cannot be divided so;
    `TypeError` naming one that holds anything else.
    """
    return lay_out("device_or_shardings", x, device_or_shardings)


def lay_out(name: str, tree: _Tree, shardings: Shardings) -> _Tree:
    """Do what `filter_shard` does, where the shardings are the argument called `name`."""
    if shardings is None:
        return tree
    leaves, structure = jtu.tree_flatten(tree)
    pairs = zip(leaves, of_leaves(name, shardings, tree), strict=True)
    return structure.unflatten([_laid_out(leaf, sharding) for leaf, sharding in pairs])


def filter_device_put(
    x: _Tree, device: Shardings = None, *, donate: bool = False, may_alias: bool | None = None
) -> _Tree:
    """Copy the arrays of a PyTree to devices: `jax.device_put` for any PyTree.

    **Arguments:**

    - `x`: any PyTree. Leaves that are no arrays stay as they are.
    - `device`: a device or a sharding, or a PyTree prefix of them; None is the default device.
    - `donate`, `may_alias`: as in `jax.device_put`, for all arrays.

    **Returns:** the PyTree, with JAX's arrays.

    **Raises:** as `filter_shard`.
    """
    leaves, structure = jtu.tree_flatten(x)
    shardings = of_leaves("device", device, x)
    places = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
    put = jax.device_put(
        [leaves[i] for i in places],
        [shardings[i] for i in places],
        donate=donate,
        may_alias=may_alias,
    )
    for place, array in zip(places, put, strict=True):
        leaves[place] = array
    return structure.unflatten(leaves)


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
                f"`{name}{jtu.keystr(path)}` must be a sharding, a `PartitionSpec`, a device or "
                f"None, not `{spec!r}`."
            )
            raise TypeError(message)
        found += [spec] * len(jtu.tree_leaves(subtree))
    return found


def _is_spec(node: Any) -> bool:
    return is_none(node) or isinstance(node, (Sharding, PartitionSpec, jax.Device))


def _laid_out(leaf: Any, sharding: Any) -> Any:
    if sharding is None or not is_array(leaf):
        return leaf
    if isinstance(sharding, jax.Device):
        sharding = SingleDeviceSharding(sharding)
    if not isinstance(leaf, jax.core.Tracer) and not isinstance(sharding, PartitionSpec):
        leaf = jax.device_put(leaf, sharding)
        if not isinstance(leaf, jax.core.Tracer):  # what is constant in a traced function
            return leaf
    if _is_explicit(sharding):
        return reshard(leaf, sharding)
    return jax.lax.with_sharding_constraint(leaf, sharding)


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
