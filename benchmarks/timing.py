"""How one thing is timed, and how memory is counted."""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import jax

BUDGET = 0.01  # seconds, for one measurement of what is quick


class Timed:
    """A function that has been compiled, and how often it is called for one measurement."""

    def __init__(self, function: Callable[[], Any], budget: float = BUDGET) -> None:
        gc.collect()  # what was prepared before
        self.function = function
        self.calls = 1
        self.measure()  # compiles
        while (spent := self.measure() * self.calls) < budget / 2:
            self.calls = max(self.calls + 1, round(self.calls * min(budget / spent, 100)))

    def measure(self) -> float:
        """Seconds for one call. Garbage from before and what still runs after do not count."""
        function, result = self.function, None
        if self.calls == 1:
            gc.collect()  # or it comes due in the midst, as often as not another side's garbage
        else:
            gc.collect(1)  # a full one would take ten times as long as the measuring
            function()  # brings back what other sides drove from the processor's caches
        start = time.perf_counter()
        for _ in range(self.calls):
            result = function()
        seconds = (time.perf_counter() - start) / self.calls
        jax.block_until_ready(result)
        return seconds


def programs() -> int:
    """How many compiled programs JAX holds in this process."""
    return len(jax.devices()[0].client.live_executables())


def memory(grow: Callable[[], Callable[[int], Any]], sizes: Iterable[int]) -> dict[str, Any]:
    """Bytes that Python holds for each thing that is made, and what is left when all are dropped.

    JAX's own memory for a compiled program is not Python's; those are counted as programs.
    """
    grow()(10)  # what is set up once is not counted
    gc.collect()
    tracemalloc.start()
    start, before = tracemalloc.get_traced_memory()[0], programs()
    at = grow()
    held = {}
    for size in sizes:
        at(size)
        gc.collect()
        held[size] = (tracemalloc.get_traced_memory()[0] - start) / size
    del at
    gc.collect()
    kept = (tracemalloc.get_traced_memory()[0] - start) / size
    tracemalloc.stop()
    return {"held": held, "kept": {size: kept}, "programs": {size: (programs() - before) / size}}
