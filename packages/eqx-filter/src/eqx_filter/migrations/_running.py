"""Rules in a row, applied to names and arrays."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..shared._numbers import as_dtype
from ._entries import Derived, Entries, Entry, of_array
from ._rule import Log, Place, Rule, made_by


def checked(rules: Any, told: str) -> tuple[Rule, ...]:
    """The rules as a tuple.

    **Raises:** `TypeError` if they are none.
    """
    given = (rules,) if isinstance(rules, Rule) else rules
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    for rule in found:
        if not isinstance(rule, Rule):
            message = (
                f"{told} has rules, as `rename` and its kin in `equinox.migrations` give them; got "
                f"{rule!r}."
            )
            raise TypeError(message)
    return found


def applied(rules: Iterable[Rule], entries: Entries, place: Place, owner: str = "") -> Entries:
    """What names stand for after rules were applied, one after the other."""
    for rule in rules:
        entries = rule.apply(entries, place)
        place.log.rules.append((owner, rule))
    return entries


def migrate(
    arrays: Mapping[str, Any], rules: Rule | Sequence[Rule], like: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Apply rules to named arrays, one after the other.

        migrate({"lin.weight": w}, [rename("lin", "layers.0"), transpose("**.weight")])

    **Arguments:**

    - `arrays`: a mapping from names to arrays of any shape and dtype, or to numbers.
    - `rules`: a rule, or several.
    - `like`: what the names should be in the end, as `tree_paths` gives it; for `default` alone.

    **Returns:** a dict from names to NumPy arrays, and to the numbers. Arrays that are only
    renamed, transposed or taken apart are views.

    **Raises:** `ValueError` naming the rule and the name for what does not fit; `TypeError` for
    `rules` that are none.
    """
    entries = {name: of_array(name, array) for name, array in arrays.items()}
    place = Place("the arrays", like or {}, Log([], {}, {}))
    found = applied(checked(rules, "`rules` of `migrate`"), entries, place)
    return {name: _value(name, entry, place.like) for name, entry in found.items()}


def _value(name: str, entry: Entry, like: Mapping[str, Any]) -> Any:
    if entry.kind == "default":
        entry = resolved(name, entry, like)
    if entry.kind == "default":
        return like[name]
    return entry.value(False) if entry.kind == "array" else entry.value


def resolved(name: str, entry: Entry, like: Mapping[str, Any]) -> Entry:
    """The entry of a value that a `default` gives; still a default if it is that of `like`.

    **Raises:** `ValueError` if `like` has no such leaf, none with values, or one that has no place
    for the value.
    """
    rule, value = entry.rules[0], entry.value
    is_plain = value is not None and not callable(value) and np.ndim(value) > 0
    if name not in like and not is_plain:
        message = f"`{rule!r}` gives a value to `{name}`, which is no leaf of `like`."
        raise ValueError(message)
    leaf = like.get(name)
    shape, dtype = getattr(leaf, "shape", None), getattr(leaf, "dtype", None)
    if value is None and isinstance(leaf, jax.ShapeDtypeStruct):
        message = (
            f"`{rule!r}` takes `{name}` from `like`, where it is a `jax.ShapeDtypeStruct` and has "
            "no values. Give `default` a value, or a function such as `jnp.zeros_like`."
        )
        raise ValueError(message)
    if value is None:
        return entry
    if callable(value):
        read = Derived(lambda: made_by(rule, value, name, leaf), [])
        return Entry("array", read, rules=entry.rules)
    if isinstance(value, (bool, int, float, complex)):
        if shape is None:
            return Entry("number", value, rules=entry.rules)
        one = as_dtype(value, dtype)
        if one is None:
            message = (
                f"`{rule!r}` gives {value!r} to `{name}`, which is of dtype {dtype} in `like` and "
                "has no place for it. Give `default` a value of that dtype."
            )
            raise ValueError(message)
        return Entry("array", lambda _: np.full(shape, one), shape, one.dtype, (), entry.rules)
    array = made_by(rule, lambda it: it, name, value)
    return Entry("array", lambda _: array, array.shape, array.dtype, rules=entry.rules)


def reverse(rules: Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    """Give the rules of the way back: the reverse of each, the last one first.

        migrate(migrate(arrays, rules), reverse(rules))    # the arrays

    That is so where the names that a rule makes were not there before, and nothing is dropped.

    **Arguments:** `rules`: a rule, or several.

    **Returns:** a tuple of rules.

    **Raises:** `ValueError` naming a rule that has no way back; `TypeError` for what is no rule.
    """
    found = checked(rules, "`rules` of `reverse`")
    return tuple(rule.reverse() for rule in reversed(found))
