"""A plan as a table: what lies on one device."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from jax.sharding import PartitionSpec

from ..shared._columns import GAP, line_of, widths_of
from ..shared._scaled import scaled
from ._places import Place, axes_of, entries_of

_HEADER = ("path", "shape", "spec", "on one device", "bytes", "")
_LEFT = {"path", "shape", "spec", "on one device", ""}
_SHRINKS = {"path": 16}
_NOTHING = "Nothing is split: no rule splits an array of these sizes (`fsdp` has a `min_size`)."
_LARGE = 2**20
"""Bytes from which on a copy on each device is told of."""


@dataclasses.dataclass(frozen=True)
class PlanTableRow:
    """An array: its path, shape and spec, the shape and the bytes on one device, and a note."""

    path: str
    shape: tuple[int, ...]
    spec: PartitionSpec
    local_shape: tuple[int, ...]
    bytes: int
    note: str


@dataclasses.dataclass(frozen=True, repr=False)
class PlanTable:
    """What a plan does with a model; made by `ShardingPlan.table`.

    `str` gives it as a table of at most 100 columns. `rows` are in the order of the leaves;
    `total` is the size of all arrays and `per_device` that of what lies on one device, in bytes;
    `replicated` are the paths of large arrays of which each device has a copy.
    """

    rows: tuple[PlanTableRow, ...]
    total: int
    devices: int

    @property
    def per_device(self) -> int:
        """Bytes on one device."""
        return sum(row.bytes for row in self.rows)

    @property
    def replicated(self) -> tuple[str, ...]:
        """Paths of arrays from 1 MiB on of which each device has a copy."""
        return tuple(row.path for row in self.rows if row.note)

    def __str__(self) -> str:
        cells = [_cells(row) for row in self.rows]
        widths = widths_of(_HEADER, [_HEADER, *cells], _SHRINKS)
        line = functools.partial(line_of, _HEADER, widths=widths, left=_LEFT, paths=["path"])
        rule = "-" * (sum(widths) + GAP * (len(widths) - 1))
        total = (
            f"{scaled(self.per_device, 'B')} on each of {self.devices} devices, "
            f"{scaled(self.total, 'B')} in all arrays"
        )
        is_split = any(row.shape != row.local_shape for row in self.rows)
        note = [] if is_split or self.devices == 1 else [_NOTHING]
        return "\n".join([line(_HEADER), rule, *map(line, cells), rule, total, *note])

    __repr__ = __str__


def table_of(
    places: Sequence[Place | None],
    specs: Sequence[PartitionSpec | None],
    sizes: Mapping[str, int],
) -> PlanTable:
    """Make the table of what lies where; None stands for leaves that are no arrays."""
    rows, total = [], 0
    for place, spec in zip(places, specs, strict=True):
        if place is None or spec is None:
            continue
        counts = [
            math.prod(sizes[name] for name in axes_of(entry))
            for entry in entries_of(spec, len(place.shape))
        ]
        local = tuple(size // count for size, count in zip(place.shape, counts, strict=True))
        size = math.prod(local) * place.dtype.itemsize
        is_copy = math.prod(counts) == 1 and math.prod(sizes.values()) > 1 and size >= _LARGE
        note = "a copy on each" if is_copy else ""
        rows.append(PlanTableRow(place.path, place.shape, spec, local, size, note))
        total += place.bytes
    return PlanTable(tuple(rows), total, math.prod(sizes.values()))


def _cells(row: PlanTableRow) -> list[str]:
    spec = f"P({', '.join(map(repr, row.spec))})"
    shapes = ("x".join(map(str, shape)) or "()" for shape in (row.shape, row.local_shape))
    whole, local = shapes
    return [row.path, whole, spec, local, scaled(row.bytes, "B"), row.note]
