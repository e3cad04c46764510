"""One array in a stream of bytes, in NumPy's `.npy` format, without pickle.

The format is that of NEP 1 and of `numpy.lib.format`, which writes it. Reading is done here: what a
header claims is compared with what is wanted before any memory is taken for it.
"""

import ast
import functools
import io
import math
import os
import stat
from typing import Any, NamedTuple

import numpy as np

from ._errors import LeafError

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
"""As in NumPy: Python's parser is not safe from longer ones."""

_CHUNK = 2**24
ALIGNMENT = 64
"""Where JAX takes memory over on a CPU, instead of copying it."""

_FIELDS = {"descr", "fortran_order", "shape"}
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}


class Header(NamedTuple):
    """What stands before the elements: `descr` is a dtype in NumPy's notation, not yet checked."""

    descr: Any
    fortran_order: bool
    shape: tuple[int, ...]


def write_array(file: Any, array: np.ndarray) -> None:
    """Write an array of a dtype that holds no objects."""
    flat = array.T if array.flags.f_contiguous else array
    is_plain = array.dtype.names is None and array.nbytes and flat.flags.c_contiguous
    if is_plain and isinstance(file, io.BufferedIOBase):
        # NumPy writes past `file.write`, which a pipe does not bear, and `_atomic` counts on.
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(memoryview(flat.reshape(-1).view(np.uint8)))
    else:
        np.lib.format.write_array(file, array, allow_pickle=False)


def read_header(file: Any) -> Header:
    """Read what stands before the elements.

    **Raises:** `LeafError` if no array begins here.
    """
    start = _read(file, len(MAGIC) + 2)
    if not start:
        message = (
            "the data ends before it. What was saved has fewer leaves than `like`, or was cut."
        )
        raise LeafError(message)
    if not start.startswith(MAGIC[: len(start)]):
        message = (
            f"no array begins here, but {start!r}. It was not written by `tree_serialise_leaves`, "
            "or with another `filter_spec`, or an earlier leaf of `like` is not as it was saved."
        )
        raise LeafError(message)
    version = tuple(_whole(start, len(MAGIC) + 2, "header")[len(MAGIC) :])
    if version not in _LENGTH_BYTES:
        reason = f"no version {version[0]}.{version[1]} of the format is known"
        raise _damaged(reason)
    length_bytes = _LENGTH_BYTES[version]
    length = int.from_bytes(_whole(_read(file, length_bytes), length_bytes, "header"), "little")
    if length > MAX_HEADER:
        reason = f"its header claims {length} bytes, and none has more than {MAX_HEADER}"
        raise _damaged(reason)
    encoded = _whole(_read(file, length), length, "header")
    return _parse(encoded, "utf-8" if version == (3, 0) else "latin-1")


@functools.lru_cache(maxsize=256)
def _parse(encoded: bytes, encoding: str) -> Header:
    try:
        fields = ast.literal_eval(encoded.decode(encoding))  # constants only: it runs nothing
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        reason = f"its header is {_short(encoded)}"
        raise _damaged(reason)
    header = Header(**fields)
    are_sizes = isinstance(header.shape, tuple) and all(
        type(size) is int and size >= 0 for size in header.shape
    )
    if not are_sizes or type(header.fortran_order) is not bool:
        reason = f"its header is {_short(encoded)}"
        raise _damaged(reason)
    return header


def dtype_on_disk(header: Header, wanted: np.dtype | None = None) -> np.dtype:
    """Give the dtype that a header names, and `wanted` where it may name that one.

    NumPy has no names for bfloat16 and its kin: it calls them by their size.
    """
    descr = header.descr
    if wanted is not None and is_nameless(wanted):
        size = wanted.itemsize
        if descr in (wanted.str, f"<V{size}", f"|V{size}", f">V{size}"):
            return wanted
    try:
        dtype = np.lib.format.descr_to_dtype(descr)
    except Exception:  # it raises all kinds, from what is not checked inside
        reason = f"{_short(descr)} is no dtype"
        raise _damaged(reason) from None
    if dtype.hasobject:
        message = "it was saved by pickle, which could run code: no pickle is ever loaded."
        raise LeafError(message)
    return dtype


def is_nameless(dtype: np.dtype) -> bool:
    """Whether a dtype is a number's that NumPy does not know by itself, as bfloat16."""
    return dtype.isbuiltin == 2


def read_elements(file: Any, header: Header, dtype: np.dtype) -> np.ndarray:
    """Read the elements of an array.

    **Raises:** `LeafError` if they are not all there.
    """
    size = math.prod(header.shape) * dtype.itemsize
    left = _bytes_left(file) if size > _CHUNK else size
    if left < size:
        raise _cut(left, size, "data")
    if size == 0:
        return np.empty(header.shape, dtype)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    memory = memory[start : start + size]
    fill(file, memoryview(memory))
    if dtype == np.bool_ and memory.max() > 1:
        reason = "its booleans are other bytes than 0 and 1"
        raise _damaged(reason)
    if header.fortran_order:
        return memory.view(dtype).reshape(header.shape[::-1]).T
    return memory.view(dtype).reshape(header.shape)


def fill(file: Any, memory: memoryview) -> None:
    """Read until memory is full, from a file that may give less than it is asked for."""
    readinto = getattr(file, "readinto", None)
    done = 0
    while done < len(memory):
        part = memory[done : done + _CHUNK]
        if readinto is None:
            chunk = _read_some(file, len(part))
            part[: len(chunk)] = chunk
            count = len(chunk)
        else:
            count = readinto(part)
        if not count:
            raise _cut(done, len(memory), "data")
        done += count


def _read(file: Any, size: int) -> bytes:
    """Read so many bytes, or what there is."""
    found = _read_some(file, size)
    while len(found) < size and (more := _read_some(file, size - len(found))):
        found += more
    return found


def _read_some(file: Any, size: int) -> bytes:
    found = file.read(size)
    if found is not None and not isinstance(found, bytes | bytearray | memoryview):
        message = f"the file's `read` must return bytes, not `{type(found).__name__}`."
        raise LeafError(message)
    return bytes(found or b"")


def _bytes_left(file: Any) -> float:
    """Say how many bytes follow, where that is known without reading them."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes - file.tell()
    raw = getattr(file, "raw", file)
    if isinstance(raw, io.FileIO):
        status = os.fstat(raw.fileno())
        if stat.S_ISREG(status.st_mode):
            return status.st_size - file.tell()
    return math.inf


def _whole(found: bytes, size: int, what: str) -> bytes:
    if len(found) < size:
        raise _cut(len(found), size, what)
    return found


def _cut(found: float, size: int, what: str) -> LeafError:
    message = f"the data ends in it: {found} bytes of the {size} of its {what} are there."
    return LeafError(message)


def _damaged(reason: str) -> LeafError:
    message = f"{reason}. The data is damaged, or was not written by `tree_serialise_leaves`."
    return LeafError(message)


def _short(value: Any) -> str:
    shown = repr(value)
    return f"`{shown}`" if len(shown) <= 100 else f"`{shown[:100]}...`"
