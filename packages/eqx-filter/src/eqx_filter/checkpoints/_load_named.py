"""`load`: a PyTree of a file of named arrays, and what was found there."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..migrations._rule import Rule
from ..migrations._running import checked
from ..paths._choosing import tree_mask
from ..paths._dotted import Strictness, tree_paths
from ..paths._nodes import nodes_of
from ..paths._selectors import Where
from ._files import with_suffix
from ._migrated import as_file, migration
from ._named import restacked, static_texts, unstacked
from ._refusals import (
    WaysOut,
    does_not_fit,
    shapes_of,
    told_of_both,
    told_of_renames,
    told_of_static,
)
from ._save_named import SUFFIX
from ._shardings import placed, shardings_of_rows, with_own
from ._shards import opened
from ._source import Source
from ._texts import config_of, texts_of
from ._versions import may_differ

_Tree = TypeVar("_Tree")


class LoadReport(NamedTuple):
    """What `load` did, by the names of leaves.

    - `loaded`: come from the file.
    - `missing`: are in `like` alone, and were taken from there, as some of a `default` are.
    - `unexpected`: are in the file alone, and were left out.
    - `reshaped`: had other axes of size one in the file.
    - `cast`: had another dtype in the file.
    - `static`: what is no array differs; with the texts in the file and in `like`.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    cast: tuple[str, ...]
    static: tuple[tuple[str, str, str], ...]


def load(
    path: str | os.PathLike[str],
    like: _Tree,
    *,
    strict: Strictness = True,
    cast: bool = False,
    dtype: Any = None,
    static: Literal["compare", "ignore"] = "compare",
    where: Where | None = None,
    sharding: Any = None,
    report: bool = False,
    migrations: Rule | Sequence[Rule] = (),
) -> Any:
    """Load the leaves of a PyTree by their names, from what `save` or another wrote.

        model = load("old", like, migrations=[rename("lin", "layers.0"), transpose("**.kernel")])

    **Arguments:**

    - `path`: where from; without a suffix it gets `.safetensors`. The index of a model in several
        files, `model.safetensors.index.json`, stands for all of them.
    - `like`: a PyTree of the structure to make, often of `filter_eval_shape`. Its leaves say kind,
        shape and dtype, where a `jax.ShapeDtypeStruct` stands for a JAX array.
    - `strict`: what is refused: leaves that the file lacks (`"missing"`), those that `like` lacks
        (`"unexpected"`), both (True) or none (False). What is missing is taken from `like`.
    - `cast`: whether a leaf of another dtype is cast to that of `like`.
    - `dtype`: of all floating and complex arrays that are loaded, whatever `like` says; it casts.
    - `static`: whether what is no array, such as an activation, and static fields must have the
        texts that were saved.
    - `where`: a selector, or what `by` takes: what is to be loaded. The rest is that of `like`.
    - `sharding`: a `ShardingPlan`, or a `jax.sharding.Sharding` for all JAX arrays, or a PyTree
        prefix of `like` of these and None. Each process reads what its devices need. Without it
        arrays are made where those of `like` lie, or are to lie, by a `NamedSharding`; others are
        on the default device.
    - `report`: whether to return a `LoadReport` too.
    - `migrations`: rules of `equinox.migrations` by which names and arrays of the file become those
        of `like`, in order; what is said of leaves has their new names. Then the steps of classes
        with `__migrations__` follow, from the version that a file of `save` has, of outer nodes
        first. An array that is transposed or taken apart is still read in the parts that a
        `sharding` needs; one that is put together or converted is read whole.

    **Returns:** a PyTree of the structure of `like`; with `report`, the pair of that and a
    `LoadReport`. Arrays are read one after another, so that no more memory is used than they need,
    but for 64 MB that wait to be put on a device.

    **Raises:** `RuntimeError` naming what does not fit, with names that are alike, and for a file
    that is damaged, is none of named arrays, or is of a later version of a class; `ValueError` for
    arguments that are none of these, and for rules that do not fit, by rule and name; `TypeError`
    for a mapping in the place of a path; `OSError` from the file system. No code of a file is run.
    """
    check_choices("load", strict=strict, static=static)
    _refuse_arrays(path)
    target, expanded = with_suffix(path, SUFFIX), unstacked(like)
    kind = None if dtype is None else np.dtype(jnp.dtype(dtype))
    rules = checked(migrations, "`migrations` of `load`")
    own, sharding = tree_paths(expanded), with_own(sharding, like)
    wanted = [True] * len(own) if where is None else jax.tree.leaves(tree_mask(expanded, where))
    rows = zip(own.items(), wanted, shardings_of_rows(sharding, like, len(own)), strict=True)
    with opened(target) as reader:
        texts = texts_of(reader.path, reader.header)
        is_compared = where is None and bool(texts.static)
        nodes = nodes_of(expanded) if is_compared or may_differ(texts.versions, expanded) else []
        moved = migration(reader, texts, rules, nodes, own)
        about = (reader, texts) if moved is None else as_file(reader, moved.entries)
        source = Source(*about, may_cast=cast, dtype=kind)
        found = [source.leaf(name, it, to) if asked else it for (name, it), asked, to in rows]
        leaves = source.finished(found)
    left = [name for name in source.names() if name not in own]
    unexpected: list[str] = []
    differing: list[tuple[str, str, str]] = []
    if where is None:
        unexpected = left
        differing = source.differing(static_texts(nodes)) if is_compared else []
    told = told_of_both(source.missing, unexpected, left, strict)
    differing_told = [told_of_static(*it) for it in differing if static == "compare"]
    refused = [*source.faults, *told, *differing_told]
    if refused:
        ways = WaysOut(bool(told), source.is_castable, bool(differing_told))
        is_renamed = bool(told) and (moved is None or not texts.versions)
        hint = _renames(source, own, left, bool(rules)) if is_renamed else ""
        raise does_not_fit(target, refused, ways, hint)
    tree = restacked(like, jtu.tree_structure(expanded).unflatten(leaves))
    tree = placed(tree, sharding)
    missing = [*source.missing, *source.defaults]
    told_of = source.loaded, missing, unexpected, source.reshaped, source.cast, differing
    return (tree, LoadReport(*map(tuple, told_of))) if report else tree


_CHOICES = {
    "strict": (True, False, "missing", "unexpected"),
    "static": ("compare", "ignore"),
}


def check_choices(caller: str, **given: Any) -> None:
    """Refuse a `strict` or `static` that is none.

    **Raises:** `ValueError`.
    """
    for name, value in given.items():
        allowed = _CHOICES[name]
        if not any(value is it or (isinstance(value, str) and value == it) for it in allowed):
            message = f"`{name}` of `{caller}` is one of {allowed}; got {value!r}."
            raise ValueError(message)


def _refuse_arrays(path: object) -> None:
    if isinstance(path, Mapping):
        message = (
            f"`load` reads a file, and `path` is a `{type(path).__name__}`. For arrays by their "
            "names there are `from_torch(model, arrays, rules=...)`, of `equinox.nn`, where they "
            "are PyTorch's; `migrate(arrays, rules, like)`, of `equinox.migrations`, which gives "
            "them other names; and `from_paths(like, arrays)`."
        )
        raise TypeError(message)


def _renames(source: Source, own: Mapping[str, Any], left: Sequence[str], has_rules: bool) -> str:
    missing = shapes_of(own, source.missing)
    tensors: Mapping[str, Any] = source.reader.header.tensors
    theirs = shapes_of({name: tensors.get(source.shared.get(name, name)) for name in left}, left)
    taken = [name for name in source.names() if name in own]
    return told_of_renames(missing, theirs, taken, has_rules)


def load_config(path: str | os.PathLike[str]) -> Any:
    """Give the `config` that was saved with a PyTree; None if there was none.

    **Raises:** as `load`, for the file.
    """
    with opened(with_suffix(path, SUFFIX)) as reader:
        return config_of(reader.path, reader.header)
