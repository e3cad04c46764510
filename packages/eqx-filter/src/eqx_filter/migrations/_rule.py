"""What all rules have: how they look for names, and what they refuse."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from ..paths._dotted import nearest
from ._entries import VERSION, Entries, Entry
from ._stars import Match, Stars

_Made = TypeVar("_Made")


class Log(NamedTuple):
    """What was done: rules in order, with what each belongs to, and by which a name was dropped.

    `made` has what rules made of arrays, so that an array that has several names stays one.
    """

    rules: list[tuple[str, "Rule"]]
    dropped: dict[str, "Rule"]
    made: dict[Any, Any]

    def once(self, rule: "Rule", entries: Sequence[Entry], make: Callable[[], _Made]) -> _Made:
        """What a rule makes of arrays, which is made once."""
        key = (rule, *(id(it.value) for it in entries))
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


class Place(NamedTuple):
    """What a rule is told of where it is applied.

    `told` is what messages call the names, and `like` has the leaves that they are for, by name.
    """

    told: str
    like: Mapping[str, Any]
    log: Log


class Found(NamedTuple):
    """A name that a rule is for."""

    name: str
    match: Match
    entry: Entry


@dataclass(frozen=True)
class Rule(ABC):
    """What is done to names, or to the arrays that they stand for; made by `rename` and its kin.

    A rule has no state, and its `repr` is the call that makes it.
    """

    @abstractmethod
    def apply(self, entries: Entries, place: Place) -> Entries:
        """Give what the names stand for afterwards.

        **Raises:** `ValueError` naming the rule.
        """

    @abstractmethod
    def reverse(self) -> "Rule":
        """Give the rule of the way back.

        **Raises:** `ValueError` naming the rule, if it has none.
        """

    def __repr__(self) -> str:
        given = [(it, getattr(self, it.name)) for it in fields(self)]
        told = [
            f"{it.name}={_told(value)}" if it.kw_only else _told(value)
            for it, value in given
            if not _is(value, it.default)
        ]
        return f"{type(self).__name__.lower()}({', '.join(told)})"


def _is(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (bool, int, str)) and value == default)


def _told(value: Any) -> str:
    """What a message says of an argument: of an array its dtype and shape."""
    if not isinstance(value, (np.ndarray, jax.Array)):
        return repr(value)
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


@dataclass(frozen=True, repr=False)
class Renaming(Rule):
    """A rule by which names that one pattern stands for become those of another."""

    old: str
    new: str
    _: KW_ONLY
    optional: bool = False


def found_by(
    rule: Rule, pattern: str, entries: Entries, place: Place, *, optional: bool
) -> list[Found]:
    """Give the names that a pattern stands for.

    **Raises:** `ValueError` with the nearest names, if there are none though there must be.
    """
    stars = Stars(pattern)
    matches = ((name, stars.match(name), entry) for name, entry in entries.items())
    found = [Found(name, it, entry) for name, it, entry in matches if it is not None]
    if not found and not optional:
        raise ValueError(_nothing(rule, pattern, entries, place))
    return found


def _nothing(rule: Rule, pattern: str, entries: Entries, place: Place) -> str:
    names = [name for name in entries if not is_version(name)]
    nodes = {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}
    near = nearest(pattern, [*names, *sorted(nodes.difference(names))])
    told = ", ".join(f"`{name}`" for name in near or names[:5])
    alike = f"; {'the nearest are' if near else 'there are'} {told}" if told else ""
    return (
        f"`{rule!r}` finds no name in {place.told} that `{pattern}` stands for{alike}. Pass "
        "`optional=True` if there need be none."
    )


def gathered(rule: Rule, news: Iterable[tuple[str, str, Entry]]) -> Entries:
    """Give what new names stand for, of each an old name, the new one, and what it stands for.

    Of texts and versions of one name that which is renamed stays.

    **Raises:** `ValueError` if two arrays or numbers have one new name.
    """
    entries: Entries = {}
    olds: dict[str, str] = {}
    for old, new, entry in news:
        if new in entries and entry.kind in ("text", "version"):
            entries[new] = entry if old != new else entries[new]
            continue
        if new in entries:
            names = f"`{olds[new]}`" if olds[new] == old else f"`{olds[new]}` and `{old}`"
            message = (
                f"`{rule!r}` would give one name, `{new}`, to two arrays: those of {names}. Rename "
                "or drop one of them before."
            )
            raise ValueError(message)
        entries[new], olds[new] = entry, old
    return entries


def is_version(name: str) -> bool:
    """Whether a name is that of the version of a node."""
    return name == VERSION or name.endswith(f".{VERSION}")


def check_stars(kind: str, old: str, news: Sequence[str]) -> None:
    """Refuse patterns whose stars cannot be put into one another.

    **Raises:** `ValueError` naming both, and for a text that is no pattern.
    """
    mine = Stars(old).stars
    for new in news:
        others = Stars(new).stars
        if mine != others:
            told = (f"`{text}` has {_counted(it)}" for text, it in ((old, mine), (new, others)))
            message = (
                f"Patterns of `{kind}` have the same stars in the same order, which stand for the "
                f"same texts: {', and '.join(told)}."
            )
            raise ValueError(message)


def _counted(stars: Sequence[str]) -> str:
    return ", ".join(f"`{it}`" for it in stars) or "none"


def refused(rule: Rule, name: str, place: Place, why: str) -> ValueError:
    """Give the error that is raised of a name."""
    message = f"`{rule!r}` cannot be applied to `{name}` of {place.told}: {why}."
    return ValueError(message)


def made_by(rule: Rule, function: Callable[[Any], Any], name: str, given: Any) -> np.ndarray:
    """The array that a function of the user makes for a name.

    **Raises:** `ValueError` if it makes none; what the function raises, with a note.
    """
    try:
        made = function(given)
    except Exception as error:
        error.add_note(f"It was raised in `{rule!r}`, for `{name}`.")
        raise
    is_of_keys = isinstance(made, jax.Array) and jax.dtypes.issubdtype(
        made.dtype, jax.dtypes.prng_key
    )
    array = None if is_of_keys else np.asarray(made)
    if array is None or array.dtype.hasobject or array.dtype.kind in "SUmM":
        told = "PRNG keys" if is_of_keys else f"a `{type(made).__name__}`"
        message = f"`{rule!r}` gives {told} for `{name}`, and must give an array of numbers."
        raise ValueError(message)
    return array
