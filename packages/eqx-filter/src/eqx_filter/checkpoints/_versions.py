"""Versions of classes: `__migrations__` has a step for each, a rule or several.

A step is for the names below a node of the class. The version of a node is the number of steps that
its class had when it was saved, and a file without it is of version 0.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ..migrations._entries import VERSION, Entries, Entry
from ..migrations._rule import Log, Place, Rule
from ..migrations._running import applied, checked
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
    for node in nodes:
        cls = type(node.value)
        is_versioned = dataclasses.is_dataclass(cls) or hasattr(cls, _ATTRIBUTE)
        if is_versioned and not node.is_leaf:
            entries = _upgraded(entries, node, file, like, log)
    return entries


def _upgraded(
    entries: Entries, node: Node, file: Any, like: Mapping[str, Any], log: Log
) -> Entries:
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
    inner = {name.removeprefix(start): it for name, it in entries.items() if name.startswith(start)}
    inner.pop(VERSION, None)
    if all(it.kind == "default" for it in inner.values()):
        return entries
    own = {name.removeprefix(start): it for name, it in like.items() if name.startswith(start)}
    for number, rules in enumerate(steps[version:], start=version):
        change = f"{number} to {number + 1}"
        told = f"`{file}`, for {where}, a `{cls.__qualname__}`, from version {change},"
        inner = applied(rules, inner, Place(told, own, log), f"{cls.__qualname__} {change}")
    others = {name: it for name, it in entries.items() if not name.startswith(start)}
    return others | {f"{start}{name}": it for name, it in inner.items()}


def _below(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
