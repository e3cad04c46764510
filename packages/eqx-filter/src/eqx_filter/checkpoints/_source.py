"""A file of named arrays that leaves are asked of: each comes as its place in `like` wants it."""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..shared._predicates import is_inexact
from ..shared._shardings import put
from ._fits import (
    Castable,
    Unfit,
    check_dtype,
    check_fits_sharding,
    check_holds,
    check_is_array,
    check_is_of_jax,
    check_keys,
    check_number,
    is_saved,
)
from ._host import is_key
from ._migrated import Migrated
from ._named import decoded
from ._shards import AnyReader
from ._texts import Texts, check_sum, refusing_damage

_BATCH = 2**26
"""Bytes of arrays that wait on the host until they are put on the device at once."""


class Waiting:
    """A leaf that is read; `made` is its array on the device once that is put there."""

    __slots__ = ("array", "made")

    def __init__(self, array: np.ndarray) -> None:
        self.array: np.ndarray | None = array
        self.made: Any = None


class Source:
    """A file, and by the names of leaves what was found in it.

    `may_cast` says whether an array of another dtype than that of `like` is cast; `dtype`, if not
    None, is that of all inexact ones. `defaults` are the leaves that a rule takes from `like`, and
    `is_castable` says whether one was refused that could be cast.
    """

    def __init__(
        self,
        reader: AnyReader | Migrated,
        texts: Texts,
        defaults: Collection[str] = (),
        *,
        may_cast: bool,
        dtype: Any,
    ) -> None:
        self.reader = reader
        self.may_cast = may_cast
        self.dtype = dtype
        self.defaults = defaults
        self.numbers, self.kinds, self.shared, self.static, self.checksums, _ = texts
        self.loaded: list[str] = []
        self.missing: list[str] = []
        self.reshaped: list[str] = []
        self.cast: list[str] = []
        self.faults: list[str] = []
        self.is_castable = False
        self._made: dict[Any, Any] = {}
        self._waiting: list[Waiting] = []
        self._bytes = 0

    def names(self) -> list[str]:
        """Of all leaves in the file."""
        return [*self.reader.header.tensors, *self.numbers, *self.shared]

    def leaf(self, name: str, like: Any, sharding: Any) -> Any:
        """The leaf of a name; `like` itself where the file has none, or none that fits.

        It may be `Waiting`: see `finished`.
        """
        at = self.shared.get(name, name)
        if not is_saved(like):
            return like
        if at not in self.reader.header.tensors and name not in self.numbers:
            if name not in self.defaults:
                self.missing.append(name)
            return like
        try:
            found = (
                self._number(name, like)
                if name in self.numbers
                else self._array(name, at, like, sharding)
            )
        except Unfit as fault:
            self.is_castable |= isinstance(fault, Castable)
            self.faults.append(f"`{name}` is {fault}.")
            return like
        self.loaded.append(name)
        return found

    def finished(self, leaves: list[Any]) -> list[Any]:
        """The leaves, of which none waits to be put on the device."""
        self._put()
        return [leaf.made if isinstance(leaf, Waiting) else leaf for leaf in leaves]

    def differing(self, texts: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Of what is no array, by its name, the text in the file and another one."""
        both = ((name, self.static.get(name), text) for name, text in texts.items())
        return [(name, saved, text) for name, saved, text in both if saved not in (None, text)]

    def _number(self, name: str, like: Any) -> Any:
        number = self.numbers[name]
        check_number(number, like)
        return number

    def _array(self, name: str, at: str, like: Any, sharding: Any) -> Any:
        check_is_array(like)
        is_numpy = isinstance(like, (np.ndarray, np.generic))
        wanted = (at, like.shape, like.dtype, sharding)
        if not is_numpy and wanted in self._made:
            return self._made[wanted]
        read = self.reader.read if sharding is None else self.reader.view
        kind, found = self.kinds.get(at, {}), read(at)
        if sharding is None and self.checksums:
            check_sum(self.reader.path, at, found, self.checksums)
        if "key" in kind or (not is_numpy and is_key(like)):
            with refusing_damage(self.reader.path, at, kind):
                made = _keys(kind.get("key"), found, like)
            if sharding is not None:
                check_fits_sharding(made.shape, sharding)
                made = put(made, sharding)
        else:
            if "dtype" in kind:
                with refusing_damage(self.reader.path, at, kind):
                    found = decoded(found, kind)
            made = self._numbers(name, found, like, sharding)
        if is_numpy:
            return made
        return self._made.setdefault(wanted, made)

    def _numbers(self, name: str, array: np.ndarray, like: Any, sharding: Any) -> Any:
        if array.shape != like.shape:
            if _without_ones(array.shape) != _without_ones(like.shape):
                told = f"of shape {like.shape} in `like`, and of {array.shape} in the file"
                raise Unfit(told)
            array = array.reshape(like.shape)
            self.reshaped.append(name)
        dtype = np.dtype(like.dtype)
        is_told = self.dtype is not None and is_inexact(dtype)
        dtype = self.dtype if is_told else dtype
        check_dtype(array.dtype, dtype, may_cast=is_told or self.may_cast)
        if array.dtype is not dtype and array.dtype != dtype.newbyteorder("="):
            check_holds(array, dtype)
            self.cast.append(name)
        placed = _placed(array, dtype, like, sharding)
        is_on_host = isinstance(placed, np.ndarray) and not isinstance(like, np.ndarray)
        return self._wait(placed) if is_on_host else placed

    def _wait(self, array: np.ndarray) -> Waiting:
        waiting = Waiting(array)
        self._waiting.append(waiting)
        self._bytes += array.nbytes
        if self._bytes > _BATCH:
            self._put()
        return waiting

    def _put(self) -> None:
        """Put what waits on the device: at once takes two thirds of the time of one by one."""
        arrays = jax.device_put([it.array for it in self._waiting], may_alias=True)
        for waiting, array in zip(self._waiting, arrays, strict=True):
            waiting.array, waiting.made = None, array
        self._waiting, self._bytes = [], 0


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _placed(array: np.ndarray, dtype: np.dtype, like: Any, sharding: Any) -> Any:
    """An array of the kind of `like`, where it is wanted; on the host for the default device."""
    array = array.astype(dtype, copy=False)
    if isinstance(like, np.generic):
        return array.reshape(())[()]
    if isinstance(like, np.ndarray):
        return array
    check_is_of_jax(dtype, like)
    if sharding is None:
        return array
    check_fits_sharding(array.shape, sharding)
    made = jax.make_array_from_callback(array.shape, sharding, lambda index: np.array(array[index]))
    return jax.block_until_ready(made)


def _keys(impl: str | None, data: np.ndarray, like: Any) -> jax.Array:
    check_keys(impl, data.shape, data.dtype, like)
    return jax.random.wrap_key_data(jnp.array(data), impl=impl)
