"""Measure plain JAX, ours, the peer, Flax NNX and Haiku in turn; show tables and a picture.

    python benchmarks/speed.py --peer PYTHON [--core | --quick]

`PYTHON` is an interpreter that has equinox==0.13.8, optax and the same JAX, and not ours. All other
sides are measured in one process of this interpreter; in each round each side is asked once for
every row, so that a machine whose speed drifts is as fast for all of them. A figure is the median
over the rounds.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from asking import FEW, Place, Plan, Process, count_memory, measure_growth, measure_rows
from table import markdown

OUTPUTS = Path(__file__).resolve().parents[1] / "outputs"
HERE = {"plain": "plain", "ours": "equinox", "nnx": "nnx", "haiku": "haiku"}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has equinox==0.13.8")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller sizes")
    parser.add_argument("--core", action="store_true", help="no rows of single layers and loops")
    parser.add_argument("--rounds", type=int, help="15, or 5 if quick")
    parser.add_argument("--only", default="", metavar="PART", help="titles that hold this")
    parser.add_argument("--load", type=Path, metavar="JSON", help="show these, measure nothing")
    for form in ("json", "markdown", "png"):
        suffix = {"markdown": "md"}.get(form, form)
        told = f"written there, by default to outputs/speed.{suffix}"
        default = OUTPUTS / f"speed.{suffix}"
        parser.add_argument(f"--{form}", type=Path, default=default, metavar="FILE", help=told)
    return parser.parse_args(arguments)


def plan_of(arguments: argparse.Namespace) -> Plan:
    rounds = arguments.rounds or (5 if arguments.quick else 15)
    slow = min(rounds, FEW) if arguments.quick else rounds
    return Plan(rounds, slow, arguments.quick, arguments.only, arguments.core)


def measure(plan: Plan, peer: str | None) -> dict[str, Any]:
    """Start the processes, ask them, and give what `table.py` and `plot.py` show."""
    start = time.perf_counter()
    here = Process(sys.executable, *HERE.values())
    places = {name: Place(here, side) for name, side in HERE.items() if side in here.versions}
    if peer:
        places["peer"] = Place(Process(peer, "equinox"), "equinox")
    versions = {name: place.process.versions[place.side] for name, place in places.items()}
    rows = measure_rows(places, plan)
    growth = measure_growth(places, plan)
    for process in {place.process for place in places.values()}:
        process.close()
    count_memory(places, plan, growth)
    about = {"rounds": plan.rounds, "seconds": round(time.perf_counter() - start)}
    return {"versions": versions, **about, "rows": rows, "growth": growth}


def main() -> None:
    """Measure, print the tables, and write them and the picture."""
    arguments = parse()
    if arguments.load:
        results = json.loads(arguments.load.read_text(encoding="utf-8"))
    else:
        results = measure(plan_of(arguments), arguments.peer)
    text = markdown(results)
    print(f"medians of {results['rounds']} rounds, in {results['seconds']} s\n\n{text}")
    files = arguments.json, arguments.markdown, arguments.png
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    arguments.markdown.write_text(text, encoding="utf-8")
    from plot import plot  # after the rest is written, in case Matplotlib is not there

    plot(results, arguments.png)
    print("written:", *files)


if __name__ == "__main__":
    main()
