"""Primitives whose batching rule is made for them: the batch is a primitive again.

A batch of a primitive is one of `vprim_p`, which holds the primitive, its parameters, and the batch
axes. Each of its rules is that of the primitive under `jax.vmap`, and a batch of it is one of
itself. So a `vmap` is put off until a program is compiled, and a derivative of a batch is the batch
of the derivative, by the primitive's own rule.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

from ..shared._jax import Primitive, resized_aval, zero_tangent
from ._finalise import finalise_fn, primitive_finalisations

_Rule = Callable[..., Any] | None


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a primitive was created with."""

    impl: Callable[..., Any]
    abstract_eval: Callable[..., Any]
    jvp: _Rule
    transpose: _Rule


RULES: dict[Primitive, Rules] = {}


def create_vprim(
    name: str,
    impl: Callable[..., Any],
    abstract_eval: Callable[..., Any],
    jvp: _Rule,
    transpose: _Rule,
) -> "Primitive":
    """Create a primitive that can be batched without a batching rule.

    **Arguments:**

    - `name`: its name.
    - `impl(*operands, **params)`: computes it by JAX operations, and returns a list of arrays. What
        is compiled is this.
    - `abstract_eval(*avals, **params)`: the shapes and dtypes of the results, as a list of
        `jax.core.ShapedArray`s.
    - `jvp(primals, tangents, **params)`: the results and their tangents; a tangent may be an
        `ad.Zero`. None if it has no derivative.
    - `transpose(cotangents, *operands, **params)`: the cotangents of the operands, of which those
        that it is linear in are `ad.UndefinedPrimal`s. None if it is not linear.

    **Returns:** a primitive with many results. Under `vmap` its rules are called as without; each
    sees one member of the batch. Calling `def_impl` again changes what is run outside of compiled
    programs and of batches alone: those go on with `impl`.

    **Raises:** `TypeError` if `impl` or `abstract_eval` cannot be called. The primitive raises
    `NotImplementedError` where it is transformed by a rule that it lacks.
    """
    for called, rule in (("impl", impl), ("abstract_eval", abstract_eval)):
        if not callable(rule):
            message = f"`create_vprim` takes a function as `{called}`; {rule!r} cannot be called."
            raise TypeError(message)
    primitive = Primitive(name)
    primitive.multiple_results = True
    RULES[primitive] = Rules(impl, abstract_eval, jvp, transpose)
    primitive.def_impl(impl)
    primitive.def_abstract_eval(abstract_eval)
    mlir.register_lowering(primitive, mlir.lower_fun(impl, multiple_results=True))
    batching.fancy_primitive_batchers[primitive] = functools.partial(_batch, primitive)
    if jvp is not None:
        ad.primitive_jvps[primitive] = jvp
    if transpose is not None:
        ad.primitive_transposes[primitive] = transpose
    return primitive


def vectorised(rule: Callable[..., Any], size: int, name: Any, axes: Sequence[Any]) -> Any:
    """Map a rule over operands with these batch axes; the results have theirs in front."""
    return jax.vmap(rule, in_axes=tuple(axes), out_axes=0, axis_size=size, axis_name=name)


def _batch(primitive: Primitive, axis: Any, operands: Any, axes: Any, /, **params: Any) -> Any:
    if all(a is None for a in axes):  # JAX asks for these too
        out = primitive.bind(*operands, **params)
        return out, [None] * len(out)
    name = axis.name if isinstance(axis.name, (str, tuple)) else None
    out = vprim_p.bind(
        *operands,
        prim=primitive,
        size=axis.size,
        axis_name=name,
        axes=tuple(None if a is None else int(a) for a in axes),
        params=tuple(sorted(params.items())),
    )
    return out, [0] * len(out)


def _impl(*operands: Any, prim: Any, size: int, axis_name: Any, axes: Any, params: Any) -> Any:
    run = functools.partial(RULES[prim].impl, **dict(params))
    return vectorised(run, size, axis_name, axes)(*operands)


def _abstract_eval(
    *avals: Any, prim: Any, size: int, axis_name: Any, axes: Any, params: Any
) -> list[Any]:
    members = [_member(aval, axis) for aval, axis in zip(avals, axes, strict=True)]
    out = RULES[prim].abstract_eval(*members, **dict(params))
    return [resized_aval(aval, (size, *aval.shape)) for aval in out]


def _member(aval: Any, axis: int | None) -> Any:
    if axis is None:
        return aval
    return resized_aval(aval, aval.shape[:axis] + aval.shape[axis + 1 :])


def _differentiate(
    primals: Any, tangents: Any, *, prim: Any, size: int, axis_name: Any, axes: Any, params: Any
) -> Any:
    rule = _rule(prim, "jvp")
    moves = [type(tangent) is not ad.Zero for tangent in tangents]
    moves_out: list[bool] = []

    def of_member(primals: Any, moving: Any) -> Any:
        found = _merged(moves, moving, lambda place: zero_tangent(primals[place]))
        out, tangents_out = rule(primals, found, **dict(params))
        moves_out[:] = [type(tangent) is not ad.Zero for tangent in tangents_out]
        return list(out), _taken(moves_out, tangents_out)

    moving_axes = _taken(moves, axes)
    run = vectorised(of_member, size, axis_name, (axes, moving_axes))
    out, moving = run(tuple(primals), _taken(moves, tangents))
    return out, _merged(moves_out, moving, lambda place: zero_tangent(out[place]))


def _transpose(
    cotangents: Any, *operands: Any, prim: Any, size: int, axis_name: Any, axes: Any, params: Any
) -> list[Any]:
    rule = _rule(prim, "transpose")
    given = [type(ct) is not ad.Zero for ct in cotangents]
    known = [not ad.is_undefined_primal(operand) for operand in operands]
    returned: list[bool] = []

    def linear(place: int) -> ad.UndefinedPrimal:
        return ad.UndefinedPrimal(_member(operands[place].aval, axes[place]))

    def zero(place: int) -> ad.Zero:
        aval = cotangents[place].aval
        return ad.Zero(_member(aval, 0))

    def of_member(cotangents: Any, known_operands: Any) -> Any:
        inputs = _merged(known, known_operands, linear)
        found = rule(_merged(given, cotangents, zero), *inputs, **dict(params))
        returned[:] = [
            not is_known and ct is not None and type(ct) is not ad.Zero
            for is_known, ct in zip(known, found, strict=True)
        ]
        return _taken(returned, found)

    known_axes = _taken(known, axes)
    run = vectorised(of_member, size, axis_name, ((0,) * sum(given), known_axes))
    remaining = iter(run(_taken(given, cotangents), _taken(known, operands)))
    return [
        _in_place(next(remaining), axis) if is_returned else None
        for is_returned, axis in zip(returned, axes, strict=True)
    ]


def _in_place(cotangent: Any, axis: int | None) -> Any:
    """The cotangent of an operand: where all members shared it, the sum of theirs."""
    return jnp.sum(cotangent, 0) if axis is None else jnp.moveaxis(cotangent, 0, axis)


def _rule(primitive: Primitive, kind: str) -> Callable[..., Any]:
    rule = getattr(RULES[primitive], kind)
    if rule is None:
        message = (
            f"`{primitive}` was created by `create_vprim` without a `{kind}` rule, and a batch of "
            "it needs one here."
        )
        raise NotImplementedError(message)
    return rule


def _taken(mask: Sequence[bool], values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(value for kept, value in zip(mask, values, strict=True) if kept)


def _merged(mask: Sequence[bool], taken: Any, other: Callable[[int], Any]) -> list[Any]:
    """Undo `_taken`, with `other(place)` in each other place."""
    remaining = iter(taken)
    return [next(remaining) if kept else other(place) for place, kept in enumerate(mask)]


def _finalised(*operands: Any, prim: Any, size: int, axis_name: Any, axes: Any, params: Any) -> Any:
    if prim in primitive_finalisations:
        run = functools.partial(primitive_finalisations[prim], **dict(params))
    else:
        run = finalise_fn(functools.partial(RULES[prim].impl, **dict(params)))
    return vectorised(run, size, axis_name, axes)(*operands)


vprim_p = create_vprim("vprim", _impl, _abstract_eval, _differentiate, _transpose)
primitive_finalisations[vprim_p] = _finalised
