"""What a step costs on each device of a mesh, read from its compiled program."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from ..compiled import filter_jit
from ..shared._naming import refuse_uncallable
from ..shared._scaled import scaled

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(?:-start)?\(")
_SHAPE = re.compile(r"([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\]")
_DTYPES = {"pred": "bool", "s": "int", "u": "uint", "f": "float", "bf": "bfloat", "c": "complex"}


@dataclasses.dataclass(frozen=True, repr=False)
class PlanCheck:
    """What a step needs on each device; made by `ShardingPlan.check`.

    `arguments`, `outputs` and `temporaries` are bytes, None where XLA does not tell. `collectives`
    has for each kind, such as `all-reduce`, how many there are in the program and the bytes of
    their results on a device; what is in a loop counts once.
    """

    arguments: int | None
    outputs: int | None
    temporaries: int | None
    collectives: Mapping[str, tuple[int, int]]

    def __str__(self) -> str:
        sizes = {
            "arguments": self.arguments,
            "outputs": self.outputs,
            "temporaries": self.temporaries,
        }
        lines = [
            f"{name:<20}{'?' if size is None else scaled(size, 'B'):>10}"
            for name, size in sizes.items()
        ]
        lines += [
            f"{kind:<20}{scaled(size, 'B'):>10}  in {count}"
            for kind, (count, size) in self.collectives.items()
        ]
        return "\n".join(["on each device", *lines])

    __repr__ = __str__


def checked_step(step: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> PlanCheck:
    """Compile a step for structs, and read what it needs."""
    refuse_uncallable("ShardingPlan.check", step=step)
    compiled = filter_jit(step).lower(*args, **kwargs).compile()
    memory = compiled.memory_analysis()
    names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return PlanCheck(*(getattr(memory, name, None) for name in names), _collectives(compiled))


def _collectives(compiled: Any) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for shapes, kind in _COLLECTIVE.findall(compiled.as_text()):
        count, size = found.get(kind, (0, 0))
        found[kind] = count + 1, size + sum(map(_bytes, _SHAPE.findall(shapes)))
    return found


def _bytes(shape: tuple[str, str]) -> int:
    """The size of an array by what XLA writes, such as `f32[2,3]`."""
    name, sizes = shape
    letters = name.rstrip("0123456789")
    known = _DTYPES.get(letters)
    if known is None:
        return 0
    dtype = jnp.dtype(known + name[len(letters) :])
    return dtype.itemsize * math.prod(int(it) for it in sizes.split(",") if it)
