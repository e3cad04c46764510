"""Whether an array can have a spec; and what is said where it cannot."""

import math
from collections.abc import Mapping
from typing import Any

from jax.sharding import PartitionSpec

from ._places import Place, axes_of, entries_of


def check_spec(place: Place, spec: PartitionSpec, sizes: Mapping[str, int], rule: Any) -> None:
    """Refuse a spec that an array cannot have.

    **Raises:** `ValueError` naming path, shape, axis, and the nearest size that would do.
    """
    told = f"`{place.path}` of shape {place.shape} cannot have `{_shown(spec)}`"
    because = "" if rule is None else f", by the rule `{rule!r}`"
    if len(spec) > len(place.shape):
        message = f"{told}{because}: it has {len(place.shape)} axes, and the spec {len(spec)}."
        raise ValueError(message)
    seen: set[str] = set()
    for i, entry in enumerate(entries_of(spec, len(place.shape))):
        names = axes_of(entry)
        for name in names:
            if name not in sizes:
                message = f"{told}{because}: the mesh has the axes {tuple(sizes)}, no `{name}`."
                raise ValueError(message)
            if name in seen:
                message = f"{told}{because}: `{name}` splits two axes of it."
                raise ValueError(message)
            seen.add(name)
        count, size = math.prod(sizes[name] for name in names), place.shape[i]
        if size % count:
            near = [it for it in (size // count * count, (size // count + 1) * count) if it]
            message = (
                f"{told}{because}: its axis {i} of size {size} is split {count} times, by "
                f"{' and '.join(f'`{name}` of size {sizes[name]}' for name in names)}. Sizes of "
                f"{' or '.join(map(str, near))} would do, and so would another axis."
            )
            raise ValueError(message)


def _shown(spec: PartitionSpec) -> str:
    return f"P({', '.join(map(repr, spec))})"
