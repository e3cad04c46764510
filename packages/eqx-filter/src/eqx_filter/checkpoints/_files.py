"""What may be given as a file: a path, with the suffix rule, or an object that is open."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from ._atomic import replacing


class Writable(Protocol):
    """A file that is open to write bytes."""

    def write(self, data: bytes, /) -> Any:
        """Write all of the bytes."""


class Readable(Protocol):
    """A file that is open to read bytes."""

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer."""
        ...


AnyPath = str | os.PathLike[str]


def is_path(path_or_file: Any) -> TypeGuard[AnyPath]:
    return isinstance(path_or_file, (str, os.PathLike))


def with_suffix(path: AnyPath, suffix: str = ".eqx") -> Path:
    """Give the path of a file: one without a suffix gets one.

    **Raises:** `ValueError` if it names no file, `TypeError` if it is made of bytes.
    """
    name = os.fspath(path)
    if not isinstance(name, str):
        message = f"A path must be text, not `{name!r}`. Use `os.fsdecode`."
        raise TypeError(message)
    found = Path(name)
    if not found.name:
        message = f"`{name}` names no file. Name one in that folder."
        raise ValueError(message)
    return found if found.suffix else found.with_suffix(suffix)


@contextmanager
def opened_to_write(path_or_file: AnyPath | Writable, *, durable: bool) -> Iterator[Any]:
    """Give a file to write to. A path holds what is written when the block ends, and not before."""
    if is_path(path_or_file):
        with replacing(with_suffix(path_or_file), durable=durable) as file:
            yield file
    else:
        _check(path_or_file, "write", "wb")
        yield path_or_file


@contextmanager
def opened_to_read(path_or_file: AnyPath | Readable) -> Iterator[Any]:
    """Give a file to read from."""
    if is_path(path_or_file):
        with with_suffix(path_or_file).open("rb") as file:
            yield file
    else:
        _check(path_or_file, "read", "rb")
        yield path_or_file


def _check(file: Any, act: str, mode: str) -> None:
    way_out = f'Give a path, or a file that is open in mode "{mode}".'
    if not callable(getattr(file, act, None)):
        message = (
            "`path_or_file` must be a string, a path or a file of bytes, not a "
            f"`{type(file).__name__}`. {way_out}"
        )
        raise TypeError(message)
    if isinstance(getattr(file, "file", file), io.TextIOBase):  # `tempfile` wraps files
        message = f"`path_or_file` is a file of text, and leaves are saved as bytes. {way_out}"
        raise TypeError(message)
    if getattr(file, "closed", False) is True:
        message = f"`path_or_file` is a file that is closed. {way_out}"
        raise ValueError(message)
    is_able = getattr(file, "writable" if act == "write" else "readable", None)
    if callable(is_able) and not is_able():
        message = f"`path_or_file` is a file that is not open to {act}. {way_out}"
        raise ValueError(message)
