"""Measure the rows of `rows.py`: plain JAX, ours and the peer in turn, and print the ratios.

    python benchmarks/speed.py --peer PYTHON [--rounds 15] [--json FILE]

`PYTHON` is an interpreter that has equinox==0.13.8, optax and the same JAX, and not ours. Plain JAX
and ours are measured in one process, the peer in another; in each round each is asked for the row
once, so that a machine whose speed drifts is as fast for all of them. A figure is the median over
the rounds.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

ROWS = Path(__file__).with_name("rows.py")

# For each row: its unit, and what ours must reach, as a multiple of plain JAX or of the peer.
TARGETS = {
    "flatten a 9-layer MLP": ("us", "plain", 2.0),
    "unflatten it": ("us", "plain", 3.6),
    "jit call, model in, array out": ("us", "plain", 1.7),
    "jit call, model in, model out": ("us", "plain", 1.3),
    "training step": ("us", "plain", 1.15),
    "trace and lower a 100-layer MLP's gradient": ("ms", "plain", 1.15),
    "build a 2-field Module with its own `__init__`": ("us", "plain", 8.0),
    "look a method up and call it": ("us", "plain", 12.0),
    "import, over `import jax`": ("ms", "absolute", 0.080),
    "share of the work for which a jitted call blocks": ("", "absolute", 0.1),
    "partition": ("us", "peer", 1 / 3),
    "combine": ("us", "peer", 1 / 3),
    "tree_at": ("us", "peer", 1 / 3),
    "tree_equal": ("us", "peer", 1 / 3),
    "apply_updates": ("us", "plain", 1.15),
}
SCALES = {"us": 1e6, "ms": 1e3, "": 1.0}


class Process:
    """An interpreter that measures rows when asked."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, str(ROWS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self._read()

    def measure(self, side: str, row: str) -> float:
        self.process.stdin.write(f"{side}: {row}\n")
        self.process.stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a process ended early, with code {self.process.wait()}")
        return line.strip()


def run(sides: dict[str, tuple[Process, str]], rounds: int) -> dict[str, dict[str, float]]:
    """The median of each row for each side; NaN where a side does not have the row."""
    medians: dict[str, dict[str, float]] = {}
    for row in TARGETS:
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, (process, side) in sides.items():
                times[name].append(process.measure(side, row))
        medians[row] = {name: statistics.median(values) for name, values in times.items()}
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return medians


def table(medians: dict[str, dict[str, float]]) -> str:
    lines = [
        "| work | plain JAX | ours | peer | ours / plain | ours / peer | to reach |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row, figures in medians.items():
        unit, against, limit = TARGETS[row]
        shown = [_figure(figures.get(name, math.nan), unit) for name in ("plain", "ours", "peer")]
        to_plain = figures["ours"] / figures["plain"]
        to_peer = figures["ours"] / figures.get("peer", math.nan)
        reached = {"plain": to_plain, "peer": to_peer, "absolute": figures["ours"]}[against]
        goal = _figure(limit, unit) if against == "absolute" else f"{limit:.2f}x {against}"
        mark = "" if math.isnan(reached) else (" ✓" if reached <= limit else " ✗")
        ratios = [_ratio(to_plain), _ratio(to_peer)]
        lines.append(f"| {row} | {' | '.join(shown + ratios)} | {goal}{mark} |")
    return "\n".join(lines)


def _figure(value: float, unit: str) -> str:
    if math.isnan(value):
        return ""
    return f"{value * SCALES[unit]:.3g} {unit}".strip()


def _ratio(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare plain JAX, ours and the peer.")
    parser.add_argument("--peer", help="an interpreter that has equinox==0.13.8")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the medians, in seconds, to this file")
    arguments = parser.parse_args()
    ours = Process(sys.executable)
    sides = {"plain": (ours, "plain"), "ours": (ours, "equinox")}
    if arguments.peer:
        sides["peer"] = Process(arguments.peer), "equinox"
    print(", ".join(f"{name}: {process.version}" for name, (process, _) in sides.items()))
    medians = run(sides, arguments.rounds)
    print(table(medians))
    if arguments.json:
        arguments.json.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
