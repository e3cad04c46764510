"""The process that measures: it answers questions about its sides, one line of JSON for each.

    python benchmarks/worker.py SIDE [SIDE ...]

A question is `[side, row]`, `[side, family, line, size]` or `[side, family, sizes]`; the answer is
seconds, or the memory at those sizes, or null where the side has no such thing. One process answers
for several sides, so that all of them have its luck with the machine.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import timing
from sides import Lines, Side, load

LIBRARIES = {"plain": "jax", "equinox": "equinox", "nnx": "flax", "haiku": "haiku"}


class Growing:
    """A family of one side, at the size that was asked for last."""

    def __init__(self, at: Callable[[int], Lines]) -> None:
        self.at = at
        self.size = 0
        self.lines: Lines = {}
        self.timed: dict[str, timing.Timed] = {}

    def measure(self, line: str, size: int) -> float | None:
        if size != self.size:
            self.timed = {}
            self.lines, self.size = self.at(size), size
        if line not in self.lines:
            return None
        what = self.lines[line]
        if isinstance(what, float):
            return what
        if line not in self.timed:
            self.timed[line] = timing.Timed(what)
        return self.timed[line].measure()


class Worker:
    """One side in a process. It keeps the rows that it prepared, or else one family."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.prepared: dict[str, Any] = {}

    def answer(self, name: str, *more: Any) -> Any:
        """Measure once."""
        families = self.side.families
        if name not in {**self.side.rows, **self.side.figures, **families}:
            return None
        if name not in self.prepared:
            if name in families or not families.keys().isdisjoint(self.prepared):
                self.prepared.clear()
            self.prepared[name] = self._prepare(name)
        return self.prepared[name].measure(*more) if name in families else self.prepared[name]()

    def count(self, family: str, sizes: list[int]) -> dict[str, dict[int, float]] | None:
        """Count memory, with nothing else prepared."""
        self.prepared.clear()
        grow = self.side.families.get(family)
        return grow and timing.memory(grow, sizes)

    def _prepare(self, name: str) -> Any:
        if name in self.side.families:
            return Growing(self.side.families[name]())
        if name in self.side.rows:
            return timing.Timed(self.side.rows[name]()).measure
        figure = self.side.figures[name]()
        figure()  # what happens the first time does not count
        return figure


def loaded(names: list[str]) -> tuple[dict[str, Worker], dict[str, str]]:
    """Give the sides whose library is there, and the version of each."""
    workers, versions = {}, {}
    for name in names:
        library = LIBRARIES[name]
        if importlib.util.find_spec(library) is None:
            print(f"{library} is not installed: {name} is left out", file=sys.stderr)
        else:
            workers[name] = Worker(load(name))
            versions[name] = sys.modules[library].__version__
    return workers, versions


def main() -> None:
    workers, versions = loaded(sys.argv[1:])
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        side, name, *more = json.loads(line)
        worker = workers.get(side)
        counted = len(more) == 1
        ask = worker and (worker.count if counted else worker.answer)
        print(json.dumps(ask(name, *more) if ask else None), flush=True)


if __name__ == "__main__":
    main()
