"""A model in several files of named arrays, with an index in JSON that says which array is where.

Hugging Face writes them: `model.safetensors.index.json` has a `weight_map` from names to files.
"""

import json
from contextlib import ExitStack
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeAlias

import numpy as np

from ._container import MOST_HEADER, Header, Reader

INDEX = ".index.json"


class Shards:
    """The arrays of several files, as a `Reader` has those of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = _weight_map(path)
        with ExitStack() as stack:
            files = sorted(set(self.places.values()))
            self.readers = {it: stack.enter_context(Reader(path.with_name(it))) for it in files}
            tensors = {name: self._tensor(name) for name in self.places}
            self.header = Header(tensors, {}, 0)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Shards":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, name: str) -> np.ndarray:
        """As of `Reader`."""
        return self.readers[self.places[name]].read(name)

    def view(self, name: str) -> np.ndarray:
        """As of `Reader`."""
        return self.readers[self.places[name]].view(name)

    def _tensor(self, name: str) -> Any:
        reader = self.readers[self.places[name]]
        if name in reader.header.tensors:
            return reader.header.tensors[name]
        message = (
            f"`{self.path}` says that `{name}` is in `{reader.path}`, which has no such array."
        )
        raise RuntimeError(message)


AnyReader: TypeAlias = Reader | Shards


def opened(path: Path) -> AnyReader:
    """Open a file, or all files that an index names.

    **Raises:** `RuntimeError` for one that is damaged; `OSError` from the file system.
    """
    return Shards(path) if path.name.endswith(INDEX) else Reader(path)


def _weight_map(path: Path) -> dict[str, str]:
    if path.stat().st_size > MOST_HEADER:
        raise _no_index(path, f"it has more than {MOST_HEADER} bytes")
    try:
        places = json.loads(path.read_bytes().decode())["weight_map"]
        pairs = places.items()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_index(path, f"{type(error).__name__}: {error}") from None
    for name, file in pairs:
        if not (isinstance(file, str) and _is_beside(file)):
            raise _no_index(path, f"`{name}` is said to be in {file!r}, no file of its folder")
    return places


def _is_beside(file: str) -> bool:
    """Whether a text is the name of a file alone, on any system."""
    return file not in ("", ".", "..") and all(
        kind(file).name == file for kind in (PurePosixPath, PureWindowsPath)
    )


def _no_index(path: Path, reason: str) -> RuntimeError:
    message = (
        f"`{path}` is no index of files, or is damaged: {reason}. It must be JSON with a "
        "`weight_map` from names of arrays to names of files beside it."
    )
    return RuntimeError(message)
