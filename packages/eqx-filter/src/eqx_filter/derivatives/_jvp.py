"""`filter_jvp`: Jacobian-vector products, with None as the tangent of what is not perturbed."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._difference import first_difference
from ..shared._jax import flatten_with_nones
from ..shared._naming import refuse_uncallable
from ..shared._packed import Packed, pack
from ..shared._predicates import is_array_like, is_none
from ..shared._reached import reached_by
from ._kinds import note_kinds

_T = TypeVar("_T")


def filter_jvp(
    fn: Callable[..., _T], primals: Sequence[Any], tangents: Sequence[Any], **kwargs: Any
) -> tuple[_T, Any]:
    """Compute a function's value and its derivative along a direction.

    **Arguments:**

    - `fn`: a function; its arguments and its result are any PyTrees.
    - `primals`: the arguments, a tuple or list.
    - `tangents`: the direction: a PyTree with the structure of `primals`. The tangent of a floating
        or complex array has its shape and dtype; None stands for a tangent of zero, and for leaves
        that have no tangent, such as integers and strings.
    - `kwargs`: keyword arguments of `fn`; they are not perturbed.

    **Returns:** `(primal_out, tangent_out)`. The tangents have the structure of `primal_out`, with
    None for each leaf that the direction does not reach.

    **Raises:** `ValueError` if the structures of primals and tangents differ, or two shapes do;
    `TypeError` if two dtypes do, if `fn` cannot be called, if a tangent belongs to no array, or if
    `primals` or `tangents` is no tuple or list.
    """
    refuse_uncallable("filter_jvp", fn=fn)
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            message = f"`{name}` must be a tuple or list of arguments, not a `{_kind(given)}`."
            raise TypeError(message)
    leaves, structure = flatten_with_nones(primals)
    directions, like = flatten_with_nones(tangents)
    if structure != like:
        raise ValueError(_unlike(primals, tangents))
    moves = [tangent is not None for tangent in directions]
    reached: list[bool] = []

    def of_moving(*moving: Any) -> Packed:
        remaining = iter(moving)
        merged = [next(remaining) if m else x for m, x in zip(moves, leaves, strict=True)]
        out = pack(fn(*structure.unflatten(merged), **kwargs))
        arrays, reached[:] = reached_by(out.arrays)
        return Packed(out.layout, arrays)

    moving = [x for m, x in zip(moves, leaves, strict=True) if m]
    moved = [x for x in directions if x is not None]
    try:
        out, tangent_out = jax.jvp(of_moving, moving, moved)
    except (TypeError, ValueError) as error:
        told = _unfit(primals, tangents)
        if told is None:
            note_kinds(error)
            raise
        raise type(error)(told) from None
    found = [x if r else None for r, x in zip(reached, tangent_out.arrays, strict=True)]
    return out.unpack(), out.layout.rebuild_with_gaps(found)


def _unlike(primals: Any, tangents: Any) -> str:
    path, told = first_difference(tangents, primals, is_leaf=is_none)
    return (
        "primals and tangents must have the same pytree structure, with None in `tangents` for "
        f"each leaf without a tangent; at `tangents{jtu.keystr(path)}`: {told}."
    )


def _unfit(primals: Any, tangents: Any) -> str | None:
    """What is wrong with the first tangent that does not fit its primal; None if all fit."""
    pairs = zip(
        jtu.tree_flatten_with_path(primals, is_none)[0],
        jtu.tree_leaves(tangents, is_none),
        strict=True,
    )
    for (path, primal), tangent in pairs:
        if tangent is None:
            continue
        place = f"`tangents{jtu.keystr(path)}`"
        if not is_array_like(primal):
            kind = _kind(primal)
            return f"{place} must be None: its primal, a `{kind}`, is no array and has no tangent."
        if not is_array_like(tangent):
            return f"{place} must be an array or None, not a `{_kind(tangent)}`."
        expected = jnp.shape(primal), _tangent_dtype(primal)
        given = jnp.shape(tangent), jnp.result_type(tangent)
        if expected != given:
            told = "None, as integers and booleans have no tangent"
            if expected[1] != jax.dtypes.float0:
                told = f"of its primal's shape {expected[0]} and dtype {expected[1]}"
            return f"{place} must be {told}; it has shape {given[0]} and dtype {given[1]}."
    return None


def _tangent_dtype(primal: Any) -> Any:
    dtype = jnp.result_type(primal)
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jax.dtypes.float0


def _kind(value: Any) -> str:
    return type(value).__name__
