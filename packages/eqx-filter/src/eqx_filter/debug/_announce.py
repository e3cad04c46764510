"""`announce_transform`: says what JAX does to a value."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import jax.tree_util as jtu
from jax.interpreters import ad, batching, mlir

from ..rules import register_impl_finalisation
from ..shared._jax import Primitive
from ..shared._naming import refuse_uncallable
from ..shared._predicates import is_array

_Tree = TypeVar("_Tree")

announce_jaxpr_p = Primitive("announce_jaxpr")
"""The primitive of `announce_transform`: an identity that tells which transformations it meets."""
announce_jaxpr_p.multiple_results = True


def announce_transform(
    x: _Tree,
    name: Hashable = None,
    intermediates: bool = False,
    announce: Callable[[str], Any] = print,
) -> _Tree:
    """Say whenever JAX does something to the arrays of a PyTree.

    **Arguments:**

    - `x`: any PyTree.
    - `name`: is put before each text, in parentheses.
    - `intermediates`: whether to speak of a transformation itself too, besides what it leads to.
    - `announce`: called with a text such as `"(name) jvp_p:vmap:mlir"`: the primal part of a `jvp`,
        in a `vmap`, is compiled. The last word is `impl` for a computation that is not compiled,
        `abstract` where shapes are worked out, `mlir` where a program is made.

    **Returns:** `x`.

    **Raises:** `TypeError` if `announce` cannot be called.
    """
    refuse_uncallable("announce_transform", announce=announce)
    leaves, structure = jtu.tree_flatten(x)
    told = "" if name is None else f"({name}) "
    out = announce_jaxpr_p.bind(
        *[leaf for leaf in leaves if is_array(leaf)],
        stack=(),
        name=told,
        intermediates=intermediates,
        announce=announce,
    )
    remaining = iter(out)
    return structure.unflatten([next(remaining) if is_array(leaf) else leaf for leaf in leaves])


def _tell(
    step: str,
    *,
    stack: tuple[str, ...],
    name: str,
    announce: Callable[[str], Any],
    intermediates: bool,
) -> None:
    announce(name + ":".join((*stack, step)))


def _within(step: str, operands: Any, *, stack: tuple[str, ...], **params: Any) -> Any:
    return announce_jaxpr_p.bind(*operands, stack=(*stack, step), **params)


def _run(*operands: Any, **params: Any) -> list[Any]:
    _tell("impl", **params)
    return list(operands)


def _shapes(*operands: Any, **params: Any) -> list[Any]:
    _tell("abstract", **params)
    return list(operands)


def _lower(context: Any, *operands: Any, **params: Any) -> list[Any]:
    _tell("mlir", **params)
    return list(operands)


def _batch(operands: Any, axes: Any, **params: Any) -> Any:
    if params["intermediates"]:
        _tell("vmap", **params)
    return _within("vmap", operands, **params), axes


def _differentiate(primals: Any, tangents: Any, **params: Any) -> Any:
    if params["intermediates"]:
        _tell("jvp", **params)
    tangents = [ad.instantiate_zeros(tangent) for tangent in tangents]
    return _within("jvp_p", primals, **params), _within("jvp_t", tangents, **params)


def _transpose(cotangents: Any, *operands: Any, **params: Any) -> list[Any]:
    if params["intermediates"]:
        _tell("transpose", **params)
    return _within("transpose", [ad.instantiate_zeros(ct) for ct in cotangents], **params)


announce_jaxpr_p.def_impl(_run)
announce_jaxpr_p.def_abstract_eval(_shapes)
batching.primitive_batchers[announce_jaxpr_p] = _batch
ad.primitive_jvps[announce_jaxpr_p] = _differentiate
ad.primitive_transposes[announce_jaxpr_p] = _transpose
mlir.register_lowering(announce_jaxpr_p, _lower)
register_impl_finalisation(announce_jaxpr_p)
