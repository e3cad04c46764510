"""Asks the processes that measure, each in turn, and takes the median for each side."""

import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rows import FAMILIES, ROWS, Family, Row

WORKER = Path(__file__).with_name("worker.py")
FEWEST = 10  # of fewer, memory is told too roughly
FEW = 3  # rounds of what takes many seconds

Figures = dict[str, float]
"""Seconds, or bytes, of each side."""

Growth = dict[str, Figures]
"""For each side, its figures by size."""


class Process:
    """An interpreter that measures some of the sides when asked."""

    def __init__(self, python: str, *sides: str) -> None:
        self.python = python
        self.command = [python, str(WORKER), *sides]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions: dict[str, str] = self._read()

    def ask(self, *question: Any) -> Any:
        """Give the answer of the side that the question names."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process, and with it whatever it holds."""
        self.process.communicate()

    def _read(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            self.close()
            message = f"`{' '.join(self.command)}` ended early, with code {self.process.returncode}"
            raise RuntimeError(message)
        return json.loads(line)


@dataclass(frozen=True)
class Place:
    """Where a side is measured: the process, and its name there."""

    process: Process
    side: str


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    slow: int  # rounds of what takes a second each time
    quick: bool = False
    only: str = ""
    core: bool = False  # without what only a full run has

    def rows(self) -> dict[str, Row]:
        """Give the rows whose title holds what was asked for."""
        is_full = not (self.quick or self.core)
        rows = {name: row for name, row in ROWS.items() if is_full or not row.full}
        return {name: row for name, row in rows.items() if self.only in row.title}

    def families(self) -> dict[str, Family]:
        """Give the families whose title holds what was asked for."""
        return {name: family for name, family in FAMILIES.items() if self.only in family.title}

    def sizes(self, family: Family) -> list[int]:
        """Give the sizes that a family goes through."""
        is_short = self.quick or (self.core and family.full)
        return [size for size in family.sizes if not is_short or size <= family.quick]

    def rounds_of(self, family: Family, size: int) -> int:
        """Give in how many rounds a size is measured."""
        is_slow = family.slow is not None and size >= family.slow
        return min(self.rounds, FEW) if is_slow else self.rounds


class Answers:
    """What the sides answered to one question."""

    def __init__(self, places: dict[str, Place], *question: Any) -> None:
        self.places = places
        self.question = question
        self.answers: dict[str, list[float]] = {name: [] for name in places}

    def ask(self, number: int) -> None:
        """Ask each side once; in each round another begins."""
        first = number % len(self.places)
        names = list(self.places)
        for name in names[first:] + names[:first]:
            place = self.places[name]
            answer = place.process.ask(place.side, *self.question)
            if answer is not None:
                self.answers[name].append(answer)

    def medians(self) -> Figures:
        """Give the median of each side that has an answer."""
        return {name: statistics.median(its) for name, its in self.answers.items() if its}


def measure_rows(places: dict[str, Place], plan: Plan) -> dict[str, Figures]:
    """Give seconds for each row and side. A round asks for all rows, so none is in one spell."""
    rows = plan.rows()
    answers = {name: Answers(places, name) for name in rows}
    for number in range(plan.rounds if rows else 0):
        _tell(f"all work: round {number + 1} of {plan.rounds}")
        for name, row in rows.items():
            if number < (plan.slow if row.slow else plan.rounds):
                answers[name].ask(number)
    return {name: its.medians() for name, its in answers.items()}


def measure_growth(places: dict[str, Place], plan: Plan) -> dict[str, dict[str, Growth]]:
    """Give seconds for each family, line, side and size."""
    growth: dict[str, dict[str, Growth]] = {}
    for name, family in plan.families().items():
        lines = growth[name] = {line: {} for line in family.lines}
        timed = [line for line, its in family.lines.items() if not its.memory]
        for size in plan.sizes(family):
            _tell(f"{family.title}: {size:,}")
            answers = {line: Answers(places, name, line, size) for line in timed}
            for number in range(plan.rounds_of(family, size)):
                for its in answers.values():
                    its.ask(number)
            for line, its in answers.items():
                for side, seconds in its.medians().items():
                    lines[line].setdefault(side, {})[str(size)] = seconds
    return growth


def count_memory(
    places: dict[str, Place], plan: Plan, growth: dict[str, dict[str, Growth]]
) -> None:
    """Add the memory of each family that counts it, each side in a fresh process."""

    def count(name: str, side: str) -> None:
        place, sizes = places[side], plan.sizes(FAMILIES[name])
        process = Process(place.process.python, place.side)
        counted = process.ask(place.side, name, [size for size in sizes if size >= FEWEST])
        process.close()
        for line, figures in counted.items():
            growth[name][line][side] = figures

    for name, family in plan.families().items():
        if any(line.memory for line in family.lines.values()):
            _tell(f"{family.title}: memory")
            measured = {side for figures in growth[name].values() for side in figures}
            with ThreadPoolExecutor(2) as pool:  # it is no matter how long counting takes
                jobs = [pool.submit(count, name, side) for side in places if side in measured]
            for job in jobs:
                job.result()


def _tell(what: str) -> None:
    print(f"{time.strftime('%X')} {what}", file=sys.stderr, flush=True)
