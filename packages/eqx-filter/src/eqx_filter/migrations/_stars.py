"""Patterns over names that tell what their stars stand for, and put that into other names.

A pattern stands for the names that match it and for those below: `layers.*` for `layers.0.weight`.
"""

import re
from typing import NamedTuple

from ..paths._glob import Pattern

_CHARACTER = r"(?:\\.|[^.\\])"
_WORDS = re.compile(r"(\*+|(?:\\.|[^*\\])+)")
_ANY = "**"


class Match(NamedTuple):
    """What the stars of a pattern stand for in a name, and the parts that come after the pattern.

    Each part in it has its dot behind it, since there may be none.
    """

    stars: tuple[str, ...]
    rest: str


class Stars:
    """A pattern.

    **Raises:** `ValueError` for a text that is none, `TypeError` for what is no text.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            message = f"A pattern of a rule is a text, such as `layers.*.weight`; got {text!r}."
            raise TypeError(message)
        self.text = text
        self._words = [_words(part) for part in Pattern(text).parts]
        self.stars = tuple(it for words in self._words for it in words if it.startswith("*"))
        self._regex = re.compile("".join(map(_regex, self._words)) + "(.*)", re.DOTALL)

    def match(self, name: str) -> Match | None:
        """What the stars stand for in a name; with a choice, the fewest parts for a `**`."""
        found = self._regex.fullmatch(name and f"{name}.")
        return None if found is None else Match(found.groups()[:-1], found.groups()[-1])

    def name(self, match: Match) -> str:
        """The name that this pattern has for what another matched."""
        stars = iter(match.stars)
        text = ""
        for words in self._words:
            filled = [next(stars) if it.startswith("*") else it for it in words]
            text += "".join(filled) + "." * (words != [_ANY])
        return (text + match.rest).removesuffix(".")


def _words(part: str) -> list[str]:
    """A part of a pattern as its stars and the texts between them; a row of stars is one."""
    if part == _ANY:
        return [part]
    return ["*" if it.startswith("*") else it for it in _WORDS.findall(part)]


def _regex(words: list[str]) -> str:
    if words == [_ANY]:
        return rf"((?:{_CHARACTER}+\.)*?)"
    texts = [f"({_CHARACTER}*)" if it == "*" else re.escape(it) for it in words]
    return "".join(texts) + r"\."
