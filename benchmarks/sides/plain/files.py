"""Plain Python: the bytes of the arrays, written to a file that then takes another's name.

What is loaded by names is read by safetensors, if that is there.
"""

import importlib.util
import os

import jax
import numpy as np

from sides.plain import side
from sides.settings import large_leaves, many_leaves, scratch_file


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


@side.row
def save_named():
    path, leaves = scratch_file(), many_leaves()
    return lambda: write(path, leaves.values(), wait=True)


@side.row
def save_background():
    leaves = many_leaves()
    return lambda: {name: np.array(leaf) for name, leaf in leaves.items()}


def load_named():
    from safetensors.numpy import load_file, save_file

    path = scratch_file()
    save_file({name: np.asarray(leaf) for name, leaf in many_leaves().items()}, path)
    return lambda: jax.device_put(load_file(path))


if importlib.util.find_spec("safetensors"):
    side.row(load_named)
