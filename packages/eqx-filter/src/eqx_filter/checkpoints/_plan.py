"""`migration_plan`: what `load` would do with a file, as a table, without reading its arrays."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..migrations._entries import Entries, Entry
from ..migrations._rule import Log, Rule
from ..migrations._running import checked
from ..paths._dotted import tree_paths
from ..paths._nodes import nodes_of
from ..shared._columns import GAP, line_of, widths_of
from ._files import with_suffix
from ._fits import (
    Unfit,
    check_is_array,
    check_is_of_jax,
    check_keys,
    check_number,
    is_saved,
    key_form,
)
from ._migrated import Migration, migration, unmoved
from ._named import static_texts, unstacked
from ._save_named import SUFFIX
from ._shards import opened
from ._texts import texts_of

_HEADER = ("in the file", "rules", "in `like`", "shape and dtype", "")
_SHRINKS = {"in the file": 16, "in `like`": 16}


@dataclasses.dataclass(frozen=True)
class PlanRow:
    """What becomes of one name.

    `sources` are names in the file, `rules` numbers of rules in the plan, `name` is that in `like`,
    `told` the shape and dtype, and `note` what is to be seen to, `""` if all is well.
    """

    sources: tuple[str, ...]
    rules: tuple[int, ...]
    name: str
    told: str
    note: str


@dataclasses.dataclass(frozen=True, repr=False)
class MigrationPlan:
    """What `load` would do with the names of a file; made by `migration_plan`.

    `str` gives it as a table: names in the file, by their numbers the rules, and names in `like`.
    `rules` has for each what it belongs to, such as `Block 0 to 1`, and its text. `missing` are
    names of `like` that the file lacks, `unexpected` those that `like` lacks, and `dropped` names
    in the file that a rule leaves out.
    """

    rows: tuple[PlanRow, ...]
    rules: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether `load` would take it: no row has a note but those of what is dropped."""
        return all(row.note in ("", _DROPPED) for row in self.rows)

    def __str__(self) -> str:
        lines = [
            (", ".join(it.sources), " ".join(map(str, it.rules)), it.name, it.told, it.note)
            for it in self.rows
        ]
        widths = widths_of(_HEADER, [_HEADER, *lines], _SHRINKS)
        line = functools.partial(
            line_of, _HEADER, widths=widths, left=_HEADER, paths=("in the file", "in `like`")
        )
        rules = [
            f"rule {number}: {text}" + (f" ({owner})" if owner else "")
            for number, (owner, text) in enumerate(self.rules, start=1)
        ]
        rule = "-" * (sum(widths) + GAP * (len(widths) - 1))
        return "\n".join([line(_HEADER), rule, *map(line, lines), *[rule] * bool(rules), *rules])

    __repr__ = __str__


_DROPPED = "dropped"
_MISSING = "missing in the file"
_UNEXPECTED = "not in `like`"


def migration_plan(
    path: str | os.PathLike[str], like: Any, migrations: Rule | Sequence[Rule] = ()
) -> MigrationPlan:
    """Tell what `load` would do with the names of a file, without reading its arrays.

        print(migration_plan("old", like, [rename("lin", "layers.0")]))

    **Arguments:** `path`, `like`, `migrations`: as of `load`. What a `convert` changes is read, as
    its function alone knows shapes.

    **Returns:** a `MigrationPlan`. What fits with `cast=True` alone is told of too.

    **Raises:** as `load`, for the file, for rules and for versions.
    """
    rules = checked(migrations, "`migrations` of `migration_plan`")
    expanded = unstacked(like)
    leaves = {name: it for name, it in tree_paths(expanded).items() if is_saved(it)}
    nodes = nodes_of(expanded)
    with opened(with_suffix(path, SUFFIX)) as reader:
        texts = texts_of(reader.path, reader.header)
        moved = migration(reader, texts, rules, nodes, leaves)
        found, log = moved or Migration(unmoved(reader, texts), Log([], {}, {}))
        entries = {name: it.known() for name, it in found.items() if it.kind != "text"}
    numbers = _numbers(log)
    rows = [_row(name, entries.get(name), leaf, numbers) for name, leaf in leaves.items()]
    unexpected = [name for name in entries if name not in leaves]
    rows += [_left(entries[name], name, numbers) for name in unexpected]
    rows += _differing(found, static_texts(nodes), numbers)
    used = {source for it in entries.values() for source in it.sources}
    dropped = {name: rule for name, rule in log.dropped.items() if name not in used}
    rows += [PlanRow((name,), (numbers[rule],), "", "", _DROPPED) for name, rule in dropped.items()]
    missing = [row.name for row in rows if row.note == _MISSING]
    told = tuple({numbers[rule]: (owner, repr(rule)) for owner, rule in log.rules}.values())
    return MigrationPlan(tuple(rows), told, tuple(missing), tuple(unexpected), tuple(dropped))


def _differing(
    entries: Entries, texts: Mapping[str, str], numbers: Mapping[Rule, int]
) -> Iterator[PlanRow]:
    """What is no array and has another text than the file."""
    for name, text in texts.items():
        entry = entries.get(name)
        if entry is not None and entry.kind == "text" and entry.value != text:
            by = tuple(numbers[rule] for rule in entry.rules)
            yield PlanRow(entry.sources, by, name, text, f"{entry.value} in the file")


def _numbers(log: Log) -> Mapping[Rule, int]:
    """The rules by number; equal ones of several nodes have one."""
    numbers: dict[Rule, int] = {}
    for _, rule in log.rules:
        numbers.setdefault(rule, len(numbers) + 1)
    return numbers


def _row(name: str, entry: Entry | None, leaf: Any, numbers: Mapping[Rule, int]) -> PlanRow:
    told = _told(getattr(leaf, "shape", None), getattr(leaf, "dtype", type(leaf).__name__))
    if entry is None:
        return PlanRow((), (), name, told, _MISSING)
    by = tuple(numbers[rule] for rule in entry.rules)
    return PlanRow(entry.sources, by, name, told, _note(entry, leaf, told))


def _note(entry: Entry, leaf: Any, told: str) -> str:
    """What does not fit; what is of `like` itself is not compared."""
    if entry.kind == "default":
        return ""
    is_array = entry.kind in ("array", "keys")
    mine = _told(entry.shape, entry.dtype if is_array else type(entry.value).__name__)
    is_reshaped = entry.kind == "array" and (
        entry.dtype == getattr(leaf, "dtype", None) and _sizes(entry) == _sizes(leaf)
    )
    if entry.kind != "keys" and mine != told and not is_reshaped:
        return f"{mine} in the file"
    try:
        _check(entry, leaf)
    except Unfit as fault:
        return str(fault)
    return ""


def _check(entry: Entry, leaf: Any) -> None:
    """Refuse what `load` refuses, beside shapes and numbers.

    **Raises:** `Unfit`.
    """
    if entry.kind == "number":
        check_number(entry.value, leaf)
        return
    check_is_array(leaf)
    if entry.kind == "keys" or key_form(leaf)[0]:
        impl = entry.value.kind["key"] if entry.kind == "keys" else None
        check_keys(impl, entry.shape or (), entry.dtype, leaf)
    else:
        check_is_of_jax(leaf.dtype, leaf)


def _sizes(array: Any) -> list[int]:
    return [size for size in getattr(array, "shape", None) or () if size != 1]


def _left(entry: Entry, name: str, numbers: Mapping[Rule, int]) -> PlanRow:
    is_array = entry.kind in ("array", "keys")
    told = _told(entry.shape, entry.dtype if is_array else type(entry.value).__name__)
    by = tuple(numbers[rule] for rule in entry.rules)
    return PlanRow(entry.sources, by, name, told, _UNEXPECTED)


def _told(shape: tuple[int, ...] | None, kind: Any) -> str:
    if shape is None:
        return str(kind)
    name = np.dtype(kind).name if isinstance(kind, np.dtype) else str(kind)
    return f"{name}[{','.join(map(str, shape))}]"
