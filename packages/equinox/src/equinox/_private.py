"""The private paths of equinox 0.13.8 that published packages import, and what stands there.

Nothing of ours uses this room, and the list is closed: `docs/private_paths.md` has it with what to
use instead. A path is served as a module, when it is first asked for; what is found there is what
the public names are, and keeps its own `__module__`. Some names have no other home than here.
"""

import functools
import importlib
import importlib.abc
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

import eqx_filter
import eqx_pytree

_LAYERS = "home-made layers, in the style of `equinox.nn`"
_MANY = "many public repositories"
_FEW = "a few public repositories"

TABLE: dict[str, dict[str, tuple[str, str]]] = {
    "_ad": {
        "_ClosureConvert": ("equinox._private:asked.closure_converted", _FEW),
        "_TrivialClosureConvert": ("equinox._private:asked.nothing_closed_over", _FEW),
    },
    "_compile_utils": {
        "Compiled": ("eqx_filter:Compiled", _FEW),
        "hashable_partition": ("eqx_filter:hashable_partition", _FEW),
    },
    "_config": {
        "EQX_GETKEY_SEED": ("equinox._private:asked.EQX_GETKEY_SEED", _FEW),
        "EQX_ON_ERROR": ("equinox._private:asked.EQX_ON_ERROR", _FEW),
        "EQX_ON_ERROR_BREAKPOINT_FRAMES": (
            "equinox._private:asked.EQX_ON_ERROR_BREAKPOINT_FRAMES",
            _FEW,
        ),
    },
    "_custom_types": {
        "sentinel": ("equinox._private:asked.sentinel", _MANY),
    },
    "_deprecate": {
        "deprecated_0_10": ("equinox._private:deprecated_0_10", _FEW),
    },
    "_doc_utils": {
        "doc_remove_args": (
            "eqx_pytree:doc_remove_args",
            "defaults and signatures in documentation",
        ),
        "doc_repr": ("eqx_pytree:doc_repr", "defaults and signatures in documentation"),
    },
    "_enum": {
        "EnumerationItem": ("eqx_filter:EnumerationItem", "annotations of solvers' results"),
    },
    "_errors": {
        "EquinoxTracetimeError": ("eqx_filter:EquinoxTracetimeError", _MANY),
        "_EquinoxRuntimeError": ("eqx_filter:EquinoxRuntimeError", _MANY),
        "_error": ("equinox._private:_error", _MANY),
        "_nan_like": ("equinox._private:_nan_like", _MANY),
    },
    "_filters": {
        "combine": ("eqx_filter:combine", _MANY),
        "is_array": ("eqx_filter:is_array", _MANY),
        "is_array_like": ("eqx_filter:is_array_like", _MANY),
        "is_inexact_array": ("eqx_filter:is_inexact_array", _MANY),
        "partition": ("eqx_filter:partition", _MANY),
    },
    "_jit": {
        "_JitWrapper": ("equinox._private:asked.jit_wrapper", "types and keys of dictionaries"),
    },
    "_misc": {
        "default_floating_dtype": ("equinox._private:default_floating_dtype", _LAYERS),
        "left_broadcast_to": ("eqx_filter:left_broadcast_to", _FEW),
    },
    "_module": {
        "Module": ("eqx_pytree:Module", _MANY),
        "Partial": ("eqx_pytree:Partial", _MANY),
        "Static": ("eqx_pytree:Static", _MANY),
        "StrictConfig": ("eqx_pytree:StrictConfig", "typinox"),
        "field": ("eqx_pytree:field", _MANY),
        "module_update_wrapper": ("eqx_pytree:module_update_wrapper", _MANY),
        "static_field": ("eqx_pytree:static_field", _MANY),
    },
    "_module._flatten": {
        "MISSING": ("equinox._private:MISSING", "serialisers"),
    },
    "_module._module": {
        "Module": ("eqx_pytree:Module", "links in documentation, which go by path"),
        "_ModuleMeta": ("eqx_pytree:Module.__class__", "distreqx, quax, other metaclasses"),
        "_currently_initialising": ("eqx_pytree:under_construction", "quax"),
        "is_abstract_module": ("eqx_pytree:is_abstract_module", "quax"),
    },
    "_module._prebuilt": {
        "BoundMethod": ("eqx_pytree:BoundMethod", "code that wraps methods anew"),
    },
    "_serialisation": {
        "TreePathError": ("eqx_filter:TreePathError", _FEW),
        "_with_suffix": ("equinox._private:_with_suffix", _FEW),
    },
    "_tree": {
        "tree_at": ("eqx_filter:tree_at", _FEW),
    },
    "_unvmap": {
        "unvmap_any": ("eqx_filter.primitives:unvmap_any", _FEW),
        "unvmap_max": ("eqx_filter.primitives:unvmap_max", _FEW),
    },
    "_vmap_pmap": {
        "filter_vmap": ("eqx_filter:filter_vmap", _MANY),
    },
    "internal._loop": {},
    "internal._loop.bounded": {
        "bounded_while_loop": ("equinox._private:bounded_while_loop", _MANY),
    },
    "internal._loop.checkpointed": {
        "checkpointed_while_loop": ("equinox._private:checkpointed_while_loop", _MANY),
    },
    "internal._loop.common": {
        "_Buffer": ("eqx_filter.loops:Buffer", "documentation"),
    },
    "internal._omega": {
        "_Metaω": ("eqx_filter:ω.__class__", "dynamiqs"),
    },
    "nn._attention": {
        "MultiheadAttention": ("eqx_nn:MultiheadAttention", _LAYERS),
        "dot_product_attention": ("eqx_nn:dot_product_attention", _LAYERS),
        "dot_product_attention_weights": ("eqx_nn:dot_product_attention_weights", _LAYERS),
    },
    "nn._batch_norm": {
        "BatchNorm": ("eqx_nn:BatchNorm", _FEW),
    },
    "nn._conv": {
        "Conv": ("eqx_nn:Conv", _FEW),
        "_ntuple": ("equinox._private:_ntuple", _FEW),
    },
    "nn._dropout": {
        "Dropout": ("eqx_nn:Dropout", _FEW),
    },
    "nn._linear": {
        "Linear": ("eqx_nn:Linear", _FEW),
    },
    "nn._misc": {
        "default_init": ("eqx_nn:default_init", _LAYERS),
        "named_scope": ("jax:named_scope", _LAYERS),
    },
    "nn._mlp": {
        "MLP": ("eqx_nn:MLP", _FEW),
    },
    "nn._shared": {
        "SharedNode": ("eqx_nn:SharedNode", _FEW),
    },
    "nn._stateful": {
        "State": ("eqx_nn:State", _MANY),
        "StateIndex": ("eqx_nn:StateIndex", _MANY),
    },
}
"""For each path and name: where the object is, as `module:attribute`, and who needs it."""


class Room(ModuleType):
    """What is imported for a path of the table."""

    def __getattr__(self, name: str) -> Any:
        return attribute(self.__name__, name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *TABLE[_path(self.__name__)]})


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the paths of the table; asked last, for what nothing else finds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give the spec of a room; an `ImportError` for a name that a room does not have."""
        package, _, name = fullname.rpartition(".")
        if not fullname.startswith("equinox."):
            return None
        if _path(fullname) in TABLE:
            return ModuleSpec(fullname, self, origin=__file__, is_package=True)
        if _path(package) in TABLE and name not in TABLE[_path(package)]:
            raise ImportError(_unknown(package, name), name=fullname)
        return None

    def create_module(self, spec: ModuleSpec) -> Room:
        """Make the module."""
        return Room(spec.name, "A private path of equinox 0.13.8; see `equinox._private`.")

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: names are looked up when they are asked for."""


def _path(module: str) -> str:
    return module.removeprefix("equinox").removeprefix(".")


def attribute(module: str, name: str) -> Any:
    """Give what a private name of `equinox`, of a folder of it or of a room stands for.

    **Raises:** `AttributeError` for a name that the table does not have.
    """
    path = f"{module}.{name}"
    if _path(path) in TABLE:
        return importlib.import_module(path)
    where, _ = TABLE.get(_path(module), {}).get(name, (None, None))
    if where is None:
        raise AttributeError(_unknown(module, name))
    home, _, attributes = where.partition(":")
    return functools.reduce(getattr, attributes.split("."), importlib.import_module(home))


attribute_of_equinox = functools.partial(attribute, "equinox")
attribute_of_internal = functools.partial(attribute, "equinox.internal")
attribute_of_nn = functools.partial(attribute, "equinox.nn")


def _unknown(module: str, name: str) -> str:
    head = f"module `{module}` has no attribute `{name}`"
    if name.startswith("__") or _path(module) not in TABLE:
        return head
    below = f"{_path(module)}."
    names = [*TABLE[_path(module)], *(it[len(below) :] for it in TABLE if it.startswith(below))]
    homes = ("equinox", "equinox.nn", "equinox.internal", "equinox.debug")
    public = [home for home in homes if name in importlib.import_module(home).__all__]
    way_out = f"Use `{public[0]}.{name}`, which is public." if public else "It has no public name."
    told = ", ".join(f"`{it}`" for it in names)
    return f"{head}. Of this private path of equinox 0.13.8 there is only {told}. {way_out}"


class _Asked:
    """What is found out when it is asked for."""

    @property
    def EQX_GETKEY_SEED(self) -> int | None:  # noqa: N802
        """As an integer, or None."""
        given = os.environ.get("EQX_GETKEY_SEED")
        return None if given is None else int(given)

    @property
    def EQX_ON_ERROR(self) -> str:  # noqa: N802
        """As it is now; to change it, change the environment."""
        return os.environ.get("EQX_ON_ERROR", "raise")

    @property
    def EQX_ON_ERROR_BREAKPOINT_FRAMES(self) -> int:  # noqa: N802
        """As an integer."""
        return int(os.environ.get("EQX_ON_ERROR_BREAKPOINT_FRAMES", "1"))

    @property
    def sentinel(self) -> object:
        """The default of the arguments of `tree_at`."""
        return inspect.signature(eqx_filter.tree_at).parameters["replace"].default

    @functools.cached_property
    def jit_wrapper(self) -> type:
        """The type of what `filter_jit` returns."""
        return type(eqx_filter.filter_jit(_path))

    @functools.cached_property
    def nothing_closed_over(self) -> type:
        """The type of what `filter_closure_convert` returns for a function without a closure."""
        return type(eqx_filter.filter_closure_convert(_path, ""))

    @functools.cached_property
    def closure_converted(self) -> type:
        """The type of what `filter_closure_convert` returns for any other callable."""
        return type(eqx_filter.filter_closure_convert(eqx_pytree.Partial(_path), ""))


asked = _Asked()


class _Missing:
    """Stands for a field that is not there."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Missing"


jtu.register_pytree_node(_Missing, lambda _: ((), None), lambda *_: MISSING)
MISSING = _Missing()


def default_floating_dtype() -> Any:
    """`jax.numpy.float64` in JAX's 64-bit mode, and else `jax.numpy.float32`."""
    return jnp.float64 if jnp.result_type(float) == jnp.float64 else jnp.float32


def deprecated_0_10(kwargs: dict[str, Any], name: str) -> None:
    """Refuse a keyword that went away. **Raises** `ValueError`."""
    if name in kwargs:
        message = f"{name} is deprecated as of Equinox version 0.10.0. Leave it out."
        raise ValueError(message)


def _nan_like(x: Any) -> np.ndarray:
    """An array like `x`, of NaN, of the largest integer or of True."""
    if x.dtype == bool:
        return np.ones(x.shape, bool)
    inexact = jnp.issubdtype(x.dtype, jnp.inexact)
    return np.full(x.shape, np.nan if inexact else jnp.iinfo(x.dtype).max, x.dtype)


def _error(
    x: Any, pred: Any, index: Any, *, msgs: Sequence[str], on_error: str, stack: Any = None
) -> Any:
    return eqx_filter.branched_error_if(x, pred, index, msgs, on_error=on_error)


def _with_suffix(path: Any) -> Path:
    """The path, with the suffix `.eqx` if it has none."""
    found = Path(path)
    return found if found.suffix else found.with_suffix(".eqx")


def _ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """Give a function that makes `n` of one, and a tuple of `n` in a sequence."""

    def parse(x: Any) -> tuple[Any, ...]:
        if not isinstance(x, Sequence):
            return (x,) * n
        if len(x) != n:
            message = f"Length of {x} (length = {len(x)}) is not equal to {n}"
            raise ValueError(message)
        return tuple(x)

    return parse


def checkpointed_while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    max_steps: int | None = None,
    buffers: Callable[[Any], Any] | None = None,
    checkpoints: int | None = None,
) -> Any:
    """`while_loop` of the kind "checkpointed"."""
    from eqx_filter import loops

    return loops.while_loop(
        cond_fun,
        body_fun,
        init_val,
        max_steps=max_steps,
        buffers=buffers,
        kind="checkpointed",
        checkpoints=checkpoints,
    )


def bounded_while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    max_steps: int,
    buffers: Callable[[Any], Any] | None = None,
    base: int = 16,
) -> Any:
    """`while_loop` of the kind "bounded"."""
    from eqx_filter import loops

    return loops.while_loop(
        cond_fun,
        body_fun,
        init_val,
        max_steps=max_steps,
        buffers=buffers,
        kind="bounded",
        base=base,
    )


sys.meta_path.append(_Importer())
