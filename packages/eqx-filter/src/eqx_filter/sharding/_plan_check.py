"""What a step costs on each device of a mesh, read from its compiled program."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..compiled import filter_jit
from ..shared._naming import refuse_uncallable
from ..shared._scaled import scaled
from ._collectives import collectives_of


@dataclasses.dataclass(frozen=True, repr=False)
class PlanCheck:
    """What a step needs on each device; made by `ShardingPlan.check`.

    `arguments`, `outputs` and `temporaries` are bytes, None where XLA does not tell. `collectives`
    has for each kind, such as `all-reduce`, how many of them the step runs and the bytes of their
    results on a device; what is in a loop counts as often as it runs, or once if XLA does not know
    how often, and of branches all count.
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
    return PlanCheck(
        *(getattr(memory, name, None) for name in names), collectives_of(compiled.as_text())
    )
