"""Attention block by block: what is computed forwards, along tangents and backwards.

Forwards, keys are gone through with a running maximum and sum (Milakov & Gimelshein 2018; Rabe &
Staats 2021, "Self-attention Does Not Need O(n^2) Memory"); backwards, the weights are computed
again from the logarithms of the sums (Dao et al. 2022, "FlashAttention", algorithm 4). One loop
goes through the pairs of a block of queries and one of keys, but for those that nobody sees: XLA
compiles one loop in half the time of two, one within the other.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool

from eqx_filter.primitives import vary_alike
from eqx_filter.rules import unvmap_max

from .._init import at_least_float32
from ._request import Block, Extras, Request, in_block, kept, scores, visible

ROWS, COLUMNS = 256, 512
"""Queries and keys of a block: what is left in the cache of a core of today."""


class _Pass:
    """What all three passes share: operands that are padded to whole blocks, and which are seen."""

    def __init__(self, q: Array, k: Array, v: Array, extras: Extras, request: Request) -> None:
        self.heads, self.q_length, _ = q.shape
        self.kv_length = k.shape[1]
        self.groups = self.heads // k.shape[0]
        self.rows = min(ROWS, _multiple(self.q_length, 16))
        largest = COLUMNS if request.reach() == (None, None) else ROWS
        self.columns = min(largest, _multiple(self.kv_length, 16))
        self.num_rows = -(-self.q_length // self.rows)
        self.num_columns = -(-self.kv_length // self.columns)
        self.wide = at_least_float32(jnp.result_type(q.dtype, k.dtype, v.dtype))
        self.scale = jnp.asarray(request.scale, self.wide)
        self.is_scaled = q.dtype == self.wide
        self.request = dataclasses.replace(request, scale=1.0) if self.is_scaled else request
        self.q, self.k, self.v = self.scaled(q), self.over_columns(k), self.over_columns(v)
        self.extras = extras._replace(
            bias=self.over_both(extras.bias),
            mask=self.over_both(extras.mask),
            q_segments=_padded(extras.q_segments, 0, self.num_rows * self.rows),
            kv_segments=_padded(extras.kv_segments, 0, self.num_columns * self.columns),
        )
        self.some_see_none = (extras.mask, extras.q_segments, extras.length) != (None, None, None)
        self.some_see_none |= request.window != (None, None) or extras.offset is not None

    def scaled(self, x: Array) -> Array:
        """Pad along the queries, scaled already where that loses no more than scaling later."""
        return self.over_rows(x * self.scale if self.is_scaled else x)

    def over_rows(self, x: Array) -> Array:
        """Pad along the queries."""
        return _padded(x, 1, self.num_rows * self.rows)

    def over_columns(self, x: Array) -> Array:
        """Pad along the keys."""
        return _padded(x, 1, self.num_columns * self.columns)

    def over_both(self, x: Array | None) -> Array | None:
        """Pad a bias or a mask, but for axes that it is the same along."""
        if x is None:
            return None
        x = x if x.shape[1] == 1 else self.over_rows(x)
        return x if x.shape[2] == 1 else _padded(x, 2, self.num_columns * self.columns)

    def sums(self, lse: Array) -> Array:
        """The logarithms of the sums, infinite for padding: its weights are zero."""
        return _padded(lse[..., 0], 1, self.num_rows * self.rows, jnp.inf)

    def zeros(self, *sizes: int) -> Array:
        """For each query: `(heads, rows, *sizes)`."""
        return jnp.zeros((self.heads, self.num_rows * self.rows, *sizes), self.wide)

    def of_row(self, x: Array, i: Any) -> Array:
        """The part of an array that belongs to a block of queries."""
        return lax.dynamic_slice_in_dim(x, i * self.rows, self.rows, 1)

    def of_column(self, x: Array, j: Any) -> Array:
        return lax.dynamic_slice_in_dim(x, j * self.columns, self.columns, 1)

    def put(self, x: Array, i: Any, news: Array) -> Array:
        """The array with another part for a block of queries."""
        return lax.dynamic_update_slice_in_dim(x, news, i * self.rows, 1)

    def loop(self, step: Any, start: Any) -> Any:
        """Call `step(block, i, j, carry)` for each pair that somebody sees."""
        pairs, count = self._pairs()

        def at(n: Any, carry: Any) -> Any:
            i, j = pairs[n, 0], pairs[n, 1]
            block = Block(i * self.rows, self.rows, j * self.columns, self.columns)
            return step(block, i, j, carry)

        start = tuple(None if x is None else vary_alike(x, self.q)[0] for x in start)
        return lax.fori_loop(0, count, at, start)

    def _pairs(self) -> tuple[Any, Any]:
        """The pairs of blocks that are seen, `(n, 2)`, and how many they are.

        They are the same for all members of a batch, so that none needs a loop of its own.
        """
        every = np.stack(np.indices((self.num_rows, self.num_columns)), -1).reshape(-1, 2)
        every = every.astype(np.int32)
        seen = self._seen(every[:, 0], every[:, 1])
        if isinstance(seen, np.ndarray):
            return jnp.asarray(every[seen]), int(seen.sum())
        return jnp.asarray(every)[jnp.argsort(~seen, stable=True)], jnp.sum(seen)

    def _seen(self, i: Any, j: Any) -> Any:
        """Whether a block of queries may see one of keys, as far as that is told by places."""
        left, right = self.request.reach()
        first, last = i * self.rows, (i + 1) * self.rows - 1
        seen = np.ones(i.shape, bool)
        offset = self.extras.offset
        lowest = 0 if offset is None or left is None else -unvmap_max(-offset)
        highest = 0 if offset is None or right is None else unvmap_max(offset)
        if left is not None:
            seen = seen & ((j + 1) * self.columns - 1 >= first + lowest - left)
        if right is not None:
            seen = seen & (j * self.columns <= last + highest + right)
        if self.extras.length is not None:
            seen = seen & (j * self.columns < unvmap_max(self.extras.length))
        return seen if self.extras.q_segments is None else seen & self._segments_meet()

    def _segments_meet(self) -> Bool[Array, " pairs"]:
        """Whether the ids of a block of queries and those of one of keys overlap."""
        of_rows = self.extras.q_segments.reshape(self.num_rows, 1, -1)  # type: ignore[union-attr]
        of_columns = self.extras.kv_segments.reshape(1, self.num_columns, -1)  # type: ignore[union-attr]
        meet = of_rows.min(-1) <= of_columns.max(-1)
        meet &= of_rows.max(-1) >= of_columns.min(-1)
        return _in_any_member(meet.reshape(-1))

    def weights(self, block: Block, q: Array, k: Array, lse: Array) -> tuple[Array, Any, Any]:
        """The weights of a block; their slope by a capped score, and what dropout makes of them."""
        logits, slope = scores(self.request, self.extras, block, q, k)
        weights = jnp.exp(logits - lse[..., None])
        seen = visible(self.request, self.extras, block, self.kv_length)
        if seen is not None:
            weights = jnp.where(seen, weights, 0)
        return weights, slope, kept(self.request, self.extras, block, self.heads, self.wide)

    def products(self, block: Block, x: Array, y: Array) -> Array:
        """Products of queries, or what is like them, and keys: `(heads, rows, columns)`."""
        return scores(Request(1.0), Extras(), block, x, y)[0]

    def onto_values(self, weights: Array, v: Array) -> Array:
        """`(heads, rows, columns)` by `(kv_heads, columns, size)`: `(heads, rows, size)`."""
        out = _matmul(self.grouped(weights), v, 2, 1, self.wide)
        return jnp.reshape(out, (self.heads, -1, v.shape[-1]))

    def onto_rows(self, weights: Array, x: Array) -> Array:
        """`(heads, rows, columns)` transposed, by `(heads, rows, size)`, summed over each group."""
        return _matmul(self.grouped(weights), self.grouped(x), 1, 1, self.wide)

    def mean(self, v: Array) -> Array:
        """The mean of all values, which a query gets that sees none: `(heads, 1, v_size)`."""
        mean = jnp.mean(v[:, : self.kv_length].astype(self.wide), 1, keepdims=True)
        return jnp.repeat(mean, self.groups, 0)

    def grouped(self, x: Array) -> Array:
        return jnp.reshape(x, (x.shape[0] // self.groups, -1, x.shape[-1]))


@jax.custom_batching.custom_vmap
def _in_any_member(x: Array) -> Array:
    """For each element, whether it holds in any member of a batch."""
    return x


@_in_any_member.def_vmap
def _(axis_size: int, in_batched: list[bool], x: Array) -> tuple[Array, bool]:
    return _in_any_member(jnp.any(x, 0)), False


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


def forward(q: Array, k: Array, v: Array, extras: Extras, request: Request) -> list[Array]:
    """The result, and of each query the logarithm of the sum of its exponentials."""
    it = _Pass(q, k, v, extras, request)
    lowest = jnp.finfo(it.wide).min / 2

    def step(block: Block, i: Any, j: Any, carry: Any) -> Any:
        total, top, out = (it.of_row(x, i) for x in carry)
        logits, _ = scores(it.request, it.extras, block, it.of_row(it.q, i), it.of_column(it.k, j))
        seen = visible(it.request, it.extras, block, it.kv_length)
        if seen is not None:
            logits = jnp.where(seen, logits, lowest)
        higher = jnp.maximum(top, jnp.max(logits, -1))
        weights, shrink = jnp.exp(logits - higher[..., None]), jnp.exp(top - higher)
        if seen is not None:
            weights = jnp.where(seen, weights, 0)
        total = total * shrink + jnp.sum(weights, -1)
        drop = kept(it.request, it.extras, block, it.heads, it.wide)
        weights = weights if drop is None else weights * drop
        out = out * shrink[..., None] + it.onto_values(weights, it.of_column(it.v, j))
        news = zip(carry, (total, higher, out), strict=True)
        return tuple(it.put(old, i, new) for old, new in news)

    total, top, out = it.loop(step, (it.zeros(), it.zeros() + lowest, it.zeros(v.shape[2])))
    is_empty = total == 0
    out = out / jnp.where(is_empty, 1, total)[..., None]
    lse = jnp.where(is_empty, jnp.inf, top + jnp.log(total))
    if it.some_see_none:
        out = jnp.where(is_empty[..., None], it.mean(v), out)
    of_queries = slice(None), slice(it.q_length)
    return [out[of_queries].astype(jnp.result_type(q, k, v)), lse[of_queries][..., None]]


def tangent(
    q: Array, k: Array, v: Array, extras: Extras, request: Request, *others: Array
) -> list[Array]:
    """The tangent of the result, by those of queries, keys, values and, if given, the bias."""
    out, lse, dq, dk, dv, *dbias = others
    it = _Pass(q, k, v, extras, request)
    sums, moving = it.sums(lse), it.scaled(dq)
    dk, dv = it.over_columns(dk), it.over_columns(dv)
    moved = it.over_both(dbias[0]) if dbias else None

    def step(block: Block, i: Any, j: Any, carry: Any) -> Any:
        total, moved_out = (it.of_row(x, i) for x in carry)
        rows, columns = it.of_row(it.q, i), it.of_column(it.k, j)
        weights, slope, drop = it.weights(block, rows, columns, it.of_row(sums, i))
        change = it.products(block, it.of_row(moving, i), columns)
        change += it.products(block, rows, it.of_column(dk, j))
        change = change if it.is_scaled else change * it.scale
        change = change if slope is None else change * slope
        by_bias = in_block(moved, block)
        change = change if by_bias is None else change + by_bias.astype(it.wide)
        change *= weights
        total += jnp.sum(change, -1)
        if drop is not None:
            change, weights = change * drop, weights * drop
        moved_out += it.onto_values(change, it.of_column(it.v, j))
        moved_out += it.onto_values(weights, it.of_column(dv, j))
        return it.put(carry[0], i, total), it.put(carry[1], i, moved_out)

    total, moved_out = it.loop(step, (it.zeros(), it.zeros(v.shape[2])))
    moved_out -= total[..., None] * it.over_rows(out).astype(it.wide)
    if it.some_see_none:
        moved_out = jnp.where(jnp.isinf(sums)[..., None], it.mean(dv), moved_out)
    return [moved_out[:, : it.q_length].astype(jnp.result_type(q, k, v))]


def backward(
    q: Array, k: Array, v: Array, extras: Extras, request: Request, *others: Any, bias: bool
) -> list[Array]:
    """The cotangents of queries, keys, values and, if asked for, the bias."""
    out, lse, cotangent = others
    it = _Pass(q, k, v, extras, request)
    delta = it.over_rows(jnp.sum(out.astype(it.wide) * cotangent.astype(it.wide), -1))
    sums, coming = it.sums(lse), it.over_rows(cotangent)

    def step(block: Block, i: Any, j: Any, carry: Any) -> Any:
        dq, dk, dv, db = carry
        rows, columns, of_rows = it.of_row(it.q, i), it.of_column(it.k, j), it.of_row(coming, i)
        weights, slope, drop = it.weights(block, rows, columns, it.of_row(sums, i))
        change = it.products(block, of_rows, it.of_column(it.v, j))
        change = change if drop is None else change * drop
        change = weights * (change - it.of_row(delta, i)[..., None])
        db = db if db is None else _added_to_bias(db, block, change)
        change = change if slope is None else change * slope
        weights = weights if drop is None else weights * drop
        dq = _added(dq, block.row, it.onto_values(change, columns))
        dk = _added(dk, block.column, it.onto_rows(change, rows))
        dv = _added(dv, block.column, it.onto_rows(weights, of_rows))
        return dq, dk, dv, db

    db = jnp.zeros(it.extras.bias.shape, it.wide) if bias else None  # type: ignore[union-attr]
    of_columns = (jnp.zeros(x.shape, it.wide) for x in (it.k, it.v))
    dq, dk, dv, db = it.loop(step, (it.zeros(q.shape[2]), *of_columns, db))
    if it.some_see_none:
        of_none = jnp.where(jnp.isinf(sums)[..., None], coming.astype(it.wide), 0)
        dv += jnp.sum(it.grouped(of_none), 1, keepdims=True) / it.kv_length
    found = [
        (dq[:, : it.q_length] * it.scale).astype(q.dtype),
        (dk if it.is_scaled else dk * it.scale)[:, : it.kv_length].astype(k.dtype),
        dv[:, : it.kv_length].astype(v.dtype),
    ]
    if bias:
        shape = extras.bias.shape  # type: ignore[union-attr]
        found.append(db[:, : shape[1], : shape[2]].astype(extras.bias.dtype))  # type: ignore[union-attr, index]
    return found


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
