"""Save and load arrays by each library that is there; show seconds and memory.

    python benchmarks/saving.py [--quick] [--rounds 3]

Each measurement has a process of its own, so that its memory is its own; in each round each library
is measured once. Seconds are the least of the rounds, since a disk is never faster than it is;
memory is what a process had at most, over what it had with the arrays. `bytes` is the floor:
`write`, `fsync` and `rename` of the bytes alone.
"""

import argparse
import gc
import importlib.util
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SETTINGS = {"1 GB in 100 arrays": (100, 10_000_000), "200 MB in 2,000 arrays": (2_000, 100_000)}
"""How many arrays, and of how many bytes each."""

SMALLER = 50
"""What a quick run divides the bytes by."""

Arrays = Mapping[str, np.ndarray]


class Way:
    """One way to save and to load; what it needs is imported when it is made."""

    needs = "numpy"

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def save(self, path: Path) -> None:
        raise NotImplementedError

    def load(self, path: Path) -> Any:
        raise NotImplementedError


class Bytes(Way):
    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        with part.open("wb", buffering=0) as file:
            for array in self.arrays.values():
                file.write(array.data)
            os.fsync(file.fileno())
        part.replace(path)

    def load(self, path: Path) -> Any:
        with path.open("rb", buffering=0) as file:
            found = [np.empty_like(array) for array in self.arrays.values()]
            for array in found:
                file.readinto(array.data)
        return found


class Ours(Way):
    needs = "equinox"

    def __init__(self, arrays: Arrays) -> None:
        import equinox as eqx

        super().__init__(arrays)
        self.eqx = eqx

    def save(self, path: Path) -> None:
        self.eqx.save(path, self.arrays)

    def load(self, path: Path) -> Any:
        return self.eqx.load(path, self.arrays)


class Background(Ours):
    """What is timed ends when the caller may go on."""

    def save(self, path: Path) -> None:
        self.ckpts = self.eqx.Checkpoints(path.parent / f"{path.name}s", background=True)
        self.ckpts.save(1, self.arrays)


class Copies(Way):
    """What a save in the background may take."""

    def save(self, path: Path) -> None:
        self.copies = [array.copy() for array in self.arrays.values()]


class Stream(Ours):
    def save(self, path: Path) -> None:
        self.eqx.tree_serialise_leaves(path, self.arrays)

    def load(self, path: Path) -> Any:
        return self.eqx.tree_deserialise_leaves(path, self.arrays)


class Savez(Way):
    def save(self, path: Path) -> None:
        np.savez(path, **self.arrays)

    def load(self, path: Path) -> Any:
        with np.load(f"{path}.npz") as file:
            return {name: file[name] for name in file}


class Safetensors(Way):
    needs = "safetensors"

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        save_file(dict(self.arrays), path)

    def load(self, path: Path) -> Any:
        from safetensors.numpy import load_file

        return load_file(path)


class Torch(Way):
    needs = "torch"

    def __init__(self, arrays: Arrays) -> None:
        import torch

        self.torch = torch
        super().__init__({name: torch.from_numpy(it) for name, it in arrays.items()})

    def save(self, path: Path) -> None:
        self.torch.save(self.arrays, path)

    def load(self, path: Path) -> Any:
        return self.torch.load(path)


class Orbax(Way):
    needs = "orbax.checkpoint"

    def __init__(self, arrays: Arrays) -> None:
        import orbax.checkpoint

        self.checkpointer = orbax.checkpoint.PyTreeCheckpointer()
        super().__init__(dict(arrays))

    def save(self, path: Path) -> None:
        self.checkpointer.save(path, self.arrays, force=True)

    def load(self, path: Path) -> Any:
        return self.checkpointer.restore(path, self.arrays)


WAYS: dict[str, type[Way]] = {
    "bytes": Bytes,
    "`save`, `load`": Ours,
    "leaf stream": Stream,
    "`numpy.savez`": Savez,
    "safetensors": Safetensors,
    "PyTorch": Torch,
    "Orbax": Orbax,
    "`copy`": Copies,
    "`Checkpoints`, background": Background,
}


class Figure(NamedTuple):
    """One measurement."""

    seconds: float
    memory: int


def peak() -> int:
    """The most bytes that this process had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def timed(work: Callable[[Path], Any], path: Path) -> float:
    start = time.perf_counter()
    result = work(path)
    seconds = time.perf_counter() - start
    del result
    return seconds


def measured(name: str, act: str, count: int, size: int, folder: Path) -> Figure:
    """Measure once in this process."""
    arrays = {f"array{i}": np.full(size // 4, i, np.float32) for i in range(count)}
    way, path = WAYS[name](arrays), folder / "saved"
    small = WAYS[name]({"array": np.zeros(4, np.float32)})
    small.save(folder / "small")  # what is set up once does not count
    if act == "load":
        small.load(folder / "small")
        way.save(path)
    gc.collect()  # else what the set-up owes Python's collector falls into what is timed
    before = peak()
    seconds = timed(getattr(way, act), path)
    return Figure(seconds, peak() - before)


def is_there(way: type[Way]) -> bool:
    try:
        return importlib.util.find_spec(way.needs) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def can(way: type[Way], act: str) -> bool:
    is_of_saving = way in (Copies, Background)
    return is_there(way) and (act == "save" or not is_of_saving)


def ask(*question: Any) -> Figure:
    """Measure once in a fresh process."""
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=".") as folder:
        told = [*map(str, question), str(Path(folder).resolve())]
        command = [sys.executable, __file__, "--one", json.dumps(told)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Figure(*json.loads(ran.stdout.splitlines()[-1]))


def compare(rounds: int, smaller: int) -> dict[tuple[str, str], dict[str, Figure]]:
    """Give for each setting and act the figures of each way."""
    results: dict[tuple[str, str], dict[str, Figure]] = {}
    for title, (count, size) in SETTINGS.items():
        for act in ("save", "load"):
            names = [name for name, way in WAYS.items() if can(way, act)]
            found: dict[str, list[Figure]] = {name: [] for name in names}
            for number in range(rounds):
                print(f"{act} {title}: round {number + 1} of {rounds}", file=sys.stderr)
                for name in names:
                    found[name].append(ask(name, act, count, size // smaller))
            results[title, act] = {name: least(figures) for name, figures in found.items()}
    return results


def least(figures: list[Figure]) -> Figure:
    return Figure(*(min(column) for column in zip(*figures, strict=True)))


def table(results: Mapping[tuple[str, str], Mapping[str, Figure]]) -> str:
    """Show the figures as Markdown."""
    lines = ["| | " + " | ".join(f"{act} {title}" for title, act in results) + " |"]
    lines.append("|---" * (1 + len(results)) + "|")
    for name in WAYS:
        figures = [its.get(name) for its in results.values()]
        if any(figures):
            lines.append(f"| {name} | " + " | ".join(map(shown, figures)) + " |")
    return "\n".join(lines)


def shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    megabytes = math.ceil(figure.memory / 1e6)
    return f"{1000 * figure.seconds:,.0f} ms, {megabytes:,} MB"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the bytes, one round")
    parser.add_argument("--rounds", type=int, help="3, or 1 if quick")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, act, count, size, folder = json.loads(arguments.one)
        print(json.dumps(measured(name, act, int(count), int(size), Path(folder))))
        return
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    print(table(compare(rounds, SMALLER if arguments.quick else 1)))


if __name__ == "__main__":
    main()
