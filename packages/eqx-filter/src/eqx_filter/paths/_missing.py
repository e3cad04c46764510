"""Where `where` of `tree_at` asked for what is not there: the path so far, and what is there."""

import difflib
from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

from ..shared._levels import one_level_with_paths

_MOST_NAMES = 10


def missing_in(where: Callable[[Any], Any], tree: Any) -> str | None:
    """Say which attribute or item `where` asked for in vain, and what is beside it.

    None if that does not come out, since `where` does more than to ask for attributes and items.
    """
    try:
        where(_Asked(tree, "pytree"))
    except _MissingError as error:
        return str(error)
    except Exception:  # it does something else with what it asked for
        return None
    return None


class _MissingError(Exception):
    """An attribute or an item is not there."""


class _Asked:
    """Stands for a node of a tree, and notes how it was come by."""

    __slots__ = ("_node", "_path")

    def __init__(self, node: Any, path: str) -> None:
        self._node = node
        self._path = path

    def __getattr__(self, name: str) -> "_Asked":
        return self._step(f".{name}", lambda node: getattr(node, name))

    def __getitem__(self, key: Any) -> "_Asked":
        return self._step(f"[{key!r}]", lambda node: node[key])

    def _step(self, word: str, take: Callable[[Any], Any]) -> "_Asked":
        path = f"{self._path}{word}"
        try:
            return _Asked(take(self._node), path)
        except (AttributeError, LookupError):
            kind = type(self._node).__name__
            message = f"`{path}` is not there: `{self._path}`, a `{kind}`, has {self._names(word)}"
            raise _MissingError(message) from None

    def _names(self, word: str) -> str:
        """What can be asked for instead, the most alike first."""
        keys = [jtu.keystr(key) for key, _ in one_level_with_paths(self._node) or ()]
        alike = difflib.get_close_matches(word, keys, n=_MOST_NAMES)
        names = [*alike, *(key for key in keys if key not in alike)]
        told = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
        return (told or "nothing") + (", ..." if len(names) > _MOST_NAMES else "")
