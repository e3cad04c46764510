"""Rules by which one name is for several, or several are for one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from ._entries import Derived, Entries, Entry, Kept
from ._rule import Found, Place, Renaming, Rule, found_by, gathered, refused
from ._stars import Match, Stars


@dataclass(frozen=True, repr=False)
class Split(Rule):
    """See `split`."""

    old: str
    new: tuple[str, ...]
    _: KW_ONLY
    axis: int = 0
    sizes: tuple[int, ...] | None = None
    optional: bool = False

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        found = found_by(self, self.old, entries, place, optional=self.optional)
        news = [Stars(it) for it in self.new]

        def parts_of(it: Found) -> Iterator[tuple[str, Entry]]:
            names = [new.name(it.match) for new in news]
            if not _is_array(self, it.name, it.entry, place):
                return zip(names, [it.entry.by(self)] * len(names), strict=True)
            make = functools.partial(self._parts, it.name, it.entry, place)
            parts = place.log.once(self, [it.entry], make)
            return zip(
                names, [replace(part, sources=it.entry.sources) for part in parts], strict=True
            )

        return _exchanged(self, entries, {it.name: parts_of(it) for it in found})

    def _parts(self, name: str, entry: Entry, place: Place) -> list[Entry]:
        count = len(self.new)
        known = _kept(entry, count)
        shape = known.shape or ()
        if not -len(shape) <= self.axis < len(shape):
            why = f"it has the shape {shape}, and no axis {self.axis}"
            raise refused(self, name, place, why)
        length = shape[self.axis]
        sizes = self.sizes or (length // count,) * count
        if sum(sizes) != length:
            told = f"sizes {sizes}" if self.sizes else f"{count} equal parts"
            why = f"its axis {self.axis} is of {length}, which is not that of {told}"
            raise refused(self, name, place, why)
        ends = np.cumsum(sizes)
        pairs = zip(ends - sizes, ends, strict=True)
        return [_slice(self, known, self.axis, int(start), int(end)) for start, end in pairs]

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Join(self.new, self.old, axis=self.axis, sizes=self.sizes, optional=self.optional)


@dataclass(frozen=True, repr=False)
class Join(Rule):
    """See `join`."""

    old: tuple[str, ...]
    new: str
    _: KW_ONLY
    axis: int = 0
    sizes: tuple[int, ...] | None = None
    optional: bool = False

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        new, others = Stars(self.new), [Stars(it) for it in self.old[1:]]
        groups = []
        for it in found_by(self, self.old[0], entries, place, optional=self.optional):
            names = [it.name, *(other.name(it.match) for other in others)]
            groups.append((new.name(it.match), names))
        return _together(self, entries, groups, place, self._whole)

    def _whole(self, names: Sequence[str], parts: Sequence[Entry], place: Place) -> Entry:
        shapes = [part.shape or () for part in parts]
        count = len(shapes[0])
        if not -count <= self.axis < count:
            why = f"it has the shape {shapes[0]}, and no axis {self.axis}"
            raise refused(self, names[0], place, why)
        axis = self.axis % count
        for name, shape in zip(names, shapes, strict=True):
            if len(shape) != count or _without(shape, axis) != _without(shapes[0], axis):
                why = (
                    f"it has the shape {shape}, and `{names[0]}` has {shapes[0]}; they must differ "
                    f"on axis {self.axis} alone"
                )
                raise refused(self, name, place, why)
        length = sum(shape[axis] for shape in shapes)
        read = Derived(lambda *arrays: np.concatenate(arrays, axis), [it.value for it in parts])
        shape = (*shapes[0][:axis], length, *shapes[0][axis + 1 :])
        return parts[0].by(self, value=read, shape=shape)

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Split(self.new, self.old, axis=self.axis, sizes=self.sizes, optional=self.optional)


@dataclass(frozen=True, repr=False)
class Stack(Renaming):
    """See `stack`."""

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        new = Stars(self.new)
        rows: dict[str, dict[str, str]] = {}
        arrays: dict[tuple[str, ...], dict[str, Sequence[str]]] = {}
        for it in found_by(self, self.old, entries, place, optional=self.optional):
            *outer, number = it.match.stars
            whole = new.name(Match(tuple(outer), it.match.rest))
            row = rows.setdefault(whole, {})
            row[number] = it.name
            if it.entry.kind not in ("text", "version"):
                arrays.setdefault(tuple(outer), {})[whole] = row
        for whole, row in rows.items():
            if {*row} != {*map(str, range(len(row)))}:
                name = next(iter(row.values()))
                why = f"`{whole}` is of numbers from 0 on without a gap; got {', '.join(row)}"
                raise refused(self, name, place, why)
        for of_node in arrays.values():
            count = max(map(len, of_node.values()))
            for whole, row in of_node.items():
                if len(row) < count:
                    why = f"`{whole}` is of {len(row)}, and others of its node are of {count}"
                    raise refused(self, rows[whole][str(len(row) - 1)], place, why)
        groups = [(whole, [row[str(i)] for i in range(len(row))]) for whole, row in rows.items()]
        return _together(self, entries, groups, place, self._whole)

    def _whole(self, names: Sequence[str], parts: Sequence[Entry], place: Place) -> Entry:
        for name, part in zip(names, parts, strict=True):
            if part.shape != parts[0].shape:
                why = (
                    f"it has the shape {part.shape}, and `{names[0]}` has {parts[0].shape}; they "
                    "must be equal"
                )
                raise refused(self, name, place, why)
        read = Derived(lambda *arrays: np.stack(arrays), [it.value for it in parts])
        return parts[0].by(self, value=read, shape=(len(parts), *(parts[0].shape or ())))

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Unstack(self.new, self.old, optional=self.optional)


@dataclass(frozen=True, repr=False)
class Unstack(Renaming):
    """See `unstack`."""

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        found = found_by(self, self.old, entries, place, optional=self.optional)
        new = Stars(self.new)
        counts: dict[tuple[str, ...], int] = {}
        known: dict[str, Entry] = {}
        for it in found:
            if not _is_array(self, it.name, it.entry, place):
                continue
            entry = it.entry.known()
            count = entry.shape[0] if entry.shape else None
            known[it.name] = _kept(entry, count or 0)
            if count is None or counts.setdefault(it.match.stars, count) != count:
                others = counts.get(it.match.stars)
                told = "" if others is None else f", and others of its node have {others} first"
                why = f"it has the shape {entry.shape}{told}"
                raise refused(self, it.name, place, why)

        def parts_of(it: Found) -> Iterator[tuple[str, Entry]]:
            for i in range(counts[it.match.stars]):
                name = new.name(Match((*it.match.stars, str(i)), it.match.rest))
                entry = known.get(it.name)
                yield name, it.entry.by(self) if entry is None else _item(self, entry, i)

        return _exchanged(
            self, entries, {it.name: parts_of(it) for it in found if it.match.stars in counts}
        )

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Stack(self.new, self.old, optional=self.optional)


def _kept(entry: Entry, parts: int) -> Entry:
    """The entry of an array that is to be read once for so many parts."""
    known = entry.known()
    return replace(known, value=Kept(known.value, parts))


def _is_array(rule: Rule, name: str, entry: Entry, place: Place) -> bool:
    if entry.kind == "keys":
        why = "it is an array of PRNG keys, whose names alone can be changed"
        raise refused(rule, name, place, why)
    return entry.kind == "array"


def _slice(rule: Rule, entry: Entry, axis: int, start: int, end: int) -> Entry:
    shape = list(entry.shape or ())
    shape[axis] = end - start
    place = (*[slice(None)] * (axis % len(shape)), slice(start, end))
    read = Derived(lambda array: array[place], [entry.value])
    return entry.by(rule, value=read, shape=tuple(shape))


def _item(rule: Rule, entry: Entry, i: int) -> Entry:
    read = Derived(lambda array: array[i : i + 1].reshape(array.shape[1:]), [entry.value])
    return entry.by(rule, value=read, shape=(entry.shape or ())[1:])


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _exchanged(
    rule: Rule, entries: Entries, parts: dict[str, Iterable[tuple[str, Entry]]]
) -> Entries:
    """The entries, with parts in the place of some."""
    news = ((name, *part) for name, it in entries.items() for part in parts.get(name, [(name, it)]))
    return gathered(rule, news)


_Whole = Callable[[Sequence[str], Sequence[Entry], Place], Entry]


def _together(
    rule: Rule,
    entries: Entries,
    groups: Iterable[tuple[str, Sequence[str]]],
    place: Place,
    function: _Whole,
) -> Entries:
    """The entries, with one in the place of each group: where the first of it was."""
    wholes: dict[str, tuple[str, Entry] | None] = {}
    for whole, names in groups:
        made = _whole(rule, entries, names, place, function)
        wholes |= dict.fromkeys(names)
        wholes[names[0]] = None if made is None else (whole, made)
    news = ((name, wholes.get(name, (name, it))) for name, it in entries.items())
    return gathered(rule, ((name, *new) for name, new in news if new is not None))


def _whole(
    rule: Rule, entries: Entries, names: Sequence[str], place: Place, function: _Whole
) -> Entry | None:
    """What is made of a group; None for texts that differ, which are not compared then."""
    first = entries[names[0]]
    is_array = _is_array(rule, names[0], first, place)
    if not is_array and first.kind == "text":
        texts = {entries[it].value if it in entries else None for it in names}
        return first.by(rule) if len(texts) == 1 else None
    for name in names:
        if name not in entries:
            why = f"there is `{names[0]}`, and no `{name}`, which comes with it"
            raise refused(rule, names[0], place, why)
        if entries[name].kind != first.kind:
            why = f"it is of the kind `{entries[name].kind}`, and `{names[0]}` is `{first.kind}`"
            raise refused(rule, name, place, why)
    parts = [entries[it].known() for it in names]
    told = [part.dtype if is_array else part.value for part in parts]
    for name, value in zip(names, told, strict=True):
        if value != told[0]:
            kind = "dtype" if is_array else first.kind
            why = (
                f"its {kind} is {value}, and that of `{names[0]}` is {told[0]}; they must be equal"
            )
            raise refused(rule, name, place, why)
    if not is_array:
        return first.by(rule)
    made = place.log.once(rule, parts, lambda: function(names, parts, place))
    return replace(made, sources=_sources(parts))


def _sources(parts: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.sources))
