r"""Patterns over paths: `layers.*.weight`, or as Python has it, `model.layers[*].weight`.

A `*` stands for any text within a part, and a part `**` for any number of parts.
"""

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from ..shared._levels import keyed_children
from ._dotted import escaped, part

_ANY = "**"
_ROOTS = ("model", "params", "pytree", "tree")
"""What messages call a tree; left out where the tree has no such part."""

_CHARACTER = r"\\.|[^.\\]"
_DOTTED = re.compile(rf"(?:{_CHARACTER})+")
_PYTHON = re.compile(
    r"""
    \.? ( [^\W\d]\w*\*? | \*{1,2} )                                      # an attribute
    | \[ ( (?: '(?:\\.|[^'])*' | "(?:\\.|[^"])*" | [^\]] )* ) \]   # an index or a key
    """,
    re.VERBOSE,
)


class Pattern:
    """A pattern, which a path matches or not."""

    def __init__(self, text: str) -> None:
        self.parts = _parts(text)
        self.has_wildcard = any("*" in re.sub(r"\\.", "", it) for it in self.parts)
        self._regex = re.compile("".join(map(_regex, self.parts)), re.DOTALL)
        self._each = [_test_of(it) for it in self.parts]
        self._any = frozenset(i for i, it in enumerate(self.parts) if it == _ANY)
        self.may_have_root = len(self.parts) > 1 and self.parts[0] in _ROOTS

    def matches(self, path: str, depth: int) -> bool:
        """Whether a path of so many parts matches."""
        return self._regex.fullmatch(path + "." * bool(depth)) is not None

    def without_root(self, own: Collection[str]) -> "Pattern":
        """The pattern for a tree whose children have these parts.

        Its first part is left out if that is what messages call a tree, and no part of this one.
        """
        if not self.may_have_root or self.parts[0] in own:
            return self
        return Pattern(".".join(self.parts[1:]))

    def find(self, tree: Any) -> list[Any]:
        """The outermost nodes that match. What cannot match is not looked into."""
        if self._any:
            return list(self._below(tree, self._after(frozenset([0]))))
        nodes = [tree]
        for matches in self._each:
            level = [pair for node in nodes for pair in _children(node)]
            nodes = [child for text, child in level if matches(text)]
        return nodes

    def _below(self, node: Any, states: frozenset[int]) -> Iterator[Any]:
        """`states` are the places in the pattern that may come next."""
        if len(self.parts) in states:
            yield node
            return
        for text, child in _children(node):
            passed = {i if self.parts[i] == _ANY else i + 1 for i in states if self._each[i](text)}
            if passed:
                yield from self._below(child, self._after(frozenset(passed)))

    def _after(self, states: frozenset[int]) -> frozenset[int]:
        """With the places behind each `**`, which may stand for no part at all."""
        if not self._any.intersection(states):
            return states
        reached = set(states)
        for first in states:
            for i in range(first, len(self.parts)):
                if self.parts[i] != _ANY:
                    break
                reached.add(i + 1)
        return frozenset(reached)


def _children(node: Any) -> Iterable[tuple[str, Any]]:
    """The children of a node with their parts of the path."""
    if type(node) in (list, tuple):
        return zip(map(str, range(len(node))), node, strict=True)
    return [(part(key), child) for key, child in keyed_children(node)]


def _test_of(pattern: str) -> Callable[[str], Any]:
    """Whether a part of a path matches one of a pattern."""
    if pattern == _ANY or set(pattern) == {"*"}:
        return lambda text: True
    if "*" not in pattern:
        return pattern.__eq__
    regex = re.compile(_regex(pattern), re.DOTALL)
    return lambda text: regex.fullmatch(text + ".")


def _regex(pattern: str) -> str:
    """A part of a pattern as a regular expression of the part and the dot after it."""
    if pattern == _ANY:
        return rf"(?:(?:{_CHARACTER})+\.)*"
    words = re.split(r"((?:\\.|[^*\\])+)", pattern)
    return glob_regex(["*" if set(it) == {"*"} else it for it in words]) + r"\."


def glob_regex(words: Sequence[str]) -> str:
    """A regular expression of stars and the texts between them, in time linear in the text.

    A text between two stars is looked for once, where it comes first: if the rest matches behind
    any of its places, it does behind that one.
    """
    texts: list[str] = []
    has_star = False
    for place, word in enumerate(words):
        is_last = not any(words[place + 1 :])
        if word == "*":
            has_star = True
            texts += [rf"(?:{_CHARACTER})*"] * is_last
        elif has_star and word:
            text = re.escape(word)
            texts.append(
                rf"(?:{_CHARACTER})*{text}" if is_last else rf"(?>(?:{_CHARACTER})*?{text})"
            )
        else:
            texts.append(re.escape(word))
    return "".join(texts)


def _parts(text: str) -> Sequence[str]:
    """The parts of a pattern in either form.

    **Raises:** `ValueError` if it is none.
    """
    if not text:
        return ()
    if re.search(r"(?<!\\)\[", text) or text.startswith("."):
        return _python_parts(text)
    parts = _DOTTED.findall(text)
    if ".".join(parts) != text:
        message = (
            f"`{text}` is no path: it has an empty part, or ends in a backslash. A path is "
            r"`layers.2.weight`; within a part, `.` and `*` are written `\.` and `\*`."
        )
        raise ValueError(message)
    return parts


def _python_parts(text: str) -> Sequence[str]:
    parts, at = [], 0
    while at < len(text):
        found = _PYTHON.match(text, at)
        if found is None:
            message = (
                f"`{text}` is no path in Python's form: from `{text[at:]}` on it is neither an "
                "attribute nor an index. A path is `layers[2].weight`, or `layers.2.weight`."
            )
            raise ValueError(message)
        name, index = found.groups()
        parts.append(_index_part(index) if name is None else name)
        at = found.end()
    return parts


def _index_part(text: str) -> str:
    """The part that stands for what is between brackets."""
    if text in ("*", "**"):
        return text
    flat = re.fullmatch(r"<flat index (\d+)>", text)
    if flat:
        return flat[1]
    try:
        key = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return escaped(text)
    return escaped(key if isinstance(key, str) else repr(key))
