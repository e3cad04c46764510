"""Attention block by block: no more of the weights is held than those of one block.

Forwards, keys are gone through with a running maximum and sum (Milakov & Gimelshein 2018; Rabe &
Staats 2021, "Self-attention Does Not Need O(n^2) Memory"); backwards, the weights are computed
again from the logarithms of the sums (Dao et al. 2022, "FlashAttention", algorithm 4). Blocks that
nobody sees are skipped.

It is one primitive for the result, one for its tangent, which is linear, and one for what that is
transposed to. Second derivatives are those of the plain formula, with its memory.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad
from jaxtyping import Array

from eqx_filter.primitives import create_vprim, vary_alike

from .._init import at_least_float32
from ._plain import plain
from ._request import Block, Extras, Request, in_block, kept, scores, visible

ROWS, COLUMNS = 256, 512
"""Queries and keys of a block: what is left in the cache of a core of today."""


class _Pass:
    """What all three passes share: operands that are padded to whole blocks, and which are seen."""

    def __init__(self, q: Array, k: Array, v: Array, extras: Extras, request: Request) -> None:
        self.request = request
        self.heads, self.q_length, _ = q.shape
        self.kv_length = k.shape[1]
        self.groups = self.heads // k.shape[0]
        self.rows = min(ROWS, _multiple(self.q_length, 16))
        largest = COLUMNS if request.reach() == (None, None) else ROWS
        self.columns = min(largest, _multiple(self.kv_length, 16))
        self.num_rows = -(-self.q_length // self.rows)
        self.num_columns = -(-self.kv_length // self.columns)
        self.q, self.k, self.v = self.over_rows(q), self.over_columns(k), self.over_columns(v)
        self.wide = at_least_float32(jnp.result_type(q.dtype, k.dtype, v.dtype))
        self.extras = extras._replace(
            bias=self.over_both(extras.bias),
            mask=self.over_both(extras.mask),
            q_segments=_padded(extras.q_segments, 0, self.num_rows * self.rows),
            kv_segments=_padded(extras.kv_segments, 0, self.num_columns * self.columns),
        )
        self.some_see_none = (extras.mask, extras.q_segments, extras.length) != (None, None, None)
        self.some_see_none |= request.window != (None, None) or extras.offset is not None

    def over_rows(self, x: Array) -> Array:
        """Pad along the queries."""
        return _padded(x, 1, self.num_rows * self.rows)

    def sums(self, lse: Array) -> Array:
        """The logarithms of the sums, infinite for padding: its weights are zero."""
        return _padded(lse[..., 0], 1, self.num_rows * self.rows, jnp.inf)

    def over_columns(self, x: Array) -> Array:
        """Pad along the keys."""
        return _padded(x, 1, self.num_columns * self.columns)

    def over_both(self, x: Array | None) -> Array | None:
        """Pad a bias or a mask, but for axes that it is the same along."""
        if x is None:
            return None
        x = x if x.shape[1] == 1 else self.over_rows(x)
        return x if x.shape[2] == 1 else _padded(x, 2, self.num_columns * self.columns)

    def block(self, i: Any, j: Any) -> Block:
        return Block(i * self.rows, self.rows, j * self.columns, self.columns)

    def of_row(self, x: Array, i: Any) -> Array:
        """The part of an array that belongs to a block of queries."""
        return lax.dynamic_slice_in_dim(x, i * self.rows, self.rows, 1)

    def of_column(self, x: Array, j: Any) -> Array:
        return lax.dynamic_slice_in_dim(x, j * self.columns, self.columns, 1)

    def seen(self, i: Any) -> tuple[Any, Any]:
        """The first block of keys that a block of queries may see, and that after the last."""
        left, right = self.request.reach()
        offset = 0 if self.extras.offset is None else self.extras.offset
        first, last = i * self.rows + offset, (i + 1) * self.rows - 1 + offset
        begin, end = 0, self.num_columns
        if left is not None:
            begin = jnp.clip((first - left) // self.columns, 0, self.num_columns)
        if right is not None:
            end = jnp.clip((last + right) // self.columns + 1, 0, self.num_columns)
        if self.extras.length is not None:
            end = jnp.minimum(end, -(-self.extras.length // self.columns))
        return begin, end

    def weights(self, i: Any, j: Any, q: Array, k: Array, lse: Array) -> tuple[Array, Any, Any]:
        """The weights of a block; their slope by a capped score, and what dropout makes of them."""
        block = self.block(i, j)
        logits, slope = scores(self.request, self.extras, block, q, k)
        weights = jnp.exp(logits - lse[..., None])
        seen = visible(self.request, self.extras, block, self.kv_length)
        if seen is not None:
            weights = jnp.where(seen, weights, 0)
        return weights, slope, kept(self.request, self.extras, block, self.heads, self.wide)

    def onto_values(self, weights: Array, v: Array) -> Array:
        """`(heads, rows, columns)` by `(kv_heads, columns, size)`: `(heads, rows, size)`."""
        grouped = self.grouped(weights)
        out = _matmul(grouped, v, 2, 1, self.wide)
        return jnp.reshape(out, (self.heads, -1, v.shape[-1]))

    def onto_rows(self, weights: Array, x: Array) -> Array:
        """`(heads, rows, columns)` transposed, by `(heads, rows, size)`, summed over each group."""
        return _matmul(self.grouped(weights), self.grouped(x), 1, 1, self.wide)

    def alike(self, *arrays: Array | None) -> tuple[Any, ...]:
        """What a loop begins with, which differs over the axes of a mesh that operands do."""
        return tuple(None if x is None else vary_alike(x, self.q)[0] for x in arrays)

    def mean(self, v: Array) -> Array:
        """The mean of all values, which a query gets that sees none: `(heads, 1, v_size)`."""
        mean = jnp.mean(v[:, : self.kv_length].astype(self.wide), 1, keepdims=True)
        return jnp.repeat(mean, self.groups, 0)

    def grouped(self, x: Array) -> Array:
        return jnp.reshape(x, (x.shape[0] // self.groups, -1, x.shape[-1]))


def _multiple(size: int, of: int) -> int:
    return max(of, -(-size // of) * of)


def _padded(x: Any, axis: int, size: int, value: float = 0) -> Any:
    if x is None or x.shape[axis] == size:
        return x
    more = [(0, size - n if i == axis else 0) for i, n in enumerate(x.shape)]
    return jnp.pad(x, more, constant_values=value)


def _matmul(x: Array, y: Array, of_x: int, of_y: int, wide: Any) -> Array:
    """A product over an axis of each, for each of the first axis, computed as the second is."""
    dims = (((of_x,), (of_y,)), ((0,), (0,)))
    return lax.dot_general(x.astype(y.dtype), y, dims, preferred_element_type=wide)


def _forward(q: Array, k: Array, v: Array, extras: Extras, request: Request) -> list[Array]:
    """The result, and of each query the logarithm of the sum of its exponentials."""
    it = _Pass(q, k, v, extras, request)
    lowest = jnp.finfo(it.wide).min / 2
    mean = it.mean(v) if it.some_see_none else 0

    def of_row(i: Array) -> tuple[Array, Array]:
        rows = it.of_row(it.q, i)

        def of_block(j: Any, carry: Any) -> Any:
            total, top, out = carry
            block = it.block(i, j)
            logits, _ = scores(request, it.extras, block, rows, it.of_column(it.k, j))
            seen = visible(request, it.extras, block, it.kv_length)
            if seen is not None:
                logits = jnp.where(seen, logits, lowest)
            higher = jnp.maximum(top, jnp.max(logits, -1))
            weights, shrink = jnp.exp(logits - higher[..., None]), jnp.exp(top - higher)
            if seen is not None:
                weights = jnp.where(seen, weights, 0)
            total = total * shrink + jnp.sum(weights, -1)
            drop = kept(request, it.extras, block, it.heads, it.wide)
            weights = weights if drop is None else weights * drop
            out = out * shrink[..., None] + it.onto_values(weights, it.of_column(it.v, j))
            return total, higher, out

        shape = it.heads, it.rows
        zero = jnp.zeros(shape, it.wide)
        start = it.alike(zero, zero + lowest, jnp.zeros((*shape, v.shape[2]), it.wide))
        total, top, out = lax.fori_loop(*it.seen(i), of_block, start)
        is_empty = total == 0
        out = out / jnp.where(is_empty, 1, total)[..., None]
        lse = jnp.where(is_empty, jnp.inf, top + jnp.log(total))
        return jnp.where(is_empty[..., None], mean, out), lse

    out, lse = lax.map(of_row, jnp.arange(it.num_rows))
    lse = _joined(lse[..., None], it.q_length)
    return [_joined(out, it.q_length).astype(jnp.result_type(q, k, v)), lse]


def _tangent(
    q: Array, k: Array, v: Array, extras: Extras, request: Request, *others: Array
) -> list[Array]:
    """The tangent of the result, by those of queries, keys, values and, if given, the bias."""
    out, lse, dq, dk, dv, *dbias = others
    it = _Pass(q, k, v, extras, request)
    out, lse, dq = it.over_rows(out), it.sums(lse), it.over_rows(dq)
    dk, dv = it.over_columns(dk), it.over_columns(dv)
    moved = it.over_both(dbias[0]) if dbias else None
    mean = it.mean(dv) if it.some_see_none else 0
    linear = Request(request.scale)

    def of_row(i: Array) -> Array:
        rows, sums, moving = it.of_row(it.q, i), it.of_row(lse, i), it.of_row(dq, i)

        def of_block(j: Any, carry: Any) -> Any:
            total, moved_out = carry
            columns, values = it.of_column(it.k, j), it.of_column(it.v, j)
            weights, slope, drop = it.weights(i, j, rows, columns, sums)
            change, _ = scores(linear, Extras(), it.block(i, j), moving, columns)
            change += scores(linear, Extras(), it.block(i, j), rows, it.of_column(dk, j))[0]
            change = change if slope is None else change * slope
            by_bias = in_block(moved, it.block(i, j))
            change = change if by_bias is None else change + by_bias.astype(it.wide)
            change *= weights
            total += jnp.sum(change, -1)
            if drop is not None:
                change, weights = change * drop, weights * drop
            moved_out += it.onto_values(change, values)
            return total, moved_out + it.onto_values(weights, it.of_column(dv, j))

        zero = jnp.zeros((it.heads, it.rows), it.wide)
        start = it.alike(zero, jnp.zeros((*zero.shape, v.shape[2]), it.wide))
        total, moved_out = lax.fori_loop(*it.seen(i), of_block, start)
        moved_out -= total[..., None] * it.of_row(out, i).astype(it.wide)
        return jnp.where(jnp.isinf(sums)[..., None], mean, moved_out)

    rows = lax.map(of_row, jnp.arange(it.num_rows))
    return [_joined(rows, it.q_length).astype(jnp.result_type(q, k, v))]


def _backward(
    q: Array, k: Array, v: Array, extras: Extras, request: Request, *others: Any, bias: bool
) -> list[Array]:
    """The cotangents of queries, keys, values and, if asked for, the bias."""
    out, lse, cotangent = others
    it = _Pass(q, k, v, extras, request)
    wide = it.wide
    delta = it.over_rows(jnp.sum(out.astype(wide) * cotangent.astype(wide), -1))
    lse = it.sums(lse)
    ct = it.over_rows(cotangent)

    def of_row(carry: Any, i: Array) -> tuple[Any, Array]:
        rows, sums, coming, less = (it.of_row(x, i) for x in (it.q, lse, ct, delta))

        def of_block(j: Any, carry: Any) -> Any:
            dk, dv, db, dq = carry
            columns, values = it.of_column(it.k, j), it.of_column(it.v, j)
            weights, slope, drop = it.weights(i, j, rows, columns, sums)
            change, _ = scores(Request(1.0), Extras(), it.block(i, j), coming, values)
            if drop is not None:
                change *= drop
            change = weights * (change - less[..., None])
            db = db if db is None else _added_to_bias(db, it.block(i, j), change)
            change = change if slope is None else change * slope
            weights = weights if drop is None else weights * drop
            dv = _added(dv, j * it.columns, it.onto_rows(weights, coming))
            dk = _added(dk, j * it.columns, it.onto_rows(change, rows))
            return dk, dv, db, dq + it.onto_values(change, columns)

        start = it.alike(*carry, jnp.zeros((it.heads, it.rows, q.shape[2]), wide))
        *carry, dq = lax.fori_loop(*it.seen(i), of_block, start)
        return tuple(carry), dq

    zeros = [jnp.zeros(x.shape, wide) for x in (it.k, it.v)]
    db = jnp.zeros(it.extras.bias.shape, wide) if bias else None  # type: ignore[union-attr]
    (dk, dv, db), dq = lax.scan(of_row, it.alike(*zeros, db), jnp.arange(it.num_rows))
    if it.some_see_none:
        of_none = jnp.where(jnp.isinf(lse)[..., None], ct.astype(wide), 0)
        spread = jnp.sum(it.grouped(of_none), 1, keepdims=True) / it.kv_length
        dv += spread
    scale = jnp.asarray(request.scale, wide)
    found = [
        (_joined(dq, it.q_length) * scale).astype(q.dtype),
        (dk[:, : it.kv_length] * scale).astype(k.dtype),
        dv[:, : it.kv_length].astype(v.dtype),
    ]
    if bias:
        shape = extras.bias.shape  # type: ignore[union-attr]
        found.append(db[:, : shape[1], : shape[2]].astype(extras.bias.dtype))  # type: ignore[union-attr]
    return found


def _joined(blocks: Array, length: int) -> Array:
    """Blocks of rows one after another, without the padding."""
    rows = jnp.moveaxis(blocks, 0, 1)
    return jnp.reshape(rows, (rows.shape[0], -1, *rows.shape[3:]))[:, :length]


def _added(x: Array, start: Any, more: Array) -> Array:
    """With some rows added to those that begin at `start`."""
    now = lax.dynamic_slice_in_dim(x, start, more.shape[1], 1)
    return lax.dynamic_update_slice_in_dim(x, now + more, start, 1)


def _added_to_bias(bias: Array, block: Block, change: Array) -> Array:
    alike = [axis for axis in range(3) if bias.shape[axis] == 1]
    change = jnp.sum(change, alike, keepdims=True)
    starts = [0 if axis in alike else at for axis, at in enumerate((0, block.row, block.column))]
    now = lax.dynamic_slice(bias, starts, change.shape)
    return lax.dynamic_update_slice(bias, now + change, starts)


# ---- The primitives: operands are q, k, v, those of the extras that are there, and others --------


def _taken(operands: Any, names: tuple[str, ...]) -> tuple[Any, Extras, Any]:
    q, k, v, *rest = operands
    return (q, k, v), Extras(**dict(zip(names, rest, strict=False))), rest[len(names) :]


def _impl(*operands: Any, request: Request, names: tuple[str, ...]) -> list[Array]:
    arrays, extras, _ = _taken(operands, names)
    return _forward(*arrays, extras, request)


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
    return _tangent(*arrays, extras, request, *others)


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
    return _backward(*arrays, extras, request, *others, bias=bias)


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
