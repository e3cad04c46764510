"""Rules of names: what they stand for stays as it is."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ._entries import Entries, Entry
from ._rule import Place, Renaming, Rule, check_stars, found_by, gathered
from ._stars import Match, Stars


@dataclass(frozen=True, repr=False)
class Rename(Renaming):
    """See `rename`."""

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        found = found_by(self, self.old, entries, place, optional=self.optional)
        new = Stars(self.new)
        names = {it.name: new.name(it.match) for it in found}
        return gathered(
            self,
            (
                (name, names.get(name, name), it.by(self) if name in names else it)
                for name, it in entries.items()
            ),
        )

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Rename(self.new, self.old, optional=self.optional)


def rename(old: str, new: str, *, optional: bool = False) -> Rule:
    """Give other names to arrays, or to nodes with all that is below.

        rename("lin", "layers.0")                          # lin.weight is layers.0.weight
        rename("transformer.h.*.ln_*", "blocks.*.norm*")   # stars stand for the same texts
        rename("model.**", "**")                           # a `**` for any number of parts

    **Arguments:**

    - `old`, `new`: patterns over dotted names, `""` being the whole tree. A `*` stands for any text
        in a part of a name, and a part `**` for any number of parts, as few as can be.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. Its reverse is `rename(new, old)`.

    **Raises:** `ValueError` if the patterns differ in their stars. When it is applied: `ValueError`
    if no name matches, with the nearest, or if two arrays would have one name.
    """
    check_stars("rename", old, [new])
    return Rename(old, new, optional=optional)


@dataclass(frozen=True, repr=False)
class Copy(Renaming):
    """See `copy`."""

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        found = found_by(self, self.old, entries, place, optional=self.optional)
        new = Stars(self.new)
        news = ((it.name, new.name(it.match), it.entry.by(self)) for it in found)
        missing = [it for it in news if it[1] not in entries]
        return entries | gathered(self, missing)

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Drop(self.new, optional=True)


def copy(old: str, new: str, *, optional: bool = False) -> Rule:
    """Give a second name to arrays, or to nodes with all that is below.

        copy("embedding.weight", "head.weight")    # for a file that has what is shared once

    **Arguments:** as of `rename`. A name that is there already stays as it is.

    **Returns:** a rule. Its reverse drops the second name.

    **Raises:** as `rename`.
    """
    check_stars("copy", old, [new])
    return Copy(old, new, optional=optional)


@dataclass(frozen=True, repr=False)
class Drop(Rule):
    """See `drop`."""

    old: str
    _: KW_ONLY
    optional: bool = False

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        found = found_by(self, self.old, entries, place, optional=self.optional)
        names = {it.name for it in found}
        place.log.dropped.update((source, self) for it in found for source in it.entry.sources)
        return {name: it for name, it in entries.items() if name not in names}

    def reverse(self) -> Rule:
        """As of `Rule`."""
        if self.optional:
            return self
        message = (
            f"`{self!r}` has no way back: what it drops cannot be made again. With "
            "`optional=True` the way back leaves it out."
        )
        raise ValueError(message)


def drop(old: str, *, optional: bool = False) -> Rule:
    """Leave out arrays, or nodes with all that is below.

    **Arguments:** as of `rename`.

    **Returns:** a rule. It has a reverse if it is optional, which leaves out the same names.

    **Raises:** `ValueError` for a text that is no pattern. When it is applied: `ValueError` if no
    name matches, with the nearest.
    """
    Stars(old)
    return Drop(old, optional=optional)


@dataclass(frozen=True, repr=False, eq=False)
class Default(Rule):
    """See `default`."""

    name: str
    value: Any = None

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""
        stars = Stars(self.name)
        names = [stars.name(Match((), ""))] if not stars.stars else []
        for name in place.like if stars.stars else ():
            match = stars.match(name)
            names += [name] if match is not None and not match.rest else []
        if not names:
            told = ", ".join(f"`{name}`" for name in [*place.like][:5])
            message = f"`{self!r}` finds no leaf of `like`, which has {told or 'none'}."
            raise ValueError(message)
        news = {name: Entry("default", self.value, rules=(self,)) for name in names}
        return entries | {name: it for name, it in news.items() if name not in entries}

    def reverse(self) -> Rule:
        """As of `Rule`."""
        return Drop(self.name, optional=True)


def default(name: str, value: Any = None) -> Rule:
    """Give a value to leaves that have none.

        default("scale", 1.0)                # every element
        default("norm.weight", jnp.ones_like)
        default("layers.*.gate")             # the leaves of `like`

    **Arguments:**

    - `name`: of a leaf, not of a node. With stars it stands for leaves of `like`, and so is for
        the names that these have in the end.
    - `value`: an array; a number, for all elements of an array; a function of the leaf of `like`,
        which may be a `jax.ShapeDtypeStruct`; or None for that leaf itself. Later rules may
        rename it, and leave the value as it is.

    **Returns:** a rule. Its reverse leaves out the names.

    **Raises:** `ValueError` for a text that is no pattern. When it is applied: `ValueError` if
    `like` has no such leaf, or has a `jax.ShapeDtypeStruct` where its own leaf is asked for.
    """
    Stars(name)
    return Default(name, value)
