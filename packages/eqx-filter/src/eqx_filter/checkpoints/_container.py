"""A file of named arrays in the layout of safetensors, which any of its readers opens.

Eight bytes tell the length of a header of JSON, little-endian; the header gives for each name a
dtype, a shape and where its bytes are, one array after the other without a gap, and texts under
`__metadata__`. What a header claims is checked before any memory is taken for it. Knows no PyTree.
"""

import codecs
import json
import math
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ._npy import ALIGNMENT, fill

TYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    "BF16": np.dtype(jnp.bfloat16),
    "F8_E4M3": np.dtype(jnp.float8_e4m3fn),
    "F8_E5M2": np.dtype(jnp.float8_e5m2),
}
NAMES = {dtype: name for name, dtype in TYPES.items()}

METADATA = "__metadata__"
MOST_HEADER = 100_000_000
"""As in safetensors: bytes of a header."""


_STEP = 2**20
_TOO_LARGE = 2**63
_MOST_AXES = 64
"""Those that NumPy has."""


class Tensor(NamedTuple):
    """Where an array is: its bytes are from `start` to `stop` of the data."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


class Header(NamedTuple):
    """What a file holds; its data begins at `offset`."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    offset: int


def write(file: Any, arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write arrays of the dtypes in `TYPES`, the widest first, so that each is aligned.

    They are NumPy's, or make one when they are asked for it: each once, in this order.
    """
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    start = 0
    for name in order:
        array = arrays[name]
        stop = start + array.nbytes
        about = {"dtype": NAMES[array.dtype.newbyteorder("<")], "shape": list(array.shape)}
        header[name] = {**about, "data_offsets": [start, stop]}
        start = stop
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little") + encoded)
    for name in order:
        file.write(bytes_of(arrays[name]))


def bytes_of(array: Any) -> memoryview:
    """The bytes of an array as they are in a file."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8))


def read_header(path: Path) -> Header:
    """Read what a file holds.

    **Raises:** `RuntimeError` for a file that is damaged, cut, or of another kind.
    """
    with path.open("rb") as file:
        return _header(path, file)


def _header(path: Path, file: Any) -> Header:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(MOST_HEADER, size - 8):
        reason = f"it has {size} bytes, and its first eight claim a header of {length}"
        raise damaged(path, reason)
    try:
        header = json.loads(_text(file, length), object_pairs_hook=_without_twins)
        metadata = header.pop(METADATA, {})
        tensors = {name: _tensor(name, about) for name, about in header.items()}
        texts = [*metadata, *metadata.values()]
        if not all(isinstance(it, str) for it in texts):
            raise ValueError("its metadata are not texts")  # noqa: EM101
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = f"its header cannot be read: {error}"
        raise damaged(path, reason) from None
    _check_places(path, tensors, size - 8 - length)
    return Header(tensors, metadata, 8 + length)


def _text(file: Any, length: int) -> str:
    """Read a header; what is none is told by its first bytes, before memory is taken for all."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    parts = []
    for start in range(0, length, _STEP):
        part = file.read(min(_STEP, length - start))
        if b"\0" in part or (start == 0 and part[:1] != b"{"):
            raise ValueError("it is no JSON")
        parts.append(decode(part))
    return "".join(parts) + decode(b"", final=True)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        message = f"`{twin}` is in it twice"
        raise ValueError(message)
    return found


def _tensor(name: str, about: Any) -> Tensor:
    try:
        dtype, shape, (start, stop) = (about[key] for key in ("dtype", "shape", "data_offsets"))
        numbers = [*shape, start, stop]
    except (KeyError, TypeError, ValueError):
        message = f"`{name}` is not told of by `dtype`, `shape` and two `data_offsets`"
        raise ValueError(message) from None
    if not (isinstance(dtype, str) and dtype in TYPES):
        message = f"`{name}` has the dtype {str(dtype)[:20]!r}, which is none of {', '.join(TYPES)}"
        raise ValueError(message)
    is_size = {*map(type, numbers)} == {int} and min(numbers) >= 0 and max(numbers) < _TOO_LARGE
    if not (is_size and isinstance(shape, list) and len(shape) <= _MOST_AXES):
        message = f"`{name}` has a shape or offsets which are no sizes"
        raise ValueError(message)
    return Tensor(TYPES[dtype], tuple(shape), start, stop)


def _check_places(path: Any, tensors: Mapping[str, Tensor], size: int) -> None:
    """Refuse arrays that are not as long as they say, or do not follow one another."""
    place = 0
    for name, it in sorted(tensors.items(), key=lambda pair: pair[1][2:]):
        wanted = math.prod(it.shape) * it.dtype.itemsize
        if it.start != place or it.stop - it.start != wanted:
            reason = (
                f"`{name}` needs {wanted} bytes from {place} on, and has {it.start} to {it.stop}"
            )
            raise damaged(path, reason)
        place = it.stop
    if place != size:
        reason = f"its arrays have {place} bytes, and {size} follow the header"
        raise damaged(path, reason)


class Reader:
    """The arrays of a file, each read when it is asked for; a context that closes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("rb", buffering=0)
        self.map: mmap.mmap | None = None
        try:
            self.header = _header(path, self.file)  # of this very file, which another may replace
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, name: str) -> np.ndarray:
        """An array in memory of its own, laid out so that JAX takes it over on a CPU."""
        it = self.header.tensors[name]
        size = it.stop - it.start
        memory = np.empty(size + ALIGNMENT, np.uint8)
        first = -memory.__array_interface__["data"][0] % ALIGNMENT
        memory = memory[first : first + size]
        self.file.seek(self.header.offset + it.start)
        done = self.file.readinto(memory)
        if done < size:  # a system may read less than it is asked for
            fill(self.file, memoryview(memory)[done:])
        return memory.view(it.dtype).reshape(it.shape)

    def view(self, name: str) -> np.ndarray:
        """An array of which only those parts are read that are looked at."""
        it = self.header.tensors[name]
        count = math.prod(it.shape)
        if not count:
            return np.empty(it.shape, it.dtype)
        if self.map is None:
            self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        flat = np.frombuffer(self.map, it.dtype, count, self.header.offset + it.start)
        return flat.reshape(it.shape)


class DamagedError(RuntimeError):
    """A file that is damaged, or of another kind."""


def damaged(path: Any, reason: str) -> DamagedError:
    """Give the error that is raised of a file."""
    message = (
        f"`{path}` is no file of named arrays, or is damaged: {reason}. It must be written by "
        "`save`, or be in the layout of safetensors."
    )
    return DamagedError(message)
