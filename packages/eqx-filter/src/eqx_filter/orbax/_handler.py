"""How `orbax.checkpoint` saves and restores a PyTree: by the dotted paths of its leaves.

Arrays go to Orbax's own handler, in a dict by name: each process writes its shards, in the
background where the checkpointer does so. A text among them tells of numbers, keys, and of what is
no array.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..checkpoints._errors import naming_saved
from ..checkpoints._fits import is_saved
from ..checkpoints._host import NUMBERS, is_key, on_host
from ..checkpoints._load_named import check_choices
from ..checkpoints._named import encoded, static_texts
from ..checkpoints._shardings import each_sharding
from ..paths import from_paths, tree_paths
from ..paths._nodes import nodes_of

try:
    import orbax.checkpoint as ocp
except ModuleNotFoundError as error:
    message = (
        "`eqx_filter.orbax` is for `orbax.checkpoint`, which is not installed. Install it with "
        "`pip install orbax-checkpoint`, or as the extra `eqx-filter[orbax]`."
    )
    raise ModuleNotFoundError(message, name=error.name) from error

from ._fit import Described, Fit

TEXTS = "*eqx*"
"""The name of that text: no leaf has it, as stars in names are escaped."""


class TreeHandler(ocp.AsyncCheckpointHandler):
    """What Orbax calls for `TreeSave` and `TreeRestore`; it makes one by itself."""

    def __init__(self) -> None:
        self._arrays = ocp.PyTreeCheckpointHandler()

    async def async_save(self, directory: Any, args: "TreeSave") -> Any:
        """Begin to save: what is saved is on the host when it returns."""
        asked = ocp.args.PyTreeSave(_taken(args.tree))
        return await self._arrays.async_save(directory, args=asked)

    def save(self, directory: Any, args: "TreeSave") -> None:
        """Save, and wait until it is done."""
        self._arrays.save(directory, args=ocp.args.PyTreeSave(_taken(args.tree)))

    def restore(self, directory: Any, args: "TreeRestore") -> Any:
        """Restore a PyTree of the structure of `args.like`."""
        check_choices("TreeRestore", strict=args.strict, static=args.static)
        texts = json.loads(self._read(directory, {TEXTS: ocp.RestoreArgs(restore_type=str)})[TEXTS])
        saved = {**_described(self.metadata(directory)), **_empty(texts)}
        own = tree_paths(args.like)
        fit = Fit(args, saved, texts)
        shardings = each_sharding(args.sharding, args.like, "TreeRestore")
        to = zip(own.items(), shardings, strict=True)
        plans = {name: fit.plan(name, leaf, sharding) for (name, leaf), sharding in to}
        fit.refuse(directory, own)
        read = self._read(directory, {name: it for name, it in plans.items() if it is not None})
        return from_paths(args.like, fit.finished(own, read), strict=False)

    def _read(self, directory: Any, ways: dict[str, Any]) -> dict[str, Any]:
        if not ways:
            return {}
        asked = ocp.args.PyTreeRestore(dict.fromkeys(ways, 0), ways, partial_restore=True)
        return self._arrays.restore(directory, args=asked)

    def metadata(self, directory: Any) -> Any:
        """What Orbax tells of the arrays, by name."""
        return self._arrays.metadata(directory)

    def finalize(self, directory: Any) -> None:
        """Bring together what the processes wrote."""
        self._arrays.finalize(directory)

    def close(self) -> None:
        """Let go of what Orbax holds."""
        self._arrays.close()


@ocp.args.register_with_handler(TreeHandler, for_save=True)
@dataclasses.dataclass
class TreeSave(ocp.args.CheckpointArgs):
    """Save a PyTree under the dotted paths of its leaves.

        manager.save(step, args=TreeSave(model))

    `tree` is any PyTree: arrays of JAX and NumPy, sharded or not, typed PRNG keys, and numbers are
    saved; of other leaves, and of static fields, a text, which `TreeRestore` compares.
    """

    tree: Any


@ocp.args.register_with_handler(TreeHandler, for_restore=True)
@dataclasses.dataclass
class TreeRestore(ocp.args.CheckpointArgs):
    """Restore a PyTree of the structure of `like`.

        model = manager.restore(step, args=TreeRestore(like, sharding=shardings))

    - `like`: a PyTree, often of `filter_eval_shape`, whose leaves say kind, shape and dtype. An
        array, or a `jax.ShapeDtypeStruct` with a sharding, says also where it goes.
    - `sharding`: a `ShardingPlan`, or a sharding for all JAX arrays, or a PyTree prefix of `like`
        of these and None: each process reads what its devices need, on whatever mesh it was saved.
    - `strict`, `static`: as of `load`. Another shape is always refused, another dtype is cast with
        `cast=True` alone.

    Orbax does not know what was saved as a PyTree, so `args=TreeRestore(like)` is always needed: to
    restore without it gives no PyTree of that structure. It takes no `migrations`, and those of
    classes, `__migrations__`, are for files of `save` alone: restore what is of an older structure
    into a `like` of that, which dicts of the old names are, then `save` and `load` it.

    What does not fit is a `RuntimeError` that names the leaf, and classes with `__migrations__`.
    """

    like: Any
    sharding: Any = None
    strict: "bool | Literal['missing', 'unexpected']" = True
    cast: bool = False
    static: Literal["compare", "ignore"] = "compare"


def _taken(tree: Any) -> dict[str, Any]:
    """The arrays as Orbax takes them, and what it does not take in a text."""
    arrays: dict[str, Any] = {}
    texts: dict[str, Any] = {
        "static": static_texts(nodes_of(tree)),
        "numbers": {},
        "keys": {},
        "empty": {},
    }
    for name, leaf in tree_paths(tree).items():
        if type(leaf) in NUMBERS:
            texts["numbers"][name] = type(leaf).__name__, repr(leaf)
        elif is_saved(leaf):
            with naming_saved(name):
                array = _array(name, leaf, texts)
            if array.size:
                arrays[name] = array
            else:
                texts["empty"][name] = list(array.shape), str(array.dtype)
    return {**arrays, TEXTS: json.dumps(texts)}


def _array(name: str, leaf: Any, texts: dict[str, Any]) -> Any:
    if isinstance(leaf, (jax.ShapeDtypeStruct, jax.core.Tracer)) or not isinstance(leaf, jax.Array):
        encoded(leaf)  # which refuses what has no place in files of `save`
        return on_host(leaf)
    if not is_key(leaf):
        return leaf
    texts["keys"][name] = str(jax.random.key_impl(leaf))
    return jax.random.key_data(leaf)


def _described(metadata: Any) -> Described:
    tree = dict(getattr(metadata, "tree", metadata))
    tree.pop(TEXTS, None)
    return {name: (tuple(it.shape), jnp.dtype(it.dtype)) for name, it in tree.items()}


def _empty(texts: Mapping[str, Any]) -> Described:
    return {name: (tuple(shape), jnp.dtype(kind)) for name, (shape, kind) in texts["empty"].items()}
