"""What names stand for while rules are applied: arrays that are read late, and what is no array."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

Kind = Literal["array", "keys", "number", "text", "version", "default"]

VERSION = r"\v"
"""The last part of the name of the version of a node, which no key of a PyTree has."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """What a name stands for.

    `value` of an array, and of an array of PRNG keys, is a function that reads it; its argument
    says whether a checksum is to be looked at. An array of several names has one `value`. `shape`
    and `dtype` are None where only reading tells them. `sources` are the names that it had at
    first, and `rules` what was applied.
    """

    kind: Kind
    value: Any
    shape: tuple[int, ...] | None = None
    dtype: Any = None
    sources: tuple[str, ...] = ()
    rules: tuple[Any, ...] = ()

    def known(self) -> "Entry":
        """With shape and dtype, for which it may be read."""
        if self.kind != "array" or self.shape is not None:
            return self
        array = self.value(False)
        return dataclasses.replace(self, shape=array.shape, dtype=array.dtype)

    def by(self, rule: Any, **changes: Any) -> "Entry":
        """What a rule makes of it."""
        return dataclasses.replace(self, rules=(*self.rules, rule), **changes)


Entries = dict[str, Entry]


def of_array(name: str, array: Any) -> Entry:
    """The entry of an array that is at hand, or of a number."""
    if type(array) in (bool, int, float, complex):
        return Entry("number", array, sources=(name,))
    found = np.asarray(array)
    return Entry("array", lambda _: found, found.shape, found.dtype, (name,))


class Derived:
    """An array that is computed of others, when it is read."""

    def __init__(
        self, function: Callable[..., np.ndarray], parts: Iterable[Callable[..., Any]]
    ) -> None:
        self.function = function
        self.parts = tuple(parts)

    def __call__(self, checked: bool) -> np.ndarray:
        return self.function(*(part(checked) for part in self.parts))


class Kept:
    """An array of which several are parts: read once for all of them, and then let go."""

    def __init__(self, read: Callable[[bool], np.ndarray], parts: int) -> None:
        self.read = read
        self.parts = parts
        self._array: np.ndarray | None = None
        self._is_checked = False
        self._left = 0

    def __call__(self, checked: bool) -> np.ndarray:
        if self._array is None or (checked and not self._is_checked):
            self._array, self._is_checked, self._left = self.read(checked), checked, self.parts
        array = self._array
        self._left -= 1
        if self._left == 0:
            self._array = None
        return array
