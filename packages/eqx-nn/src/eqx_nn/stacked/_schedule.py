"""What each stage of a pipeline does: a tick for each micro-batch, and a few in which it waits."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from eqx_filter import is_array
from eqx_filter.primitives import vary_alike

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
        xs = jax.tree.map(lambda it: vary_alike(it, stage)[0], parts[0])
        block, each = jax.tree.map(lambda it: _like(it, xs), own)
        parts = xs, *parts[1:]
        rows = Row(block, stage * self.layers + jnp.arange(self.layers), None, None, each)
        last = self.stages - 1

        def tick(before: Any, number: Any) -> tuple[Any, Any]:
            place = number - stage
            x, keys, named = jax.tree.map(lambda it: _at(it, place, self.micro_batches), parts)
            waits = (place < 0) | (place >= self.micro_batches) | (stage == 0)
            x = jax.tree.map(lambda one, other: jnp.where(waits, one, other), x, before)
            y = self._layers(rows, x, keys, named, others)
            return self._sent(y), y

        first = jax.tree.map(lambda it: _at(it, 0, self.micro_batches), xs)
        ticks = jnp.arange(self.micro_batches + last)
        _, ys = lax.scan(tick, first, ticks)
        ours = lambda it: lax.psum(jnp.where(stage == last, it[last:], 0), self.axis)  # noqa: E731
        return jax.tree.map(lambda it: jnp.swapaxes(ours(it), 0, 1), ys)

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


def parted(x: Any, count: int) -> Any:
    """The micro-batches of a batch: from `(batch, ...)` to `(examples, count, ...)`.

    The examples of each come from the whole batch, so that they lie where they lay before.
    """
    return jnp.reshape(x, (-1, count, *x.shape[1:])) if is_array(x) else x


def joined(y: Any) -> Any:
    """The way back from `parted`."""
    return jnp.reshape(y, (-1, *y.shape[2:]))


def _at(x: Any, place: Any, count: int) -> Any:
    """One micro-batch; the nearest, for a place that is none."""
    return lax.dynamic_index_in_dim(x, jnp.clip(place, 0, count - 1), 1, keepdims=False)


def _like(x: Any, xs: Any) -> Any:
    """Let parameters differ as the batch does: gradients are then summed once, after all ticks."""
    return vary_alike(x, *jax.tree.leaves(xs))[0] if is_array(x) else x
