"""Attention block by block: no more of the weights is held than those of one block.

It is one primitive for the result, one for its tangent, which is linear, and one for what that is
transposed to. Their operands are queries, keys, values, those of the extras that are there, and
others. Second derivatives are those of the plain formula, with its memory.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from jaxtyping import Array

from eqx_filter.primitives import create_vprim, vary_alike

from .._init import at_least_float32
from ._blocks import backward, forward, tangent
from ._plain import plain
from ._request import Extras, Request


def _taken(operands: Any, names: tuple[str, ...]) -> tuple[Any, Extras, Any]:
    q, k, v, *rest = operands
    return (q, k, v), Extras(**dict(zip(names, rest, strict=False))), rest[len(names) :]


def _impl(*operands: Any, request: Request, names: tuple[str, ...]) -> list[Array]:
    arrays, extras, _ = _taken(operands, names)
    return forward(*arrays, extras, request)


def _abstract(*avals: Any, request: Request, names: tuple[str, ...]) -> list[Any]:
    q, k, v = avals[:3]
    dtype = jnp.result_type(q.dtype, k.dtype, v.dtype)
    out = q.update(shape=(*q.shape[:2], v.shape[2]), dtype=dtype, weak_type=False)
    return [out, q.update(shape=(*q.shape[:2], 1), dtype=at_least_float32(dtype), weak_type=False)]


def _jvp(primals: Any, tangents: Any, *, request: Request, names: tuple[str, ...]) -> Any:
    out, lse = attention_p.bind(*primals, request=request, names=names)
    moving = [ad.instantiate_zeros(it) for it in tangents[:3]]
    of_bias = tangents[3] if names[:1] == ("bias",) else None
    if of_bias is not None and type(of_bias) is not ad.Zero:
        moving.append(of_bias)
    params = {"request": request, "names": names, "bias": len(moving) == 4}
    [moved] = tangent_p.bind(*primals, out, lse, *moving, **params)
    return [out, lse], [moved, *vary_alike(jnp.zeros_like(lse), lse)[:1]]


def _tangent_impl(
    *operands: Any, request: Request, names: tuple[str, ...], bias: bool
) -> list[Array]:
    arrays, extras, others = _taken(operands, names)
    return tangent(*arrays, extras, request, *others)


def _tangent_abstract(*avals: Any, **params: Any) -> list[Any]:
    return _abstract(*avals, request=params["request"], names=params["names"])[:1]


def _tangent_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    """By the plain formula; what was found before follows from queries, keys and values."""
    names = params["names"]
    arrays, extras, (_, _, *moving) = _taken(primals, names)

    def tangent(arrays: Any, bias: Any, moving: Any) -> Array:
        of = lambda q, k, v, bias: plain(q, k, v, extras._replace(bias=bias), params["request"])  # noqa: E731
        moved = (*moving[:3], *(moving[3:] or [_zero_like(bias)]))
        return jax.jvp(of, (*arrays, bias), moved)[1]

    changes, change, (_, _, *of_moving) = _taken(tangents, names)
    given = tuple(arrays), extras.bias, tuple(moving)
    directions = tuple(changes), change.bias, tuple(of_moving)
    return tangent_p.bind(*primals, **params), [_moved(tangent, given, directions)]


def _tangent_transpose(cotangents: Any, *operands: Any, **params: Any) -> list[Any]:
    count = 4 if params["bias"] else 3
    known = operands[:-count]
    if type(cotangents[0]) is ad.Zero:
        return [None] * len(operands)
    found = backward_p.bind(*known, cotangents[0], **params)
    return [None] * len(known) + [
        it if ad.is_undefined_primal(operand) else None
        for it, operand in zip(found, operands[-count:], strict=True)
    ]


def _backward_impl(
    *operands: Any, request: Request, names: tuple[str, ...], bias: bool
) -> list[Array]:
    arrays, extras, others = _taken(operands, names)
    return backward(*arrays, extras, request, *others, bias=bias)


def _backward_abstract(*avals: Any, names: tuple[str, ...], bias: bool, **_: Any) -> Any:
    return [it.update(weak_type=False) for it in avals[: 4 if bias else 3]]


def _backward_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    """By the plain formula, as for `_tangent_jvp`."""
    names, with_bias = params["names"], params["bias"]
    arrays, extras, (_, _, cotangent) = _taken(primals, names)

    def backward(arrays: Any, bias: Any, cotangent: Any) -> list[Array]:
        of = lambda q, k, v, bias: plain(q, k, v, extras._replace(bias=bias), params["request"])  # noqa: E731
        found = jax.vjp(of, *arrays, bias)[1](cotangent)
        return list(found[: 4 if with_bias else 3])

    changes, change, (_, _, of_cotangent) = _taken(tangents, names)
    given = tuple(arrays), extras.bias, cotangent
    directions = tuple(changes), change.bias, of_cotangent
    return backward_p.bind(*primals, **params), _moved(backward, given, directions)


def _moved(function: Any, given: Any, directions: Any) -> Any:
    """The tangent of a function of PyTrees, some of whose tangents are symbolic zeros."""
    is_zero = lambda it: type(it) is ad.Zero  # noqa: E731
    filled = jax.tree.map(ad.instantiate_zeros, directions, is_leaf=is_zero)
    return jax.jvp(function, given, filled)[1]


def _zero_like(bias: Array | None) -> Array | None:
    return None if bias is None else jnp.zeros_like(bias)


attention_p = create_vprim("attention", _impl, _abstract, _jvp, None)
tangent_p = create_vprim(
    "attention_tangent", _tangent_impl, _tangent_abstract, _tangent_jvp, _tangent_transpose
)
backward_p = create_vprim(
    "attention_backward", _backward_impl, _backward_abstract, _backward_jvp, None
)


def blockwise(q: Array, k: Array, v: Array, extras: Extras, request: Request) -> Array:
    """Attention of `(heads, q_length, size)` block by block: `(heads, q_length, v_size)`."""
    there = {name: it for name, it in zip(Extras._fields, extras, strict=True) if it is not None}
    operands = vary_alike(q, k, v, *there.values())
    return attention_p.bind(*operands, request=request, names=tuple(there))[0]
