"""Plain Python: the bytes of the arrays, written to a file that then takes another's name."""

import os

import numpy as np

from sides.plain import side
from sides.settings import large_leaves, scratch_file


def write(path, leaves, *, wait):
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        for leaf in leaves:
            file.write(np.asarray(leaf).data)
        file.flush()
        if wait:
            os.fsync(file.fileno())
    part.replace(path)


@side.row
def save():
    path, leaves = scratch_file(), large_leaves()
    return lambda: write(path, leaves, wait=True)


@side.row
def save_fast():
    path, leaves = scratch_file(), large_leaves()
    return lambda: write(path, leaves, wait=False)
