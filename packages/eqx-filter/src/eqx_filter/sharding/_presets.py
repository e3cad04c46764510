"""Rules that look at shapes: a part of each batch for every device, and of each array."""

import dataclasses
import math
from collections.abc import Mapping

from jax.sharding import PartitionSpec

from ._places import Place, entries_of


class ShardingRule:
    """A rule of a plan that looks at shapes: called with an array and the spec that it has so far.

    `axes` are the axes of the mesh that it names, and `batch_axes` those over which it wants
    batches to be split.
    """

    axes: tuple[str, ...] = ()
    batch_axes: tuple[str, ...] = ()

    def __call__(
        self, place: Place, spec: PartitionSpec | None, sizes: Mapping[str, int]
    ) -> PartitionSpec | None:
        """Give the spec that the array has from now on; None if it has none yet.

        `sizes` are those of the axes of the mesh.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class AlongAxis(ShardingRule):
    """A rule for one axis of the mesh, over which batches are split."""

    axis: str

    @property
    def axes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one axis."""
        return (self.axis,)

    batch_axes = axes  # pyright: ignore[reportAssignmentType]


@dataclasses.dataclass(frozen=True)
class DataParallel(AlongAxis):
    """Copies of the model, and a part of each batch for every device; see `data_parallel`."""

    def __call__(
        self, place: Place, spec: PartitionSpec | None, sizes: Mapping[str, int]
    ) -> PartitionSpec | None:
        """Leave the array as it is."""
        return spec


@dataclasses.dataclass(frozen=True)
class Fsdp(AlongAxis):
    """A part of each array, and of each batch, for every device; see `fsdp`."""

    min_size: int
    layers: bool

    def __call__(
        self, place: Place, spec: PartitionSpec | None, sizes: Mapping[str, int]
    ) -> PartitionSpec | None:
        """Split the largest axis that can be, and is not yet."""
        if math.prod(place.shape) < self.min_size:
            return spec
        first = 0 if self.layers else place.stacked
        free = [i for i in place.free(spec, self.axis, sizes[self.axis]) if i >= first]
        if not free:
            return spec
        return place.split(spec, max(free, key=lambda i: (place.shape[i], -i)), self.axis)


@dataclasses.dataclass(frozen=True)
class PipelineParallel(AlongAxis):
    """Some of the layers of a stack for every device; see `pipeline_parallel`."""

    batch_axes = ()

    def __call__(
        self, place: Place, spec: PartitionSpec | None, sizes: Mapping[str, int]
    ) -> PartitionSpec | None:
        """Split the axis of layers of the outermost stack; a plan refuses one that cannot be."""
        entries = entries_of(spec or PartitionSpec(), len(place.shape))
        is_free = place.stacked and entries[0] is None
        return place.split(spec, 0, self.axis) if is_free else spec


def data_parallel(axis: str = "data") -> ShardingRule:
    """Keep a copy of the model on every device along an axis, and split batches over it.

    **Arguments:** `axis`, of the mesh.

    **Returns:** a rule of `ShardingPlan`.
    """
    return DataParallel(axis)


def fsdp(axis: str = "data", *, min_size: int = 2**16, layers: bool = False) -> ShardingRule:
    """Split each array over an axis of the mesh, and batches too.

    Each device keeps a part of the parameters, their gradients and the optimizer's state, and has
    an array whole only while it computes with it: "fully sharded data parallel", the third stage of
    Rajbhandari et al. (2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models", section 5).

    **Arguments:**

    - `axis`: of the mesh.
    - `min_size`: arrays of fewer elements are kept whole.
    - `layers`: whether the axis of layers of a stack may be split; it is kept whole by default, as
        a scan over layers takes one after another.

    Of each array the largest axis is split that the mesh divides and no rule before has split; one
    that has none is kept whole.

    **Returns:** a rule of `ShardingPlan`.
    """
    return Fsdp(axis, min_size, layers)


def pipeline_parallel(axis: str = "stage") -> ShardingRule:
    """Split the axis of layers of each stack over an axis of the mesh: the stages of a pipeline.

    Each device has the layers that come one after another and pass on what they give: Huang et al.
    (2019, "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", section
    2.2). Batches are not split over the axis.

    **Arguments:** `axis`, of the mesh, whose size divides the number of layers.

    **Returns:** a rule of `ShardingPlan`. What is no part of a stack is as the other rules say; of
    a stack that a rule before has split by layers, nothing is changed. For one stack of several,
    the pair of a selector and `PartitionSpec(axis)` says the same.
    """
    return PipelineParallel(axis)
