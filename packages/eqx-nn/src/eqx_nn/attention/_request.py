"""What attention is asked for besides queries, keys and values: which pairs meet, and how.

All arrays are heads first here: queries `(heads, q_length, size)`, keys `(kv_heads, kv_length,
size)`, values `(kv_heads, kv_length, v_size)`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._init import at_least_float32

Implementation = Literal["plain", "blockwise", "cudnn"] | None
"""How attention is computed; see `dot_product_attention`."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is known while tracing.

    `window` is how many keys before and after its own place a query sees, each None for all.
    `softcap` is 0 for none, and `dropout` says whether weights are dropped.
    """

    scale: float
    is_causal: bool = False
    window: tuple[int | None, int | None] = (None, None)
    softcap: float = 0.0
    dropout: bool = False

    def reach(self) -> tuple[int | None, int | None]:
        """How far before and behind its own place a query sees, None for all."""
        left, right = self.window
        return left, min(0 if right is None else right, 0) if self.is_causal else right


class Extras(NamedTuple):
    """Arrays besides queries, keys and values; None for what is not asked for.

    `bias` and `mask` have the rank of `(heads, q_length, kv_length)`, with axes of size 1 where
    they are the same along; `q_segments` is of shape `(q_length,)`, `kv_segments` of
    `(kv_length,)`.
    `offset`, of shape (), is the place of the first query among the keys; `length`, of shape (),
    how many keys there are, of those that are given. `key` is the data of a PRNG key, for dropout
    of `rate`.
    """

    bias: Array | None = None
    mask: Array | None = None
    q_segments: Array | None = None
    kv_segments: Array | None = None
    offset: Array | None = None
    length: Array | None = None
    key: Array | None = None
    rate: Array | None = None


class Block(NamedTuple):
    """The places of some queries and some keys: the first of each, and how many."""

    row: Any
    rows: int
    column: Any
    columns: int


def part(x: Array | None, axis: int, start: Any, size: int) -> Array | None:
    """Some of an array along an axis, or all of it where the axis is of size 1."""
    if x is None or x.shape[axis] == 1:
        return x
    return jax.lax.dynamic_slice_in_dim(x, start, size, axis)


def visible(request: Request, extras: Extras, block: Block, length: int) -> Array | None:
    """Which pairs of a block meet: broadcasts to `(heads, rows, columns)`; None for all.

    `length` is the number of keys, beyond which there is padding.
    """
    rows = block.row + jnp.arange(block.rows)[:, None]
    columns = block.column + jnp.arange(block.columns)[None]
    found = []
    if extras.length is not None:
        found.append(columns < jnp.minimum(extras.length, length))
    elif length % max(block.columns, 1):  # the last block is padded
        found.append(columns < length)
    left, right = request.reach()
    places = rows if extras.offset is None else rows + extras.offset
    if right is not None:
        found.append(columns <= places + right)
    if left is not None:
        found.append(columns >= places - left)
    if extras.q_segments is not None and extras.kv_segments is not None:
        of_rows = part(extras.q_segments, 0, block.row, block.rows)
        of_columns = part(extras.kv_segments, 0, block.column, block.columns)
        found.append(of_rows[:, None] == of_columns[None])  # type: ignore[index]
    mask = in_block(extras.mask, block)
    together = [*(it[None] for it in found), *([] if mask is None else [mask])]
    if not together:
        return None
    seen = together[0]
    for more in together[1:]:
        seen = seen & more
    return seen


def in_block(x: Array | None, block: Block) -> Array | None:
    """The part of a mask or a bias that belongs to a block."""
    return part(part(x, 1, block.row, block.rows), 2, block.column, block.columns)


def scores(
    request: Request, extras: Extras, block: Block, q: Array, k: Array
) -> tuple[Array, Array | None]:
    """The scores of a block, `(heads, rows, columns)`, and their derivative by what is capped."""
    groups = q.shape[0] // k.shape[0]
    wide = at_least_float32(jnp.result_type(q.dtype, k.dtype))
    scale, is_exact = jnp.asarray(request.scale, wide), q.dtype == wide
    rows = jnp.reshape(q * scale if is_exact else q, (k.shape[0], groups * q.shape[1], q.shape[2]))
    raw = jax.lax.dot_general(rows, k, (((2,), (2,)), ((0,), (0,))), preferred_element_type=wide)
    raw = jnp.reshape(raw, (q.shape[0], q.shape[1], k.shape[1]))
    raw = raw if is_exact else raw * scale  # few bits would lose some
    slope = None
    if request.softcap:
        cap = jnp.asarray(request.softcap, wide)
        capped = jnp.tanh(raw / cap)
        raw, slope = cap * capped, 1 - capped**2
    bias = in_block(extras.bias, block)
    return raw if bias is None else raw + bias.astype(wide), slope


def kept(request: Request, extras: Extras, block: Block, heads: int, dtype: Any) -> Array | None:
    """What dropout multiplies the weights of a block with; None where nothing is dropped.

    The numbers are those of a key folded by the place of the block, and so the same in each pass.
    """
    if not request.dropout:
        return None
    key = jax.random.wrap_key_data(extras.key)
    key = jax.random.fold_in(jax.random.fold_in(key, block.row), block.column)
    keep = 1 - extras.rate  # type: ignore[operator]
    stays = jax.random.bernoulli(key, keep, (heads, block.rows, block.columns))
    return jnp.where(stays, 1 / jnp.where(keep == 0, 1, keep), 0).astype(dtype)
