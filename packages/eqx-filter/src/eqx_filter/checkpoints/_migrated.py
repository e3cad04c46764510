"""A file whose names have gone through rules, as a reader of arrays by their new names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..migrations._entries import Entries, Entry
from ..migrations._rule import Log, Place, Rule, is_version
from ..migrations._running import applied, resolved
from ..paths._nodes import Node
from ._container import Header
from ._named import decoded
from ._shards import AnyReader
from ._texts import Texts, check_sum, refusing_damage
from ._versions import upgraded, version_entries, versions_of


class Stored:
    """An array as it is in a file."""

    def __init__(self, reader: AnyReader, name: str, texts: Texts) -> None:
        self.reader = reader
        self.name = name
        self.kind = texts.kinds.get(name, {})
        self.checksums = texts.checksums

    def __call__(self, checked: bool) -> np.ndarray:
        if checked and self.name in self.checksums:
            array = self.reader.read(self.name)
            check_sum(self.reader.path, self.name, array, self.checksums)
        else:
            array = self.reader.view(self.name)
        with refusing_damage(self.reader.path, self.name, self.kind):
            return decoded(array, self.kind)


class Migrated:
    """The arrays of a file by their new names, as a `Reader` has those of one."""

    def __init__(self, reader: AnyReader, arrays: Entries) -> None:
        self.path = reader.path
        self.reader = reader
        self.header = Header(dict[str, Any](arrays), {}, 0)

    def read(self, name: str) -> np.ndarray:
        """An array in memory of its own."""
        value = self._value(name)
        return self.reader.read(value.name) if type(value) is Stored else np.array(value(True))

    def view(self, name: str) -> np.ndarray:
        """An array of which only those parts are read that are looked at, but for joined ones."""
        value = self._value(name)
        return self.reader.view(value.name) if type(value) is Stored else value(False)

    def _value(self, name: str) -> Any:
        entry: Any = self.header.tensors[name]
        return entry.value


class Migration(NamedTuple):
    """What the names of a file stand for after the rules."""

    entries: Entries
    log: Log


def migration(
    reader: AnyReader,
    texts: Texts,
    rules: Sequence[Rule],
    nodes: Sequence[Node],
    like: Mapping[str, Any],
) -> Migration | None:
    """Apply rules to the names of a file, then the steps of classes; None for nothing to do.

    **Raises:** as `load`, for rules and versions.
    """
    is_current = texts.versions is None or texts.versions == versions_of(nodes)
    if is_current and not rules:
        return None
    log = Log([], {}, {})
    entries = unmoved(reader, texts) | version_entries(texts.versions or {})
    entries = applied(rules, entries, Place(f"`{reader.path}`", like, log))
    if texts.versions is not None:
        entries = upgraded(entries, nodes, reader.path, like, log)
    found = {name: it for name, it in entries.items() if not is_version(name)}
    news = {
        name: resolved(name, it, like) if it.kind == "default" else it for name, it in found.items()
    }
    return Migration(news, log)


def unmoved(reader: AnyReader, texts: Texts) -> Entries:
    """What the names of a file stand for."""
    entries: Entries = {}
    for name, tensor in reader.header.tensors.items():
        kind = texts.kinds.get(name, {})
        about = (None, None) if "dtype" in kind else (tensor.shape, tensor.dtype)
        value = Stored(reader, name, texts)
        entries[name] = Entry("keys" if "key" in kind else "array", value, *about, (name,))
    numbers = {name: Entry("number", it, sources=(name,)) for name, it in texts.numbers.items()}
    shared = {name: replace(entries[it], sources=(name,)) for name, it in texts.shared.items()}
    static = {name: Entry("text", it, sources=(name,)) for name, it in texts.static.items()}
    return entries | numbers | shared | static


def as_file(reader: AnyReader, entries: Entries) -> tuple[Migrated, Texts, list[str]]:
    """Give a reader, the texts of leaves, and the names of those that `like` has."""
    texts = Texts({}, {}, {}, {}, {}, None)
    arrays: Entries = {}
    defaults: list[str] = []
    first: dict[int, str] = {}
    for name, entry in entries.items():
        value = entry.value
        if entry.kind == "default":
            defaults.append(name)
        elif entry.kind == "number":
            texts.numbers[name] = value
        elif entry.kind == "text":
            texts.static[name] = value
        elif first.setdefault(id(value), name) != name:
            texts.shared[name] = first[id(value)]
        else:
            arrays[name] = entry
            if type(value) is Stored:
                _keep(texts, name, value)
    return Migrated(reader, arrays), texts, defaults


def _keep(texts: Texts, name: str, stored: Stored) -> None:
    """Keep under a new name what is told of an array that is as it is in the file."""
    texts.kinds[name] = stored.kind
    if stored.name in stored.checksums:
        texts.checksums[name] = stored.checksums[stored.name]
