"""Which axis of which weight is split, so that what lies between two products stays apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jax.sharding import PartitionSpec

from eqx_filter.sharding import ShardingRule

from .._embedding import Embedding
from .._linear import Linear
from .._mlp import MLP
from .._weight import Weight
from ..attention import MultiheadAttention
from ._gated import GatedMLP

_SPLITS = {"outputs": {"weight": -2, "bias": -1}, "inputs": {"weight": -1}}
"""By what a `Linear` is split, and by its field, the axis of an array that is."""

_WEIGHTS = {
    "outputs": {"base": -2, "values": -2, "scale": -1, "b": -2},
    "inputs": {"base": -1, "values": -1, "a": -1},
}
"""The same for the parts of a weight that is adapted or quantised."""


@dataclasses.dataclass(frozen=True)
class TensorParallel(ShardingRule):
    """See `tensor_parallel`."""

    axis: str

    @property
    def axes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one axis."""
        return (self.axis,)

    def __call__(
        self, place: Any, spec: PartitionSpec | None, sizes: Mapping[str, int]
    ) -> PartitionSpec | None:
        """Split one axis of a weight or a bias of a layer that is known here."""
        split = self._axis_of(place, sizes[self.axis])
        if split is None:
            return spec
        index = len(place.shape) + split
        is_free = index in place.free(spec, self.axis, sizes[self.axis])
        return place.split(spec, index, self.axis) if is_free else spec

    def _axis_of(self, place: Any, count: int) -> int | None:
        """Which axis of an array is split, counted from the last; None for none."""
        known = [i for i, (_, it) in enumerate(place.above) if isinstance(it, (Embedding, Linear))]
        if not known:
            return None
        (path, layer), above = place.above[known[-1]], place.above[: known[-1]]
        field, *parts = place.path.removeprefix(f"{path}." if path else "").split(".")
        by = "outputs" if isinstance(layer, Embedding) else _split_by(path, above, count)
        if not parts:
            return _SPLITS.get(by, {}).get(field)
        is_weight = field == "weight" and isinstance(getattr(layer, field), Weight)
        return _WEIGHTS.get(by, {}).get(parts[-1]) if is_weight else None


def _split_by(path: str, above: tuple[tuple[str, Any], ...], count: int) -> str:
    """By what a `Linear` at a path is split: its outputs or its inputs; or nothing."""
    for outer, node in reversed(above):
        name = path.removeprefix(f"{outer}.") if outer else path
        if isinstance(node, MultiheadAttention):
            return _in_attention(name, node, count)
        if isinstance(node, GatedMLP):
            return "inputs" if name == "down" else "outputs"
        if isinstance(node, MLP):
            if node.scan and node.depth:
                return ""  # its layers between are one
            return "inputs" if int(name.removeprefix("layers.")) % 2 else "outputs"
    return "outputs"


def _in_attention(name: str, attention: MultiheadAttention, count: int) -> str:
    keys = getattr(attention, "num_kv_heads", None) or attention.num_heads
    if attention.num_heads % count or keys % count:
        return ""
    return "inputs" if name == "output_proj" else "outputs"
