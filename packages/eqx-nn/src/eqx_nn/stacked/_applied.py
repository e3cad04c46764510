"""One call of equal blocks: what goes from layer to layer, and what each layer has of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from eqx_filter import filter_checkpoint, filter_cond, filter_scan, is_array

from .._random import key_at
from .._state import State


class Row(NamedTuple):
    """What a layer has of its own."""

    block: Any
    index: Any
    state: State | None
    cache: Any
    each: dict[str, Any]


class Call(NamedTuple):
    """What all layers are called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: Any
    until: Callable[[Any], Any] | None
    collect: bool

    def layer(self, x: Any, row: Row) -> tuple[Any, Any, Any]:
        """What one layer makes of `x`, with its new state and cache."""
        args = tuple(row.state if isinstance(it, State) else it for it in self.args)
        kwargs = {
            name: row.state if isinstance(it, State) else it for name, it in self.kwargs.items()
        }
        if self.key is not None:
            kwargs["key"] = key_at("Stacked", self.key, row.index)
        if row.cache is not None:
            kwargs["cache"] = row.cache
        out = row.block(x, *args, **kwargs, **row.each)
        wanted = [name for name in ("state", "cache") if getattr(row, name) is not None]
        if not wanted:
            return out, None, None
        told = ", ".join(("y", *wanted))
        if not isinstance(out, tuple) or len(out) != 1 + len(wanted):
            given = " and ".join(f"a `{name}`" for name in wanted)
            message = (
                f"A block of `Stacked`, a `{type(row.block).__name__}`, must return `({told})` "
                f"when it is called with {given}; it returned a `{type(out).__name__}`."
            )
            raise TypeError(message)
        y, *news = out
        found = dict(zip(wanted, news, strict=True))
        return y, found.get("state"), found.get("cache")

    def checked(self, x: Any, row: Row) -> tuple[Any, Any, Any]:
        """What one layer makes of `x`, which must be like it."""
        y, state, cache = self.layer(x, row)
        before, after = (jax.tree.map(_outline, it) for it in (x, y))
        if before != after:
            message = (
                f"The blocks of a `Stacked` give what the next one takes; a "
                f"`{type(row.block).__name__}` was given {before} and gave {after}. Begin with an "
                "array of that dtype, and let blocks keep the shape."
            )
            raise TypeError(message)
        return y, state, cache

    def unless_done(self, carry: tuple[Any, Any], row: Row) -> tuple[tuple[Any, Any], Any]:
        """The layer, unless an earlier one gave what is asked for."""
        x, done = carry
        if self.until is None:
            x, state, cache = self.checked(x, row)
        else:
            skipped = lambda x, row: (x, row.state, row.cache)  # noqa: E731
            x, state, cache = filter_cond(done, skipped, self.checked, x, row)
            is_enough = jnp.asarray(self.until(x))
            if is_enough.shape != ():
                message = (
                    "`until` of `Stacked` says of what a block gave whether it is the last, by a "
                    f"bool of shape (); it gave one of shape {is_enough.shape}."
                )
                raise TypeError(message)
            done = done | is_enough.astype(bool)
        return (x, done), (x if self.collect else None, state, cache)


def _outline(leaf: Any) -> Any:
    return f"{leaf.dtype}{list(leaf.shape)}" if is_array(leaf) else leaf


def applied(
    call: Call, x: Any, rows: Row, remat: Any, unroll: int | bool, depth: int
) -> tuple[Any, Any, Any, Any]:
    """The last output, those of all layers if they are collected, the new states and caches."""
    carry = x, None if call.until is None else jnp.asarray(False)
    if remat == "none" or (remat == "dots" and _has_complex(x, rows.block)):
        (x, _), ys = filter_scan(call.unless_done, carry, rows, depth, unroll=unroll)
        return x, *ys
    policy = _keeps_products if remat == "dots" else None
    if not isinstance(remat, int):
        policy = policy if isinstance(remat, str) else remat
        step = filter_checkpoint(call.unless_done, policy=policy, prevent_cse=False)
        (x, _), ys = filter_scan(step, carry, rows, depth, unroll=unroll)
        return x, *ys
    return _in_groups(call, carry, rows, min(remat, depth), depth)


def _has_complex(*trees: Any) -> bool:
    """Whether there are complex arrays, of which JAX keeps nothing by a policy."""
    leaves = filter(is_array, jax.tree.leaves(trees))
    return any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in leaves)


def _keeps_products(primitive: Any, *args: Any, **params: Any) -> Any:
    """A policy: keep what products, convolutions and attention block by block give."""
    dots = jax.checkpoint_policies.checkpoint_dots(primitive, *args, **params)
    return dots or "attention" in (primitive.name, params.get("name"))


def _in_groups(call: Call, carry: Any, rows: Row, size: int, depth: int) -> tuple[Any, ...]:
    """Keep what goes into every `size`-th layer, and compute again from there."""

    @functools.partial(filter_checkpoint, prevent_cse=False)
    def group(carry: Any, rows: Row) -> Any:
        return filter_scan(call.unless_done, carry, rows)

    whole, parts = depth // size * size, []
    for some, length in ((slice(whole), size), (slice(whole, depth), depth - whole)):
        if length:
            carry, ys = filter_scan(group, carry, _grouped(rows, some, length))
            parts.append(jax.tree.map(_ungrouped, ys))
    joined = jax.tree.map(lambda *its: jnp.concatenate(its) if is_array(its[0]) else its[0], *parts)
    return carry[0], *joined


def _grouped(rows: Row, some: slice, size: int) -> Row:
    def split(leaf: Any) -> Any:
        if not is_array(leaf):
            return leaf
        count = len(range(*some.indices(leaf.shape[0]))) // size
        return jnp.reshape(leaf[some], (count, size, *leaf.shape[1:]))

    return jax.tree.map(split, rows)


def _ungrouped(leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    return jnp.reshape(leaf, (leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]))
