"""The texts that `save` adds to a file, read and checked: all of them may be damaged."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._container import Header, bytes_of, damaged
from ._host import NUMBERS
from ._named import number_of

OURS = "eqx."
"""What their names begin with."""

_CHECKSUM = f"{OURS}checksum"


class Texts(NamedTuple):
    """What is told of leaves, by their names: as in `Named`, with numbers as they are.

    `checksums` has those of arrays, where the file was saved with them. `versions` has those of
    nodes whose class has migrations, and is None for a file of another writer.
    """

    numbers: dict[str, Any]
    kinds: dict[str, dict[str, str]]
    shared: dict[str, str]
    static: dict[str, str]
    checksums: dict[str, int]
    versions: dict[str, int] | None


def checksum_of(metadata: Mapping[str, str]) -> str:
    """The text by which damage to all others is seen."""
    pairs = sorted(it for it in metadata.items() if it[0] != _CHECKSUM)
    return str(zlib.crc32(json.dumps(pairs).encode()))


def check_texts(path: Path, header: Header) -> None:
    """Hold the texts of a file to their checksum, if there is one.

    **Raises:** `RuntimeError` naming the file.
    """
    saved, found = header.metadata.get(_CHECKSUM), checksum_of(header.metadata)
    if saved not in (None, found):
        reason = f"its metadata have the checksum {found}, and had {str(saved)[:20]!r}"
        raise damaged(path, reason)


def texts_of(path: Path, header: Header) -> Texts:
    """Read what `save` has written; empty for a file of another writer.

    **Raises:** `RuntimeError` naming the file, and the leaf where one is damaged.
    """

    def is_kind(name: str, value: Any) -> bool:
        return name in header.tensors and isinstance(value, dict) and _are_texts(value)

    def is_shared(_: str, value: Any) -> bool:
        return isinstance(value, str) and value in header.tensors

    def is_checksum(name: str, value: Any) -> bool:
        return name in header.tensors and type(value) is int

    def is_version(_: str, value: Any) -> bool:
        return type(value) is int and value > 0

    check_texts(path, header)
    is_ours = f"{OURS}version" in header.metadata
    numbers = _table(path, header, "numbers", lambda _, value: _is_number(value))
    return Texts(
        {name: number_of(*value) for name, value in numbers.items()},
        _table(path, header, "kinds", is_kind),
        _table(path, header, "shared", is_shared),
        _table(path, header, "static", lambda _, value: isinstance(value, str)),
        _table(path, header, "checksums", is_checksum),
        _table(path, header, "versions", is_version) if is_ours else None,
    )


def check_sum(path: Path, name: str, array: np.ndarray, sums: Mapping[str, int]) -> None:
    """Hold an array to its checksum, if there is one.

    **Raises:** `RuntimeError` naming the file and the array.
    """
    found = zlib.crc32(bytes_of(array)) if name in sums else None
    if found != sums.get(name):
        reason = f"`{name}` has the checksum {found}, and had {sums[name]} when it was saved"
        raise damaged(path, reason)


@contextmanager
def refusing_damage(path: Path, name: str, kind: Mapping[str, str]) -> Iterator[None]:
    """Take what is raised of an array for damage to what is told of it.

    **Raises:** `RuntimeError` naming the file and the array.
    """
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        reason = f"`{name}` is told to be {dict(kind)}: {error}"
        raise damaged(path, reason) from None


def config_of(path: Path, header: Header) -> Any:
    """Read the `config`; None if there is none.

    **Raises:** `RuntimeError` naming the file, if it is damaged.
    """
    check_texts(path, header)
    return _parsed(path, header, "config", "null")


def _table(path: Path, header: Header, name: str, fits: Callable[[str, Any], bool]) -> Any:
    table = _parsed(path, header, name, "{}")
    if not isinstance(table, dict):
        reason = f"`{OURS}{name}` of its metadata is no table"
        raise damaged(path, reason)
    for leaf, value in table.items():
        if not fits(leaf, value):
            reason = f"`{OURS}{name}` of its metadata says of `{leaf}`: {str(value)[:60]!r}"
            raise damaged(path, reason)
    return table


def _parsed(path: Path, header: Header, name: str, otherwise: str) -> Any:
    try:
        return json.loads(header.metadata.get(f"{OURS}{name}", otherwise))
    except (ValueError, RecursionError) as error:
        reason = f"`{OURS}{name}` of its metadata cannot be read: {error}"
        raise damaged(path, reason) from None


def _are_texts(table: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in table.values())


def _is_number(value: Any) -> bool:
    try:
        kind, text = value
        if not (isinstance(kind, str) and isinstance(text, str)):
            return False
        return kind in {it.__name__ for it in NUMBERS} and repr(number_of(kind, text)) == text
    except (ValueError, TypeError):
        return False
