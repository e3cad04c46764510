"""Batches of which each process has a part: which rows these are, and the whole made of them."""

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from ._fitting import check_spec
from ._places import Place


def rows_of(sharding: NamedSharding, size: int) -> np.ndarray:
    """Which rows of a batch the devices of this process have, where `sharding` is of its one axis.

    **Raises:** `ValueError` for a size that the axes do not divide, and for a mesh without devices.
    """
    if not isinstance(sharding.mesh, Mesh):
        message = (
            "`plan.rows` tells of the devices of this process, and the plan's mesh is an "
            "`AbstractMesh`, which has none. Make the plan with a `jax.sharding.Mesh`."
        )
        raise ValueError(message)
    place = Place("batch", (size,), np.dtype(np.int64), 0, ())
    check_spec(place, sharding.spec, dict(sharding.mesh.shape), None)
    found = {
        it.indices(size) for (it,) in sharding.addressable_devices_indices_map((size,)).values()
    }
    return np.concatenate([np.arange(*it) for it in sorted(found)] or [np.arange(0)])


@functools.lru_cache(maxsize=64)
def share_count(sharding: NamedSharding) -> int:
    """How many shares of a batch there are, where each is the rows that a process has.

    Processes have the same share where the axes of the batch do not tell their devices apart.
    """
    parts = sharding.devices_indices_map((sharding.mesh.size,)).values()
    here = sharding.addressable_devices_indices_map((sharding.mesh.size,)).values()
    return len(set(map(str, parts))) // max(len(set(map(str, here))), 1)


def is_whole(x: Any) -> bool:
    """Whether an array is of the whole batch, and not of the share that this process has."""
    is_struct = isinstance(x, jax.ShapeDtypeStruct)
    return is_struct or (isinstance(x, jax.Array) and not x.is_fully_addressable)
