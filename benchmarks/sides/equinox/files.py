"""An `equinox`: saving."""

import inspect

import equinox as eqx
from sides.equinox import side
from sides.settings import large_leaves, scratch_file


@side.row
def save():
    path, tree = scratch_file(), large_leaves()
    return lambda: eqx.tree_serialise_leaves(path, tree)


@side.row
def save_fast():
    path, tree = scratch_file(), large_leaves()
    can_wait = "durable" in inspect.signature(eqx.tree_serialise_leaves).parameters
    options = {"durable": False} if can_wait else {}
    return lambda: eqx.tree_serialise_leaves(path, tree, **options)
