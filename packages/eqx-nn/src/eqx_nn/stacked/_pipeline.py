"""`pipeline`: the blocks of a `Stacked` on several devices, through which micro-batches go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from eqx_filter import is_array
from eqx_pytree import Module, field

from .._init import checked_size
from .._random import Key, Keys, split_key
from .._state import State
from ._stacked import Stacked


class Pipeline(Module):
    """A `Stacked` whose layers are split over an axis of a mesh; see `pipeline`."""

    blocks: Stacked[Any]
    mesh: Mesh | AbstractMesh = field(static=True)
    axis: str = field(static=True)
    micro_batches: int = field(static=True)
    batch_axes: tuple[str, ...] = field(static=True)

    @jax.named_scope("eqx.nn.Pipeline")
    def __call__(
        self,
        x: Any,
        *args: Any,
        key: Key | None = None,
        each: Mapping[str, Any] | None = None,
        per_example: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Apply the blocks to each example of a batch.

        **Arguments:**

        - `x`: a batch: arrays of shape `(batch, ...)`, each of which is what a block takes with an
            axis of examples in front.
        - `args`, `kwargs`: of the blocks, the same for all blocks and examples.
        - `key`: a PRNG key, split into one for each example; of `Keys`, `key[b]` for example `b`.
        - `each`: as of `Stacked`: by the name of an argument, arrays with an axis of blocks.
        - `per_example`: by the name of an argument, arrays with an axis of examples in front.

        **Returns:** arrays of the shapes and dtypes of `x`: what
        `jax.vmap(lambda x, key: blocks(x, *args, key=key))(x, jax.random.split(key, batch))` gives,
        whatever the number of micro-batches and stages.

        **Raises:** `ValueError` for a batch that cannot be divided, and for what in `x`,
        `per_example` or `each` is no array with a row for each example or block; `TypeError` for a
        `State`, a `cache`, `until` and `collect`, which the `Stacked` itself takes, and for an
        argument that is given twice.
        """
        from eqx_filter import filter_shard_map

        from ._schedule import Schedule, joined, parted, widened

        each, own = dict(each or {}), dict(per_example or {})
        _refuse(args, {**kwargs, **own})
        _refuse_twice(kwargs, each, own)
        self.blocks._check_rows("each", each)
        count = self._count(x, own)
        keys = None if key is None else _keys_of_examples(key, count)
        batch, layers = (x, keys, own), (self.blocks.block, each)
        if AxisType.Explicit in self.mesh.axis_types:
            batch = self._laid_out(batch, self.batch_axes or _first_axes(x))
            layers = self._laid_out(layers, self.axis)
        parts = jax.tree.map(lambda it: parted(it, self.micro_batches), batch)
        over_layers, over_batch = (PartitionSpec(it) for it in (self.axis, self.batch_axes or None))
        run = filter_shard_map(
            Schedule.of(self),
            mesh=self.mesh,
            in_specs=((over_layers, over_layers), over_batch, None),
            out_specs=over_batch,
            axis_names={self.axis, *self.batch_axes},
        )
        parts, others = widened((parts, (args, kwargs)))
        return jax.tree.map(joined, run(layers, parts, others))

    def _laid_out(self, tree: Any, over: Any) -> Any:
        """Let the first axis of each array be split over those given."""
        from eqx_filter import filter_shard

        def sharding(leaf: Any) -> NamedSharding | None:
            if not is_array(leaf):
                return None
            own = jax.typeof(leaf).sharding.spec[1:]
            return NamedSharding(self.mesh, PartitionSpec(over, *own))

        return filter_shard(tree, jax.tree.map(sharding, tree))

    def _count(self, x: Any, own: dict[str, Any]) -> int:
        """How many examples there are. **Raises** `ValueError` if they cannot be divided."""
        count, sizes = _examples(x, own), dict(self.mesh.shape)
        parts = self.micro_batches * math.prod(sizes[name] for name in self.batch_axes)
        if not count or count % parts:
            over = "".join(f" and `{name}` of size {sizes[name]}" for name in self.batch_axes)
            message = (
                f"`pipeline` was given a batch of {count} examples, which it cannot divide by "
                f"{self.micro_batches} micro-batches{over}; multiples of {parts} would do."
            )
            raise ValueError(message)
        return count


def pipeline(
    blocks: Stacked[Any],
    mesh: Mesh | AbstractMesh,
    axis: str = "stage",
    *,
    micro_batches: int,
    batch_axes: str | Sequence[str] = (),
) -> Pipeline:
    """Apply a `Stacked` to a batch with its layers split over devices, the stages of a pipeline.

        def loss(model, tokens):
            x = jax.vmap(jax.vmap(model.embedding))(tokens)
            x = pipeline(model.blocks, mesh, micro_batches=8)(x)

    Device `s` of `S` along the axis has the layers from `s * depth / S` on. A batch is divided into
    micro-batches, which go from one device to the next: while one has the first of them, the one
    before has the second. That is the schedule of Huang et al. (2019, "GPipe: Efficient Training of
    Giant Neural Networks using Pipeline Parallelism", section 2.3): `micro_batches + S - 1` ticks,
    in `S - 1` of which a device waits, the share `(S - 1) / (micro_batches + S - 1)`. Values and
    gradients are those of the blocks on one device, to rounding, under `jax.jit` and `jax.grad`.

    **Arguments:**

    - `blocks`: a `Stacked` without states, whose blocks take one example. A gradient keeps of each
        micro-batch what its `remat` says; an integer of `depth / S` keeps the input of a stage
        alone, as in the paper.
    - `mesh`: has the `axis`. Its other axes are free: what the arrays are split over, or the model,
        is up to the compiler.
    - `axis`: over which the layers are split; its size divides the depth. `pipeline_parallel` is
        the rule of `ShardingPlan` that puts them there.
    - `micro_batches`: how many there are; the more, the less a device waits. Example `b` is in
        micro-batch `b % micro_batches`, so that each has a part of every device's examples.
    - `batch_axes`: axes over which batches are split and parameters are not. Without it, the
        compiler sums gradients over them in each tick; with it, once.

    **Returns:** a callable PyTree: `pipelined(x, *args, key=None, each=None, per_example=None)`,
    for a batch `x`. Made anew in each step it costs nothing. An array `per_example`, by the name of
    an argument, has a row for each example.

    In a tick in which it would wait, a device computes with an example that is there, and the
    result is dropped.

    **Raises:** `TypeError` for what is no `Stacked`, no mesh, or no integer; `ValueError` for
    blocks with a `State`, for an axis that the mesh has not, and for a depth that the axis does not
    divide.
    """
    if not isinstance(blocks, Stacked):
        message = (
            f"`pipeline` splits the layers of a `Stacked`; got a `{type(blocks).__name__}`. "
            "`Stacked.of` makes one of a sequence of equal blocks."
        )
        raise TypeError(message)
    if type(blocks).__call__ is not Stacked.__call__:
        message = (
            f"`pipeline` calls the layers of a `Stacked`, and not the `__call__` that "
            f"`{type(blocks).__name__}` has of its own. Call that around `pipeline`."
        )
        raise TypeError(message)
    if not isinstance(mesh, (Mesh, AbstractMesh)):
        message = f"`mesh` of `pipeline` is a `jax.sharding.Mesh`; got {mesh!r}."
        raise TypeError(message)
    if checked_size("pipeline", "micro_batches", micro_batches) < 1:
        message = f"`pipeline` needs at least one micro-batch; got `micro_batches={micro_batches}`."
        raise ValueError(message)
    others = (batch_axes,) if isinstance(batch_axes, str) else tuple(batch_axes)
    _check_axes((axis, *others), tuple(mesh.shape))
    _check_blocks(blocks, axis, mesh.shape[axis])
    return Pipeline(blocks, mesh, axis, micro_batches, others)


def _check_blocks(blocks: Stacked[Any], axis: str, stages: int) -> None:
    """Refuse blocks with states, and as many as cannot be split."""
    if blocks.is_stateful():
        message = (
            "`pipeline` was given blocks that have a `State`, which would be that of one "
            "micro-batch after another. Use norms without one, such as `LayerNorm`, or call the "
            "`Stacked` itself."
        )
        raise ValueError(message)
    depth = blocks.depth
    if depth % stages:
        near = [it for it in (depth // stages * stages, (depth // stages + 1) * stages) if it]
        message = (
            f"`pipeline` cannot split the {depth} blocks of the `Stacked` over `{axis}` of size "
            f"{stages}: each device has as many. Depths of {' or '.join(map(str, near))} would do."
        )
        raise ValueError(message)


def _check_axes(names: tuple[str, ...], axes: tuple[str, ...]) -> None:
    for i, name in enumerate(names):
        if name not in axes:
            message = f"`pipeline` was told of the axis `{name}`; the mesh has the axes {axes}."
            raise ValueError(message)
        if name in names[:i]:
            message = f"`pipeline` was told of the axis `{name}` twice, in `axis` and `batch_axes`."
            raise ValueError(message)


_WHOLE = {
    "cache": "each token would wait for all stages",
    "until": "no device knows what another found",
    "collect": "what the blocks give stays where they are",
}


def _refuse(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse what goes from block to block besides `x`."""
    named = {f"args[{i}]": it for i, it in enumerate(args)} | kwargs
    told = {name: why for name, why in _WHOLE.items() if name in kwargs}
    told |= {
        name: "a state would be that of one micro-batch after another"
        for name, it in named.items()
        if isinstance(it, State)
    }
    if told:
        name, why = next(iter(told.items()))
        message = f"`pipeline` takes no `{name}`: {why}. Call the `Stacked` itself."
        raise TypeError(message)


def _refuse_twice(kwargs: dict[str, Any], each: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse an argument that is given in two ways."""
    ways = (("as it is", kwargs), ("in `each`", each), ("in `per_example`", own))
    for i, (way, some) in enumerate(ways):
        for other, more in ways[i + 1 :]:
            both = sorted(some.keys() & more.keys())
            if both:
                message = (
                    f"`pipeline` was given `{both[0]}` twice, {way} and {other}; pass it once."
                )
                raise TypeError(message)


def _examples(x: Any, own: dict[str, Any]) -> int:
    """How many rows all arrays have. **Raises** `ValueError` if these differ, or there are none."""
    leaves = {f"x{jtu.keystr(path)}": it for path, it in jtu.tree_leaves_with_path(x)}
    if not any(is_array(it) for it in leaves.values()):
        message = f"`pipeline` takes a batch as `x`: arrays with an axis of examples; got {x!r}."
        raise ValueError(message)
    leaves |= {f"per_example{jtu.keystr(path)}": it for path, it in jtu.tree_leaves_with_path(own)}
    counts = {name: it.shape[0] for name, it in leaves.items() if is_array(it) and it.ndim}
    first = next(iter(counts), None)
    for name, leaf in leaves.items():
        if first is None or counts.get(name) != counts[first]:
            what = f"of shape {leaf.shape}" if is_array(leaf) else repr(leaf)
            other = "" if first is None else f"; `{first}` has {counts[first]} examples"
            message = (
                "`pipeline` takes a batch, with an axis of examples in front of each array"
                f"{other}, and `{name}` is {what}. What is the same for all examples is another "
                "argument of the call."
            )
            raise ValueError(message)
    return next(iter(counts.values()))


def _first_axes(x: Any) -> Any:
    """The axes of the mesh over which the first array has its examples split, if it has."""
    specs = [jax.typeof(it).sharding.spec for it in jax.tree.leaves(x)]
    return next((spec[0] for spec in specs if spec), None)


def _keys_of_examples(key: Key, count: int) -> Any:
    """A key for each example, with an axis of them in front."""
    if isinstance(key, Keys):
        return jax.vmap(lambda b: key[b])(jnp.arange(count))
    return split_key("pipeline", key, count)
