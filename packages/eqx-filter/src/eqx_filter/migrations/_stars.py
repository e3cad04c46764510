"""Patterns over names that tell what their stars stand for, and put that into other names.

A pattern stands for the names that match it and for those below: `layers.*` for `layers.0.weight`.
"""

import re
from typing import NamedTuple

from ..paths._glob import Pattern, glob_regex

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
        """What the stars stand for in a name.

        With a choice, it is the fewest parts for a `**`, and in a part the longest texts for the
        first stars.
        """
        found = self._regex.fullmatch(name and f"{name}.")
        if found is None:
            return None
        groups, stars = iter(found.groups()), list[str]()
        for words in self._words:
            count = _counted(words)
            group = next(groups) if count else ""
            stars += _texts(words, group) if count > 1 else [group] * count
        return Match(tuple(stars), next(groups))

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


def _counted(words: list[str]) -> int:
    return sum(it.startswith("*") for it in words)


def _regex(words: list[str]) -> str:
    """A part as a regular expression: with several stars, the whole of it is one group."""
    if words == [_ANY]:
        return rf"((?:{_CHARACTER}+\.)*?)"
    if _counted(words) > 1:
        return rf"({glob_regex(words)})\."
    texts = [f"({_CHARACTER}*)" if it == "*" else re.escape(it) for it in words]
    return "".join(texts) + r"\."


def _texts(words: list[str], part: str) -> list[str]:
    """What the stars of a part stand for in one that matches: texts in between as late as can be.

    Each is looked for once, from the end.
    """
    characters = re.findall(_CHARACTER, part, re.DOTALL)
    texts: list[str] = []
    right = len(characters)
    for place in reversed(range(len(words))):
        if words[place] == "*":
            continue
        word = re.findall(_CHARACTER, words[place], re.DOTALL)
        start = right - len(word) if place else 0
        while characters[start : start + len(word)] != word:
            start -= 1
        if place < len(words) - 1:
            texts.append("".join(characters[start + len(word) : right]))
        right = start
    if words[0] == "*":
        texts.append("".join(characters[:right]))
    return texts[::-1]
