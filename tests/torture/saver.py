"""Save trees until killed: `python saver.py KIND PATH`, a line of input for each process.

Each line is a number. A child of this process saves trees told by that number and the ones after
it, and this one prints the child's id, and then how it ended. KIND says how: see `KINDS`.
"""

import os
import sys
from collections.abc import Callable

import numpy as np

from eqx_filter import Checkpoints, save, tree_serialise_leaves

SIZES = [1_000, 300_000, 1, 200_000]
KEEP = 2
BEST_OF = 5
"""Every step that this divides is as good as the best."""


def tree(number: int) -> list[np.ndarray]:
    """A tree whose every element tells its number."""
    return [np.full(size, number) for size in SIZES]


def steps(path: str, *, background: bool) -> Callable[[int], object]:
    """What saves a tree as a step of that number."""
    ckpts = Checkpoints(path, keep=KEEP, best="loss", background=background)
    return lambda number: ckpts.save(number, tree(number), metrics={"loss": number % BEST_OF})


KINDS: dict[str, Callable[[str], Callable[[int], object]]] = {
    "leaves": lambda path: lambda number: tree_serialise_leaves(path, tree(number)),
    "named": lambda path: lambda number: save(path, tree(number)),
    "steps": lambda path: steps(path, background=False),
    "background": lambda path: steps(path, background=True),
}


def save_forever(kind: str, path: str, number: int) -> None:
    save_one = KINDS[kind](path)
    while True:
        save_one(number)
        number += 1


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            save_forever(*sys.argv[1:], int(line))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
