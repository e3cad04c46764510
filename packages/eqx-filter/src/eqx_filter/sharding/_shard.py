"""Where arrays lie: `filter_shard` and `filter_device_put`."""

from typing import TypeVar

import jax
import jax.tree_util as jtu
from jax.sharding import Sharding

from ..shared._predicates import is_array
from ..shared._shardings import Shardings, is_spread_key, lay_out, of_leaves, put

_Tree = TypeVar("_Tree")


def filter_shard(x: _Tree, device_or_shardings: Shardings) -> _Tree:
    """Lay the arrays of a PyTree out over devices, in a compiled function or outside of one.

    **Arguments:**

    - `x`: any PyTree. Leaves that are no arrays stay as they are.
    - `device_or_shardings`: a device, a `jax.sharding.Sharding`, or a `PartitionSpec` where a mesh
        is set; or a PyTree prefix of them and of `ShardingPlan`s, with None for arrays that stay
        where they are. The axes of a mesh may be `Auto`, which the compiler is told of, or
        `Explicit`, which are part of an array's type.

    **Returns:** the PyTree, with the same values.

    **Raises:** `ValueError` naming the place, if it is no prefix or an array cannot be divided so;
    `TypeError` naming one that holds anything else.
    """
    return lay_out("device_or_shardings", x, device_or_shardings)


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
    places = []
    for i, (leaf, sharding) in enumerate(zip(leaves, shardings, strict=True)):
        if isinstance(sharding, Sharding) and is_spread_key(leaf, sharding):
            leaves[i] = put(leaf, sharding)
        elif is_array(leaf):
            places.append(i)
    arrays = jax.device_put(
        [leaves[i] for i in places],
        [shardings[i] for i in places],
        donate=donate,
        may_alias=may_alias,
    )
    for place, array in zip(places, arrays, strict=True):
        leaves[place] = array
    return structure.unflatten(leaves)
