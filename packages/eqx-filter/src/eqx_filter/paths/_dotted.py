"""Names of leaves: `tree_paths` and `from_paths`.

A path is a row of parts with dots between: an attribute, an index and a key are each one part, as
in `layers.2.weight`. Knows nothing of what is selected.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import jax.tree_util as jtu

_Tree = TypeVar("_Tree")

_SPECIAL = re.compile(r"[\\.*/\[\]]")
"""What a part cannot hold as it is, for it means something in a path or in a pattern."""

_EMPTY = r"\e"
"""The part of an empty key."""

_MOST_NEAREST = 5


def escaped(text: str) -> str:
    """A part of a path: the text of an attribute, an index or a key, escaped."""
    if text.isalnum():
        return text
    return _SPECIAL.sub(r"\\\g<0>", text) or _EMPTY


def part(key: Any) -> str:
    """The part of a path that stands for one key of JAX's."""
    kind = type(key)
    if kind is jtu.GetAttrKey:
        return escaped(key.name)
    if kind is jtu.SequenceKey:
        return str(key.idx)
    if isinstance(key, jtu.DictKey):
        return escaped(key.key if isinstance(key.key, str) else repr(key.key))
    if isinstance(key, jtu.FlattenedIndexKey):
        return str(key.key)
    return escaped(str(key))


def dotted(keys: tuple[Any, ...]) -> str:
    """The path that JAX gives as a row of keys."""
    return ".".join(map(part, keys))


def tree_paths(tree: Any) -> dict[str, Any]:
    r"""Give the leaves of a PyTree by their paths.

        tree_paths({"a": [1, 2], "b": 3})  # {"a.0": 1, "a.1": 2, "b": 3}

    **Arguments:**

    - `tree`: any PyTree. A node that stands in it twice has both paths.

    **Returns:** a dict in the order of the leaves. A path is a row of parts with dots between; an
    attribute, an index, and a key of a dict are each one part. A key that is no string stands as
    its `repr`. In a part, `\ . * / [ ]` are escaped by a `\`; an empty key is `\e`. A tree that is
    itself a leaf has the path `""`.

    **Raises:** `ValueError` if two leaves have one path: keys such as `1` and `"1"` in one node.
    """
    leaves, structure = jtu.tree_flatten(tree)
    try:
        paths = _known.get(structure)
    except Exception:  # what the nodes hold, beside their children, cannot be compared
        paths = _put_together(jtu.tree_flatten_with_path(tree)[0])
    if paths is None:
        pairs = jtu.tree_flatten_with_path(tree)[0]
        paths = _put_together(pairs)
        if all(_is_its_text(key) for keys, _ in pairs for key in keys):
            for oldest in list(_known)[: max(0, len(_known) - _MOST_KNOWN + 1)]:
                _known.pop(oldest, None)
            _known[structure] = paths
    return dict(zip(paths, leaves, strict=True))


_known: dict[Any, list[str]] = {}
"""The paths of the structures that were asked for last."""

_MOST_KNOWN = 16


def _put_together(pairs: list[tuple[Any, Any]]) -> list[str]:
    paths = [dotted(keys) for keys, _ in pairs]
    if len(set(paths)) != len(paths):
        raise ValueError(_one_path_twice(pairs))
    return paths


def _is_its_text(key: Any) -> bool:
    """Whether keys that equal this one have its part: `1` and `True` are equal."""
    return type(key) in (jtu.GetAttrKey, jtu.SequenceKey) or (
        type(key) is jtu.DictKey and type(key.key) is str
    )


def _one_path_twice(pairs: list[tuple[Any, Any]]) -> str:
    seen: dict[str, Any] = {}
    for keys, _ in pairs:
        path = dotted(keys)
        if path in seen:
            break
        seen[path] = keys
    return (
        f"Two leaves have the path `{path}`: `tree{jtu.keystr(seen[path])}` and "
        f"`tree{jtu.keystr(keys)}`. Give the keys of one node texts that differ."
    )


Strictness = bool | Literal["missing", "unexpected"]


def from_paths(like: _Tree, leaves: Mapping[str, Any], *, strict: Strictness = True) -> _Tree:
    """Make a PyTree of leaves by their paths: the way back from `tree_paths`.

    **Arguments:**

    - `like`: a PyTree of the structure to make, with any leaves: those of `jax.eval_shape` will do.
    - `leaves`: a mapping from path to leaf. Shapes and dtypes may be others than in `like`.
    - `strict`: what is refused: paths that `leaves` lacks (`"missing"`), those that `like` lacks
        (`"unexpected"`), both (True) or none (False). What is missing is taken from `like`, and
        what is unexpected is left out.

    **Returns:** a PyTree with the structure of `like`.

    **Raises:** `ValueError` naming the paths that are missing or unexpected, and as `tree_paths`;
    `TypeError` if `leaves` is no mapping.
    """
    if strict not in (True, False, "missing", "unexpected"):
        message = (
            f'`strict` of `from_paths` is True, False, "missing" or "unexpected"; got {strict!r}.'
        )
        raise ValueError(message)
    if not isinstance(leaves, Mapping):
        message = (
            "`leaves` of `from_paths` is a mapping from paths, as `tree_paths` gives it; got a "
            f"`{type(leaves).__name__}`."
        )
        raise TypeError(message)
    own = tree_paths(like)
    refused = []
    if strict in (True, "missing"):
        refused += _told("lacks", [path for path in own if path not in leaves], leaves)
    if strict in (True, "unexpected"):
        refused += _told("has also", [path for path in leaves if path not in own], own)
    if refused:
        message = f"{' '.join(refused)} Pass `strict=False` to take what is in both."
        raise ValueError(message)
    return jtu.tree_structure(like).unflatten([leaves.get(path, own[path]) for path in own])


def _told(verb: str, paths: list[str], others: Iterable[str]) -> list[str]:
    if not paths:
        return []
    names = ", ".join(f"`{path}`" for path in paths[:10]) + (", ..." if len(paths) > 10 else "")
    near = nearest(str(paths[0]), map(str, others), most=1)
    alike = f", which is like `{near[0]}`" if near else ""
    return [f"`leaves` {verb} {names}{alike}."]


def nearest(wanted: str, paths: Iterable[str], most: int = _MOST_NEAREST) -> list[str]:
    """The paths that are most like what was asked for."""
    return difflib.get_close_matches(wanted, list(paths), n=most, cutoff=0.5)
