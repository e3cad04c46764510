"""Rules of arrays: transposed, taken apart, put together, converted.

Nothing is computed before an array is read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from ..shared._naming import refuse_uncallable
from ._entries import Derived, Entries, Entry
from ._parts import Join, Split, Stack, Unstack
from ._rule import Place, Rule, check_stars, found_by, made_by, refused
from ._stars import Stars


@dataclass(frozen=True, repr=False)
class Transpose(Rule):
    """See `transpose`."""

    where: str
    axes: tuple[int, ...] | None = None
    _: KW_ONLY
    optional: bool = False

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""

        def transposed(name: str, entry: Entry) -> Entry:
            known = entry.known()
            shape = known.shape or ()
            axes = tuple(reversed(range(len(shape)))) if self.axes is None else self.axes
            if sorted(axes) != [*range(len(shape))]:
                why = f"it has the shape {shape}, of which {axes} are not all axes in some order"
                raise refused(self, name, place, why)
            read = Derived(lambda array: array.transpose(axes), [entry.value])
            return known.by(self, value=read, shape=tuple(shape[axis] for axis in axes))

        return _each(self, self.where, entries, place, transposed, optional=self.optional)

    def reverse(self) -> Rule:
        """As of `Rule`."""
        axes = None if self.axes is None else tuple(int(it) for it in np.argsort(self.axes))
        return Transpose(self.where, axes, optional=self.optional)


def transpose(where: str, axes: Sequence[int] | None = None, *, optional: bool = False) -> Rule:
    """Exchange the axes of arrays.

        transpose("**.c_attn")                      # weights; vectors stay as they are
        transpose("conv*.weight", (3, 2, 0, 1))     # kernels from HWIO to OIHW

    **Arguments:**

    - `where`: a pattern as of `rename`, of arrays or of nodes with arrays.
    - `axes`: for each new axis which it was before, counted from 0; None for the reverse order.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. Its reverse exchanges them back.

    **Raises:** `ValueError` for a text that is no pattern, or axes of which one is there twice or
    missing. When it is applied: `ValueError` if no name matches, for an array with other axes, and
    for one of PRNG keys.
    """
    Stars(where)
    given = None if axes is None else tuple(axes)
    if given is not None and sorted(given) != [*range(len(given))]:
        message = f"`axes` of `transpose` has each of 0 to {len(given) - 1} once; got {given}."
        raise ValueError(message)
    return Transpose(where, given, optional=optional)


@dataclass(frozen=True, repr=False, eq=False)
class Convert(Rule):
    """See `convert`."""

    where: str
    function: Callable[[Any], Any]
    back: Callable[[Any], Any] | None = None
    _: KW_ONLY
    optional: bool = False

    def apply(self, entries: Entries, place: Place) -> Entries:
        """As of `Rule`."""

        def converted(name: str, entry: Entry) -> Entry:
            read = Derived(lambda array: made_by(self, self.function, name, array), [entry.value])
            return entry.by(self, value=read, shape=None, dtype=None)

        return _each(self, self.where, entries, place, converted, optional=self.optional)

    def reverse(self) -> Rule:
        """As of `Rule`."""
        if self.back is None:
            message = f"`{self!r}` has no way back. Pass a function that undoes it as `back`."
            raise ValueError(message)
        return Convert(self.where, self.back, self.function, optional=self.optional)


def convert(
    where: str,
    function: Callable[[Any], Any],
    back: Callable[[Any], Any] | None = None,
    *,
    optional: bool = False,
) -> Rule:
    """Make arrays of arrays by a function, one by one.

        convert("**.weight_g", np.ravel)
        convert("log_scale", np.log, np.exp)

    **Arguments:**

    - `where`: a pattern as of `rename`, of arrays or of nodes with arrays.
    - `function`: from a NumPy array, which it does not write to, to one of any shape and dtype.
    - `back`: a function that undoes it.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. It has a reverse if there is `back`.

    **Raises:** `ValueError` for a text that is no pattern; `TypeError` for what is no text or no
    function. When it is applied: `ValueError` if no name matches, and for an array of PRNG keys;
    when an array is read, `ValueError` if `function` gives no array, and what it raises, with a
    note of the rule and the name.
    """
    Stars(where)
    refuse_uncallable("convert", function=function)
    if back is not None:
        refuse_uncallable("convert", back=back)
    return Convert(where, function, back, optional=optional)


def _each(
    rule: Rule,
    where: str,
    entries: Entries,
    place: Place,
    function: Callable[[str, Entry], Entry],
    *,
    optional: bool,
) -> Entries:
    news = dict(entries)
    for name, _, entry in found_by(rule, where, entries, place, optional=optional):
        if entry.kind == "keys":
            why = "it is an array of PRNG keys, whose names alone can be changed"
            raise refused(rule, name, place, why)
        if entry.kind == "array":
            make = functools.partial(function, name, entry)
            news[name] = replace(place.log.once(rule, [entry], make), sources=entry.sources)
    return news


def split(
    old: str,
    new: Sequence[str],
    *,
    axis: int = 0,
    sizes: Sequence[int] | None = None,
    optional: bool = False,
) -> Rule:
    """Take arrays apart along an axis, such as a joint projection of attention.

        split("**.c_attn", ["**.query_proj", "**.key_proj", "**.value_proj"])

    **Arguments:**

    - `old`: a pattern as of `rename`, of arrays or of nodes with arrays.
    - `new`: the patterns of the parts, in order, with the stars of `old`.
    - `axis`: along which; it may be counted from the end.
    - `sizes`: those of the parts; None for equal ones.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. What is no array, such as a number, is that of every part. Its reverse is
    `join`.

    **Raises:** `ValueError` if the patterns differ in their stars, or `sizes` is not as long as
    `new` or has what is no size. When it is applied: `ValueError` if no name matches, if two arrays
    would have one name, for an array that cannot be divided so, and for one of PRNG keys.
    """
    given = _checked("split", old, new, sizes)
    return Split(old, tuple(new), axis=axis, sizes=given, optional=optional)


def join(
    old: Sequence[str],
    new: str,
    *,
    axis: int = 0,
    sizes: Sequence[int] | None = None,
    optional: bool = False,
) -> Rule:
    """Put arrays together along an axis: the reverse of `split`.

        join(["**.query_proj", "**.key_proj", "**.value_proj"], "**.in_proj")

    **Arguments:**

    - `old`: the patterns of the parts, in order, as of `rename`.
    - `new`: the pattern of the whole, with their stars.
    - `axis`: along which; it may be counted from the end.
    - `sizes`: those of the parts, for the way back; None for equal ones.
    - `optional`: whether there need be no name of the first part.

    **Returns:** a rule. What is no array must be equal in all parts. Its reverse is `split`.

    **Raises:** as `split`; and when it is applied, `ValueError` naming a part that is missing, and
    parts that have other sizes on the other axes.
    """
    given = _checked("join", new, old, sizes)
    return Join(tuple(old), new, axis=axis, sizes=given, optional=optional)


def _checked(
    kind: str, whole: str, parts: Sequence[str], sizes: Sequence[int] | None
) -> tuple[int, ...] | None:
    if isinstance(parts, str) or not parts:
        message = f"`{kind}` has a list of patterns for the parts; got {parts!r}."
        raise ValueError(message)
    check_stars(kind, whole, parts)
    if sizes is not None and len(sizes) != len(parts):
        message = (
            f"`sizes` of `{kind}` has one for each part: there are {len(parts)} parts, and "
            f"{len(sizes)} sizes."
        )
        raise ValueError(message)
    given = None if sizes is None else tuple(sizes)
    for size in given or ():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
            message = f"`sizes` of `{kind}` are integers from 0 on; got {given}."
            raise ValueError(message)
    return given if given is None else tuple(map(int, given))


def stack(old: str, new: str, *, optional: bool = False) -> Rule:
    """Put the arrays of numbered nodes together, along a new first axis.

        stack("layers.*", "layers")    # layers.0.weight, layers.1.weight, ... are layers.weight

    It is for layers that are scanned by hand. Those of `Stacked` have the names of a tuple of
    layers in a file, and need no rule.

    **Arguments:**

    - `old`: a pattern as of `rename`; its last star, a `*`, is that of the number.
    - `new`: a pattern with the stars before it.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. What is no array must be equal in all. Its reverse is `unstack`.

    **Raises:** `ValueError` if the patterns differ in their other stars. When it is applied:
    `ValueError` if no name matches, if the last star is no number from 0 on, for arrays whose
    shapes differ, and for PRNG keys.
    """
    _check_numbered("stack", old, new)
    return Stack(old, new, optional=optional)


def unstack(old: str, new: str, *, optional: bool = False) -> Rule:
    """Take arrays apart along their first axis: the reverse of `stack`.

        unstack("layers", "layers.*")    # layers.weight is layers.0.weight, layers.1.weight, ...

    **Arguments:**

    - `old`: a pattern as of `rename`, of arrays or of nodes with arrays.
    - `new`: a pattern with its stars and one more, a `*`, which is that of the number.
    - `optional`: whether there need be no such name.

    **Returns:** a rule. What is no array is that of every node, if an array in that node says how
    many there are. Its reverse is `stack`.

    **Raises:** as `stack`; when it is applied, `ValueError` for arrays without an axis, or whose
    first axes differ in one node.
    """
    _check_numbered("unstack", new, old)
    return Unstack(old, new, optional=optional)


def _check_numbered(kind: str, many: str, one: str) -> None:
    stars, others = Stars(many).stars, Stars(one).stars
    if stars[-1:] != ("*",) or stars[:-1] != others:
        message = (
            f"`{kind}` has a pattern of numbered nodes, which ends its stars with a `*` for the "
            f"number, and one of the whole with the stars before it; got `{many}` and `{one}`."
        )
        raise ValueError(message)
