"""What is saved of a leaf: its values as one NumPy array in the memory of this process."""

from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from ._errors import LeafError

NUMBERS = (bool, int, float, complex)


def on_host(leaf: Any) -> np.ndarray:
    """Give the values of an array or a number, or the integers of a typed PRNG key.

    **Raises:** `LeafError` if not all values are here, or only Python could tell what they are.
    """
    if isinstance(leaf, jax.core.Tracer):
        message = (
            "it is traced, and has no values yet. Save outside of the transformed function, or "
            "in a callback of it."
        )
        raise LeafError(message)
    if isinstance(leaf, jax.Array):
        return _values(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    if isinstance(leaf, np.ma.MaskedArray):
        message = "it is a masked array, and its mask would be lost. Save `mask` and `data`."
        raise LeafError(message)
    array = np.asarray(leaf.__jax_array__() if hasattr(leaf, "__jax_array__") else leaf)
    if array.dtype.hasobject:
        message = (
            f"{_kind(leaf)} is saved by pickle alone, and no pickle is ever loaded. Use a dtype of "
            "NumPy, or write it by a `filter_spec` of your own."
        )
        raise LeafError(message)
    return array


def is_lent(leaf: Any) -> bool:
    """Whether what `on_host` gives may be memory that is written to later.

    NumPy's arrays are, by their owner, and on a CPU those of JAX by who is given them to keep.
    """
    return not isinstance(leaf, jax.Array) or any(it.platform == "cpu" for it in leaf.devices())


def is_spread(leaf: Any) -> bool:
    """Whether a leaf is an array that lies on devices of several processes."""
    is_array = isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
    return is_array and not leaf.is_fully_addressable


def is_key(leaf: Any) -> bool:
    """Whether an array, or what stands for one, holds typed PRNG keys."""
    dtype = leaf.dtype
    return not isinstance(dtype, np.dtype) and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def _kind(leaf: Any) -> str:
    if isinstance(leaf, np.ndarray):
        return f"an array of dtype {leaf.dtype}"
    return f"a `{type(leaf).__name__}` that fits no dtype"


def _values(array: jax.Array) -> np.ndarray:
    if isinstance(array.sharding, SingleDeviceSharding):
        return of_one_device(array)
    if array.is_fully_replicated:
        return of_one_device(array.addressable_data(0))
    if not array.is_fully_addressable:
        message = (
            f"its values lie on the devices of several processes ({array.sharding}). `save` brings "
            "them together one by one; or do so with "
            "`jax.experimental.multihost_utils.process_allgather(x, tiled=True)`, and save in one "
            "process; or let each process save its own `addressable_shards`."
        )
        raise LeafError(message)
    whole = np.empty(array.shape, array.dtype)
    for shard in array.addressable_shards:
        if shard.replica_id == 0:
            whole[shard.index] = of_one_device(shard.data)
    return whole


def of_one_device(array: jax.Array) -> np.ndarray:
    """The values of an array that is on one device, which keeps no copy of them."""
    [device] = array.devices()
    if device.platform == "cpu" and array.dtype.isbuiltin == 1:
        return np.asarray(array)  # a view, but for types of less than a byte
    # JAX keeps the host's copy in the array that was asked for it. So a new one is asked, over the
    # same buffer: else a saved model would be in the host's memory for as long as it lives.
    parts = [array]
    return np.asarray(jax.make_array_from_single_device_arrays(array.shape, array.sharding, parts))
