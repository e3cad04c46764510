"""Versions of classes: `__migrations__` has a step for each, a rule or several.

A step is for the names below a node of the class. The version of a node is the number of steps that
its class had when it was saved, and a file without it is of version 0.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from ..migrations._entries import VERSION, Entries, Entry
from ..migrations._moving import Default
from ..migrations._rule import Log, Place, Rule, is_version
from ..migrations._running import applied, checked
from ..migrations._shaping import Convert
from ..paths._nodes import Node

_ATTRIBUTE = "__migrations__"


def versions_of(nodes: Sequence[Node]) -> dict[str, int]:
    """The versions of nodes whose class has steps, by their paths.

    **Raises:** `TypeError` naming a class whose steps are no rules.
    """
    rows = ((node.path, type(node.value)) for node in nodes if not node.is_leaf)
    return {path: len(_steps(cls)) for path, cls in rows if getattr(cls, _ATTRIBUTE, ())}


def may_differ(versions: Mapping[str, int] | None, tree: Any) -> bool:
    """Whether versions in a file may be others than those of a tree; looks at its types alone."""
    if versions is None:
        return False
    types: set[type] = set()
    jax.tree.flatten(tree, is_leaf=lambda node: types.add(type(node)))
    return bool(versions) or any(hasattr(cls, _ATTRIBUTE) for cls in types)


def _steps(cls: type) -> list[tuple[Rule, ...]]:
    given = getattr(cls, _ATTRIBUTE, ())
    told = f"`{_ATTRIBUTE}` of `{cls.__qualname__}`"
    if not isinstance(given, (tuple, list)):
        message = f"{told} is a tuple of steps, each a rule or several; got {given!r}."
        raise TypeError(message)
    return [checked(step, told) for step in given]


def version_entries(versions: Mapping[str, int]) -> Entries:
    """Versions as entries beside the arrays, which are renamed with them."""
    return {_below(path, VERSION): Entry("version", it) for path, it in versions.items()}


def upgraded(
    entries: Entries, nodes: Sequence[Node], file: Any, like: Mapping[str, Any], log: Log
) -> Entries:
    """What names stand for after the steps of all classes, those of outer nodes first.

    **Raises:** `RuntimeError` naming a node that is of a later version in the file; `ValueError`
    for a step that does not fit.
    """
    are_told = any(map(is_version, entries))
    below: dict[int, list[int]] = {}
    nearest: list[int] = []
    for place, node in enumerate(nodes):
        cls, above = type(node.value), nearest[node.parent] if nearest else _TOP
        is_versioned = hasattr(cls, _ATTRIBUTE) or (are_told and dataclasses.is_dataclass(cls))
        if is_versioned and not node.is_leaf:
            below.setdefault(above, []).append(place)
        nearest.append(place if is_versioned else above)
    return _Upgrade(nodes, below, file, log).below(_TOP, entries, like)


_TOP = -1
"""Stands for what is above the root."""


class _Upgrade(NamedTuple):
    """Goes down the nodes, each with the names below it alone.

    `below_node` has for each node with versions the next ones below it, by their places.
    """

    nodes: Sequence[Node]
    below_node: Mapping[int, Sequence[int]]
    file: Any
    log: Log

    def below(self, place: int, entries: Entries, like: Mapping[str, Any]) -> Entries:
        """What names below a node stand for after the steps of all nodes below it."""
        inner = {self.nodes[it].path: it for it in self.below_node.get(place, ())}
        groups, owners = _grouped(entries, inner)
        likes, _ = _grouped(like if groups else {}, inner)
        news: dict[str, Entries] = {}
        for path, it in inner.items():
            old, own = groups.get(path, {}), likes.get(path, {})
            upgraded = _upgraded(old, self.nodes[it], self.file, own, self.log, self._is_state(it))
            new = self.below(it, upgraded, own)
            if new is not old:
                news[path] = new
        if not news:
            return entries
        found = {name: it for name, it in entries.items() if owners.get(name) not in news}
        for new in news.values():
            found |= new
        return found

    def _is_state(self, place: int) -> bool:
        """Whether a node is below an optimizer, whose moments are in nodes of the model's kinds."""
        while place >= 0 and not hasattr(type(self.nodes[place].value), "__follows_parameters__"):
            place = self.nodes[place].parent
        return place >= 0


_Values = TypeVar("_Values")


def _grouped(
    names: Mapping[str, _Values], paths: Collection[str]
) -> tuple[dict[str, dict[str, _Values]], dict[str, str]]:
    """What is below each path, of which none is below another, and the path that each name has."""
    groups: dict[str, dict[str, _Values]] = {}
    owners: dict[str, str] = {}
    for name, value in names.items() if paths else ():
        end = 0 if "" in paths else name.find(".")
        while end >= 0 and name[:end] not in paths:
            end = name.find(".", end + 1)
        if end >= 0:
            owners[name] = name[:end]
            groups.setdefault(name[:end], {})[name] = value
    return groups, owners


def _upgraded(
    entries: Entries, node: Node, file: Any, like: Mapping[str, Any], log: Log, is_state: bool
) -> Entries:
    """What names below a node stand for after its own steps.

    In a state of an optimizer, what a step gives values to begins anew, as in `like`.
    """
    cls = type(node.value)
    steps, found = _steps(cls), entries.get(_below(node.path, VERSION))
    version = found.value if found else 0
    if version == len(steps):
        return entries
    where = f"`{node.path}`" if node.path else "the whole"
    if version > len(steps):
        message = (
            f"`{file}` is of later code: {where} is of version {version} of `{cls.__qualname__}` "
            f"there, and `{_ATTRIBUTE}` leads to version {len(steps)} here. Load it with the code "
            "that saved it, or a later one."
        )
        raise RuntimeError(message)
    start = f"{node.path}." if node.path else ""
    inner = {name.removeprefix(start): it for name, it in entries.items()}
    inner.pop(VERSION, None)
    if all(it.kind == "default" for it in inner.values()):
        return entries
    own = {name.removeprefix(start): it for name, it in like.items()}
    for number, rules in enumerate(steps[version:], start=version):
        change = f"{number} to {number + 1}"
        told = f"`{file}`, for {where}, a `{cls.__qualname__}`, from version {change},"
        inner = applied(rules, inner, Place(told, own, log), f"{cls.__qualname__} {change}")
        if is_state:
            giving = {id(it) for it in rules if isinstance(it, (Default, Convert))}
            inner = {name: _anew(it, giving) for name, it in inner.items()}
    return {f"{start}{name}": it for name, it in inner.items()}


def _anew(entry: Entry, giving: Collection[int]) -> Entry:
    """The entry, or the first value of one that a rule gave a value to, by the rules' identity."""
    given = next((it for it in entry.rules if id(it) in giving), None)
    return entry if given is None else Entry("default", _first_value, rules=(given,))


def _first_value(leaf: Any) -> Any:
    """A leaf of a state that was made, or zeros, with which moments begin."""
    is_struct = isinstance(leaf, jax.ShapeDtypeStruct)
    return np.zeros(leaf.shape, leaf.dtype) if is_struct else leaf


def _below(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
