"""How many rounds, and what is counted before and after them.

`EQX_SOAK_ROUNDS=1000 pytest tests/soak` runs so many; `nox -s soak` does.
"""

import gc
import itertools
import os
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

ROUNDS = int(os.environ.get("EQX_SOAK_ROUNDS") or 12)
IS_LONG = ROUNDS >= 500
"""Whether there are so many that bytes can be told from noise."""

Scenario = Callable[[], list[Any]]
"""What a round does; returns what is to be freed when the caller drops it."""


class Counts(NamedTuple):
    """What is there at one time; weak references are not counted, as they hold nothing."""

    objects: int
    arrays: int
    traced_bytes: int
    resident_bytes: int


def count() -> Counts:
    gc.collect()
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
    objects = sum(type(it) is not weakref.ref for it in gc.get_objects())
    return Counts(objects, len(jax.live_arrays()), traced, _resident())


def _resident() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


STRETCHES = 4
"""A leak grows in each of them. An allocator that gives back late does not, nor what another
thread of the test runner happens to hold as we count."""


def growth_per_round(scenario: Scenario, rounds: int = ROUNDS) -> dict[str, float]:
    """Run the rounds, and say what they have left behind once all is settled, per round.

    Of each thing counted, it is the growth of the stretch in which it grew least.
    """
    settled = max(rounds // 5, 4)
    stretch = (rounds - settled) // STRETCHES
    count()  # what counting itself needs
    if IS_LONG:
        tracemalloc.start()
    try:
        for _ in range(settled):
            scenario()
        counts = [tuple(count())]  # of plain numbers, it is not counted itself
        for _ in range(STRETCHES):
            for _ in range(stretch):
                scenario()
            counts.append(tuple(count()))
    finally:
        tracemalloc.stop()
    left = {}
    for name, values in zip(Counts._fields, zip(*counts, strict=True), strict=True):
        steps = [now - then for then, now in itertools.pairwise(values)]
        left[name] = min(steps) / stretch
    return left


def survivors(scenario: Scenario) -> list[Any]:
    """Run one round, and give what was to be freed and is still there."""
    references = [weakref.ref(value) for value in scenario()]
    gc.collect()
    gc.collect()
    return [reference() for reference in references if reference() is not None]
