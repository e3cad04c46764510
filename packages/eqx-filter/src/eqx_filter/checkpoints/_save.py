"""`tree_serialise_leaves`."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import warn_user

from ._errors import naming
from ._files import Writable, opened_to_write
from ._leaves import IsLeaf, Leaf, Progress, check_progress, leaves_of
from ._specs import default_serialise_filter_spec


def tree_serialise_leaves(
    path_or_file: str | os.PathLike[str] | Writable,
    pytree: Any,
    filter_spec: Any = default_serialise_filter_spec,
    is_leaf: IsLeaf = None,
    *,
    progress: Progress = None,
    durable: bool = True,
) -> None:
    """Save the leaves of a PyTree, one after the other. The structure is not saved.

    **Arguments:**

    - `path_or_file`: where to. A path without a suffix gets `.eqx`; it is replaced at the end, so
        that it holds the earlier file or the new one, whole, whenever the process is stopped. A
        file that is open to write bytes is left just after the last leaf.
    - `pytree`: any PyTree.
    - `filter_spec`: a function `(file, leaf) -> None` that writes a leaf, or a PyTree prefix of
        `pytree` of such functions. By default `default_serialise_filter_spec`.
    - `is_leaf`: as in `jax.tree_util.tree_map`.
    - `progress`: called after each leaf with the number of leaves that are done and of all.
    - `durable`: whether to wait until a path's file is on the disk. False takes half of the time,
        for a scratch disk: a file that was saved may be lost, or be empty, after a crash of the
        whole machine. It is replaced at the end all the same.

    **Raises:** `RuntimeError` naming the path of a leaf that cannot be saved; `ValueError` if
    `filter_spec` is no prefix of `pytree`, or the file is not open to write; `TypeError` if an
    argument is of another kind; `OSError` from the file system. Warns of a
    `jax.ShapeDtypeStruct`, of which nothing is saved.
    """
    check_progress(progress)
    leaves = leaves_of("pytree", pytree, filter_spec, is_leaf).all
    _warn_of_structs(leaves)
    with opened_to_write(path_or_file, durable=durable) as file:
        for i, leaf in enumerate(leaves):
            with naming("pytree", leaf.path, "saved"):
                leaf.spec(file, leaf.value)
            if progress is not None:
                progress(i + 1, len(leaves))


def _warn_of_structs(leaves: Sequence[Leaf]) -> None:
    """Warn of what describes an array and has no values, by the path of the first."""
    found = [
        f"`pytree{jtu.keystr(leaf.path)}`"
        for leaf in leaves
        if isinstance(leaf.value, jax.ShapeDtypeStruct)
        and leaf.spec is default_serialise_filter_spec
    ]
    if found:
        more = f", as are {len(found) - 1} others" if len(found) > 1 else ""
        message = (
            f"{found[0]} is a `jax.ShapeDtypeStruct`{more}: it has no values, so nothing of it is "
            "saved. Save the tree that has the arrays; that of `filter_eval_shape` is to load into."
        )
        warn_user(message)
