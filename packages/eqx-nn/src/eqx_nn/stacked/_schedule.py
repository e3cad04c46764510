"""What each stage of a pipeline does: a tick for each micro-batch, and a few in which it waits."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from eqx_filter import is_array
from eqx_filter.primitives import vary_alike
from eqx_pytree import Module, field

from ._applied import Call, Row, applied


class Schedule(NamedTuple):
    """A stage as it sees itself: called with its layers, the micro-batches, and what is shared."""

    axis: str
    stages: int
    layers: int
    micro_batches: int
    remat: Any
    unroll: int | bool

    @classmethod
    def of(cls, pipeline: Any) -> Schedule:
        """That of a `Pipeline`."""
        blocks, stages = pipeline.blocks, pipeline.mesh.shape[pipeline.axis]
        layers = blocks.depth // stages
        own = pipeline.axis, stages, layers, pipeline.micro_batches
        return cls(*own, blocks.remat, blocks.unroll)

    def __call__(self, own: tuple[Any, Any], parts: Any, others: tuple[Any, Any]) -> Any:
        """What the last stage gives, `(examples, micro_batches, ...)`, on each of them."""
        stage = lax.axis_index(self.axis)
        parts, others = narrowed(jax.tree.map(lambda it: _like(it, stage), (parts, others)))
        xs = parts[0]
        block, each = jax.tree.map(lambda it: _like(it, xs), own)
        rows = Row(block, stage * self.layers + jnp.arange(self.layers), None, None, each)
        last = self.stages - 1

        def tick(before: Any, number: Any) -> tuple[Any, Any]:
            place = number - stage
            x, keys, named = jax.tree.map(lambda it: _at(it, place, self.micro_batches), parts)
            is_there = (place >= 0) & (place < self.micro_batches)
            begins = ~is_there | (stage == 0)
            x = jax.tree.map(lambda one, other: jnp.where(begins, one, other), x, before)
            given = jax.tree.map(lambda it: _if(is_there, it), (rows, x, named, others))
            y = self._layers(*given[:2], keys, *given[2:])
            return self._sent(y), y

        first = jax.tree.map(lambda it: _at(it, 0, self.micro_batches), xs)
        ticks = jnp.arange(self.micro_batches + last)
        _, ys = lax.scan(tick, first, ticks)

        def of_last(it: Any) -> Any:
            if jnp.issubdtype(it.dtype, jax.dtypes.prng_key):
                data = of_last(jax.random.key_data(it))
                return jax.random.wrap_key_data(data, impl=jax.random.key_impl(it))
            mine = jnp.where(stage == last, it[last:], jnp.zeros((), it.dtype))
            whole = lax.psum(mine.astype(_summed_in(it.dtype)), self.axis)
            return jnp.swapaxes(whole.astype(it.dtype), 0, 1)

        return jax.tree.map(of_last, ys)

    def _layers(self, rows: Row, x: Any, keys: Any, named: Any, others: Any) -> Any:
        """The layers of this stage, on each example of a micro-batch."""
        args, kwargs = others

        def one(x: Any, key: Any, named: dict[str, Any]) -> Any:
            call = Call(args, {**kwargs, **named}, key, None, False)
            return applied(call, x, rows, self.remat, self.unroll, self.layers)[0]

        return jax.vmap(one)(x, keys, named)

    def _sent(self, y: Any) -> Any:
        """What the stage before gave."""
        pairs = [(i, i + 1) for i in range(self.stages - 1)]
        return lax.ppermute(y, self.axis, pairs) if pairs else y


def _if(is_there: Any, x: Any) -> Any:
    """The value, with a derivative of zero in a tick that is dropped, whatever that tick gives."""
    is_smooth = is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact)
    return _kept(x, is_there) if is_smooth else x


@jax.custom_jvp
def _kept(x: Any, is_there: Any) -> Any:
    return x


@_kept.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, is_there = primals
    return x, jnp.where(is_there, tangents[0], jnp.zeros((), tangents[0].dtype))


def _summed_in(dtype: Any) -> Any:
    """A dtype that XLA can sum on every device."""
    return jnp.int32 if dtype == jnp.bool_ else jnp.float32 if _is_short(dtype) else dtype


def _is_short(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


class _Wide(Module):
    """A short array as float32: so its gradients are summed over the stages."""

    array: Any
    dtype: Any = field(static=True)


def widened(tree: Any) -> Any:
    """What all stages are given, as it goes to them."""

    def wide(it: Any) -> Any:
        is_short = is_array(it) and _is_short(it.dtype)
        return _Wide(it.astype(jnp.float32), it.dtype) if is_short else it

    return jax.tree.map(wide, tree)


def narrowed(tree: Any) -> Any:
    """The way back from `widened`."""
    is_wide = lambda it: isinstance(it, _Wide)  # noqa: E731
    narrow = lambda it: it.array.astype(it.dtype) if is_wide(it) else it  # noqa: E731
    return jax.tree.map(narrow, tree, is_leaf=is_wide)


def parted(x: Any, count: int) -> Any:
    """The micro-batches of a batch: from `(batch, ...)` to `(examples, count, ...)`.

    The examples of each come from the whole batch, so that they lie where they lay before.
    """
    if not is_array(x):
        return x
    return jnp.reshape(x, (x.shape[0] // count, count, *x.shape[1:]))


def joined(y: Any) -> Any:
    """The way back from `parted`."""
    return jnp.reshape(y, (y.shape[0] * y.shape[1], *y.shape[2:]))


def _at(x: Any, place: Any, count: int) -> Any:
    """One micro-batch; the nearest, for a place that is none."""
    return lax.dynamic_index_in_dim(x, jnp.clip(place, 0, count - 1), 1, keepdims=False)


def _like(x: Any, xs: Any) -> Any:
    """Let an array differ as others do: its gradients are then summed once, after all ticks."""
    return vary_alike(x, *jax.tree.leaves(xs))[0] if is_array(x) else x
