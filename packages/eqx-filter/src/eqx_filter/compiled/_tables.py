"""Tables of what was worked out for each kind of call: bounded, and as quick with many as with one.

Knows treedefs and nothing of functions.
"""

from collections.abc import Hashable
from typing import Any

_MOST = 4096
"""Entries of one table; the oldest goes when there are more."""

_FEW = 8
"""Keys of one hash that a dictionary finds its way among as quickly as their values are hashed."""


class Table(dict[Hashable, Any]):
    """A dictionary that drops its oldest entry when it is full."""

    def keep(self, key: Hashable, value: Any) -> None:
        if len(self) >= _MOST:
            self.pop(next(iter(self)), None)
        self[key] = value


class TableByStructure:
    """A table whose keys are tuples that begin with a treedef.

    A treedef's own hash leaves out what its nodes hold as auxiliary data, such as the values of
    static fields: all variants of a Module have one hash, and a dictionary would compare a key to
    each of them. So once there are more than a few entries, keys carry a hash of these values too.
    """

    def __init__(self) -> None:
        self._state = Table(), False

    def get(self, key: tuple[Any, ...]) -> Any:
        """Give the value, or None."""
        table, hashed = self._state
        return table.get((_static_hash(key[0]), key) if hashed else key)

    def values(self) -> list[Any]:
        """Give all values."""
        return list(self._state[0].values())

    def keep(self, key: tuple[Any, ...], value: Any) -> None:
        """Set the value. Not to be called by two threads at once."""
        table, hashed = self._state
        if not hashed and len(table) >= _FEW:
            hashed = True
            table = Table({(_static_hash(key[0]), key): value for key, value in table.items()})
        table.keep((_static_hash(key[0]), key) if hashed else key, value)
        self._state = table, hashed


def _static_hash(structure: Any) -> int:
    hashes = []

    def visit(children: Any, data: Any) -> None:
        try:  # noqa: SIM105 - this runs at each call, and `suppress` takes five times as long
            hashes.append(hash(data))
        except TypeError:  # a dict's keys, in a list; the treedef's own hash has them
            pass

    structure.walk(visit, type, range(structure.num_leaves))
    return hash(tuple(hashes))
