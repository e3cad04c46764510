"""The names that PyTorch has for what is in a node: paths with dots.

Knows no layer but `Sequential`, whose layers have no name between it and them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from eqx_filter import is_array

from ..composing import Sequential

Entries = dict[str, np.ndarray]
Values = dict[Any, Any]
"""Of a state, by marker."""
Write = Callable[[Any, Values], Entries]
Read = Callable[[Any, Entries, Values], Any]


def _children(node: Any) -> tuple[list[tuple[str, Any]], Any]:
    """What is in the node, by name, and the structure; a leaf is in itself, without a name."""
    pairs, structure = jtu.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    nameless = isinstance(node, Sequential)
    names = ["" if nameless or not path else jtu.keystr(path, simple=True) for path, _ in pairs]
    return list(zip(names, (child for _, child in pairs), strict=True)), structure


def _is_parameter(node: Any) -> bool:
    return is_array(node) and not jnp.issubdtype(node.dtype, jax.dtypes.prng_key)


def write_children(node: Any, values: Values, write: Write) -> Entries:
    """The entries of a node by their names in it: an array is without a name in itself."""
    if _is_parameter(node):
        return {"": np.asarray(node)}
    entries: Entries = {}
    for name, child in _children(node)[0]:
        if child is not node:
            news = _named(name, write(child, values))
            twin = next((it for it in news if it in entries), None)
            if twin is not None:
                message = (
                    f"Two arrays of a `{type(node).__name__}` have the name `{twin}` in a state "
                    "dict, which holds one. Give the fields, keys or layers names that differ."
                )
                raise ValueError(message)
            entries.update(news)
    return entries


def read_children(node: Any, entries: Entries, values: Values, read: Read) -> Any:
    """The node with the entries of `write_children`."""
    if _is_parameter(node):
        value = entries[""].reshape(node.shape)
        return value if isinstance(node, np.ndarray) else jnp.asarray(value)
    children, structure = _children(node)
    if any(child is node for _, child in children):
        return node
    news = [read(child, _of(name, entries), values) for name, child in children]
    return jtu.tree_unflatten(structure, news)


def _named(name: str, entries: Entries) -> Entries:
    return {".".join(filter(None, (name, rest))): value for rest, value in entries.items()}


def _of(name: str, entries: Entries) -> Entries:
    """The entries below a name."""
    if not name:
        return entries
    below = {"": entries[name]} if name in entries else {}
    start = f"{name}."
    return below | {rest[len(start) :]: x for rest, x in entries.items() if rest.startswith(start)}
