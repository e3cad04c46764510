"""What is said of a file that does not fit `like`: the leaves, and the ways out that can help."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..paths._dotted import Strictness, nearest

_MOST_TOLD = 12
_MOST_NAMES = 10
_MOST_RULES = 4
_OF_TORCH = re.compile(r"weight_[ih]h_l\d+(_reverse)?$")

Named = Mapping[str, Any]
"""What names hold: a shape, `()` for what has none; with stars, those of several."""


class WaysOut(NamedTuple):
    """Which settings would let a file fit: those for names, for dtypes, and for static values."""

    strict: bool = False
    cast: bool = False
    static: bool = False

    def told(self) -> str:
        """The text of the settings that can help; none if none can."""
        texts = {
            "`strict=False` takes what is in both.": self.strict,
            "`cast=True` takes other dtypes.": self.cast,
            '`static="ignore"` takes other values of what is no array.': self.static,
        }
        return "".join(f" {text}" for text, helps in texts.items() if helps)


def does_not_fit(place: object, refused: list[str], ways: WaysOut, hint: str = "") -> RuntimeError:
    """Give the error that tells of what does not fit, and what may be done."""
    more = len(refused) - _MOST_TOLD
    told = " ".join(refused[:_MOST_TOLD]) + (f" There are {more} more such." if more > 0 else "")
    return RuntimeError(f"`{place}` does not fit `like`. {told}{hint}{ways.told()}")


def _told_of_names(verb: str, names: list[str], other: str, others: list[str]) -> list[str]:
    """Tell of names, each with the one of the others that is most like it."""
    if not names:
        return []
    near = [nearest(name, others, most=1) for name in names[:_MOST_NAMES]]
    pairs = zip(names, near, strict=False)
    told = [f"`{name}`" + (f" ({other} `{it[0]}`)" if it else "") for name, it in pairs]
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return [f"The file {verb} {', '.join(told)}{more}."]


def told_of_both(
    missing: list[str], unexpected: list[str], left: list[str], strict: Strictness
) -> list[str]:
    """Tell of what is missing and of what is unexpected, as far as it is refused.

    `left` are all names that are in the file alone, to be alike.
    """
    told: list[str] = []
    if strict in (True, "missing"):
        told += _told_of_names("lacks", missing, "it has", left)
    if strict in (True, "unexpected"):
        told += _told_of_names("has also", unexpected, "`like` has", missing)
    return told


def told_of_static(name: str, saved: str, here: str) -> str:
    """Tell of what is no array, and differs."""
    return f"`{name}` is {here} in `like`, and was {saved} when it was saved."


def told_of_renames(missing: Named, left: Named, taken: Collection[str], has_rules: bool) -> str:
    """Tell of the rules that would give to names that are left those that are missing."""
    if any(_OF_TORCH.search(name) for name in left) and not has_rules:
        return " These are names of PyTorch's recurrent layers, which `from_torch` reads."
    pairs = _renames(missing, left, taken)
    pairs = pairs or _renames(_starred(missing), _starred(left), _starred(dict.fromkeys(taken)))
    if not pairs:
        return ""
    rules = ", ".join(f'rename("{old}", "{new}")' for old, new in pairs[:_MOST_RULES])
    before, after = "..., " * has_rules, ", ..." * (len(pairs) > _MOST_RULES)
    it = "it was" if len(left) == 1 else "they were"
    return f" If {it} renamed: `migrations=[{before}{rules}{after}]`, of `equinox.migrations`."


def shapes_of(leaves: Mapping[str, Any], names: Sequence[str]) -> Named:
    """The shapes of leaves of these names, without axes of size one, which may differ."""
    found = ((name, getattr(leaves.get(name), "shape", None) or ()) for name in names)
    return {name: tuple(n for n in shape if n != 1) for name, shape in found}


def _renames(missing: Named, left: Named, taken: Collection[str]) -> list[tuple[str, str]]:
    """Old and new names of what holds the same, where just one pair is possible.

    A node whose other leaves are found by their names, those `taken`, is not renamed, and a leaf
    only within its node.
    """
    olds, news = _nodes(left), _nodes(missing)
    for name in taken:
        for old in _above(name):
            olds.pop(old, None)
    alike: dict[Any, list[str]] = {}
    for old, held in olds.items():
        alike.setdefault(held, []).append(old)
    often = Counter(news.values())
    pairs: list[tuple[str, str]] = []
    for new, held in sorted(news.items(), key=lambda it: len(_above(it[0]))):
        if any(_is_below(new, it) for _, it in pairs):
            continue
        found = alike.get(held, [])
        if len(found) == 1 == often[held] and _is_rule(found[0], new, left):
            pairs.append((found[0], new))
    return pairs


def _is_rule(old: str, new: str, left: Named) -> bool:
    """Whether the two are patterns for a rule that renames, and a leaf stays in its node."""
    is_within = old not in left or _above(old)[-1] == _above(new)[-1]
    return old != new and is_within and "\\" not in old + new and old.count("*") == new.count("*")


def _nodes(named: Named) -> dict[str, frozenset[tuple[str, Any]]]:
    """The leaves and the nodes above them, with the rest of the names in each and their shapes."""
    found: dict[str, set[tuple[str, Any]]] = {}
    for name, shape in named.items():
        for above in (*_above(name), name):
            found.setdefault(above, set()).add((name[len(above) :].removeprefix("."), shape))
    return {above: frozenset(rest) for above, rest in found.items()}


def _starred(named: Named) -> Named:
    """Names with a star for each index, and for each all indices with what they hold."""
    found: dict[str, set[tuple[Any, Any]]] = {}
    for name, shape in named.items():
        parts = name.split(".")
        indices = tuple(part for part in parts if part.isdecimal())
        pattern = ".".join("*" if part.isdecimal() else part for part in parts)
        found.setdefault(pattern, set()).add((indices, shape))
    return {pattern: frozenset(rows) for pattern, rows in found.items()}


def _above(name: str) -> list[str]:
    """The nodes above a name, that of the whole tree first."""
    parts = name.split(".")
    return [".".join(parts[:size]) for size in range(len(parts))]


def _is_below(name: str, node: str) -> bool:
    return name == node or not node or name.startswith(f"{node}.")
