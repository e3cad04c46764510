"""`tree_deserialise_leaves`."""

import os
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
import numpy as np

from ._errors import ChangedError, naming
from ._files import Readable, is_path, opened_to_read, with_suffix
from ._leaves import IsLeaf, Leaf, Progress, check_progress, leaves_of
from ._specs import default_deserialise_filter_spec

_Tree = TypeVar("_Tree")


def tree_deserialise_leaves(
    path_or_file: str | os.PathLike[str] | Readable,
    like: _Tree,
    filter_spec: Any = default_deserialise_filter_spec,
    is_leaf: IsLeaf = None,
    *,
    progress: Progress = None,
) -> _Tree:
    """Load the leaves that `tree_serialise_leaves` saved into a PyTree.

    **Arguments:**

    - `path_or_file`: where from. A path without a suffix gets `.eqx`, and the file must end after
        the last leaf. A file that is open to read bytes is left just after the last leaf.
    - `like`: a PyTree of the structure that was saved, often the output of
        `filter_eval_shape`. Its leaves say kind, shape and dtype; their values do not count.
    - `filter_spec`: a function `(file, leaf) -> leaf` that reads a leaf, or a PyTree prefix of
        `like` of such functions. By default `default_deserialise_filter_spec`.
    - `is_leaf`: as in `jax.tree_util.tree_map`.
    - `progress`: called after each leaf with the number of leaves that are done and of all.

    **Returns:** a PyTree of the structure of `like`, its leaves of the kinds that `like` has, where
    a `jax.ShapeDtypeStruct` stands for a JAX array.

    **Raises:** `RuntimeError` naming the path of a leaf that is not in the file as it is in `like`,
    or saying what else is wrong with the file; `ValueError` if `filter_spec` is no prefix of
    `like`, or the file is not open to read; `TypeError` if an argument is of another kind;
    `OSError` from the file system.
    """
    check_progress(progress)
    leaves = leaves_of("like", like, filter_spec, is_leaf)
    source = _name_of(path_or_file)
    loaded = []
    with opened_to_read(path_or_file) as file:
        for i, leaf in enumerate(leaves.all):
            with naming("like", leaf.path, f"read from {source}"):
                loaded.append(leaf.spec(file, leaf.value))
                _check_kind(loaded[-1], leaf.value)
            if progress is not None:
                progress(i + 1, len(leaves.all))
        if is_path(path_or_file):
            _check_end(file, source, leaves.all)
    return leaves.rebuild(loaded)


def _name_of(path_or_file: Any) -> str:
    name = with_suffix(path_or_file) if is_path(path_or_file) else None
    if name is None:
        name = getattr(path_or_file, "name", None)
    return f"`{name}`" if isinstance(name, (str, os.PathLike)) else "the file"


def _check_kind(loaded: Any, like: Any) -> None:
    """Refuse what a filter spec read, if it is not of the kind of the leaf in `like`."""
    kind = jax.Array if isinstance(like, (jax.Array, jax.ShapeDtypeStruct)) else type(like)
    advice = "The functions of `filter_spec` must return leaves like those that they are given."
    is_kind = isinstance(loaded, kind) if kind is jax.Array else type(loaded) is kind
    if not is_kind:
        raise ChangedError("type", type(like), type(loaded), advice)
    if isinstance(like, (jax.Array, jax.ShapeDtypeStruct, np.ndarray)):
        if loaded.shape != like.shape:
            raise ChangedError("shape", like.shape, loaded.shape, advice)
        if loaded.dtype != like.dtype:
            raise ChangedError("dtype", like.dtype, loaded.dtype, advice)


def _check_end(file: Any, source: str, leaves: list[Leaf]) -> None:
    if not file.read(1):
        return
    told = "is not empty, and `like` has no leaves"
    if leaves:
        told = f"goes on after the last leaf of `like`, `like{jtu.keystr(leaves[-1].path)}`"
    message = (
        f"{source} {told}. What was saved has more leaves, or something was added. To read what "
        "follows, open the file yourself, and give it in place of the path."
    )
    raise RuntimeError(message)
