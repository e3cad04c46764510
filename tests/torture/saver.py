"""Save trees to a path until killed: `python saver.py PATH`, a line of input for each process.

Each line is a number. A child of this process saves trees told by that number and the ones after
it, and this one prints the child's id, and then how it ended.
"""

import os
import sys

import numpy as np

from eqx_filter import tree_serialise_leaves

SIZES = [1_000, 300_000, 1, 200_000]


def tree(number: int) -> list[np.ndarray]:
    """A tree whose every element tells its number."""
    return [np.full(size, number) for size in SIZES]


def save_forever(path: str, number: int) -> None:
    while True:
        tree_serialise_leaves(path, tree(number))
        number += 1


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            save_forever(sys.argv[1], int(line))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
