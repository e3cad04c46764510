"""What the processes of `jax.distributed` tell one another, where they have arrays in common.

All of them compute with an array whose parts they have, and do so in one order; what is here is
such a computation, too. So each process that has a part calls these functions, as often as others.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from ._jax import set_mesh, wait_at_barrier
from ._shardings import is_plan

LONGEST = 300
"""Seconds that a process waits for the others to come, as long as JAX waits for them to begin."""

Devices: TypeAlias = tuple[jax.Device, ...]
"""One device of each process, in the order of the processes; none where all is in one process."""

_calls: "defaultdict[str, Iterator[int]]" = defaultdict(itertools.count)
"""Of barriers, by their names: each can be used once."""


def devices_of(leaves: Iterable[Any]) -> Devices:
    """One device of each process that has a part of arrays, or of what has these shardings."""
    found: dict[int, jax.Device] = {}
    for leaf in leaves:
        if isinstance(leaf, Sharding):
            found |= _of_sharding(leaf)
        elif isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer):
            found |= _of_sharding(leaf.sharding)
        elif is_plan(leaf) and isinstance(leaf.mesh, Mesh):
            found |= _of_sharding(NamedSharding(leaf.mesh, PartitionSpec()))
    return tuple(found[index] for index in sorted(found))


@functools.lru_cache(maxsize=256)
def _of_sharding(sharding: Sharding) -> dict[int, jax.Device]:
    last_first = sorted(sharding.device_set, key=lambda it: -it.id)
    found = {it.process_index: it for it in last_first}
    return found if len(found) > 1 else {}


def is_first(devices: Devices) -> bool:
    """Whether this process is the one that writes for all."""
    return not devices or devices[0].process_index == jax.process_index()


def rows_of_all(row: np.ndarray, devices: Devices) -> np.ndarray:
    """Give what each process gave, of shape `(processes, *row.shape)`."""
    mesh = Mesh(np.array(devices), ("process",))
    [here] = [it for it in devices if it.process_index == jax.process_index()]
    part = jax.device_put(row[None], here)
    spread, shape = NamedSharding(mesh, PartitionSpec("process")), (len(devices), *row.shape)
    rows = jax.make_array_from_single_device_arrays(shape, spread, [part])
    return np.asarray(whole(rows).addressable_data(0))


def whole(array: jax.Array) -> jax.Array:
    """Bring an array together on each of its devices, whatever mesh is set outside."""
    mesh = _mesh_of(array)
    with set_mesh(mesh):
        return _copier(NamedSharding(mesh, PartitionSpec()))(array)


def _mesh_of(array: jax.Array) -> Any:
    sharding = array.sharding
    if isinstance(sharding, NamedSharding):
        return sharding.mesh
    return Mesh(np.array(sorted(sharding.device_set, key=lambda it: it.id)), ("device",))


@functools.lru_cache(maxsize=16)
def _copier(sharding: NamedSharding) -> Any:
    return jax.jit(lambda array: array, out_shardings=sharding)


def texts_of_all(text: str, devices: Devices) -> list[str]:
    """Give the text of each process; where all are empty, only their lengths go around."""
    encoded = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    lengths = rows_of_all(np.array(encoded.size, np.int32), devices)
    if not lengths.any():
        return [""] * len(devices)
    rows = rows_of_all(np.pad(encoded, (0, lengths.max() - encoded.size)), devices)
    pairs = zip(rows, lengths, strict=True)
    return [bytes(row[:length]).decode() for row, length in pairs]


@contextmanager
def agreeing(devices: Devices, what: str) -> Iterator[None]:
    """Let what one process raises in the block be raised by all at its end; `what` is what failed.

    **Raises:** what this process raised; otherwise `RuntimeError` with what another did.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        if not devices:
            raise
        failed = error
    if not devices:
        return
    texts = texts_of_all("" if failed is None else f"{type(failed).__name__}: {failed}", devices)
    if failed is not None:
        try:
            raise failed
        finally:
            failed = None  # its traceback holds this frame
    for device, text in zip(devices, texts, strict=True):
        if text:
            message = f"{what} failed in process {device.process_index}: {text}"
            raise RuntimeError(message)


def meet(devices: Devices, call: str, what: str) -> None:
    """Wait until each of the processes is here, in the same call; `what` tells of it here.

    They need not tell the same: folders may have other names on other hosts.

    **Raises:** `RuntimeError` if one does not come.
    """
    if not devices:
        return
    indices = [it.process_index for it in devices]
    name = f"eqx {call} {indices}"
    try:
        wait_at_barrier(f"{name} {next(_calls[name])}", indices, LONGEST)
    except RuntimeError as error:
        message = (
            f"{what} brings together arrays that lie on devices of the processes {indices}, and "
            f"in {LONGEST} seconds not all of them called it. Call it in each, and as often, also "
            f"where one alone is to write: process {indices[0]} does. {error}"
        )
        raise RuntimeError(message) from error
