"""An `equinox`: saving. The peer has no files of names, and no background."""

import inspect
import time

import equinox as eqx
from sides.equinox import side
from sides.settings import large_leaves, many_leaves, scratch_file

IS_OURS = hasattr(eqx, "Checkpoints")


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


def save_named():
    path, tree = scratch_file(), many_leaves()
    return lambda: eqx.save(path, tree)


def load_named():
    path, tree = scratch_file(), many_leaves()
    eqx.save(path, tree)
    like = eqx.filter_eval_shape(lambda: tree)
    return lambda: eqx.load(path, like)


def save_background():
    """Seconds until the caller goes on; what the thread does is waited for, and not counted."""
    ckpts, tree = eqx.Checkpoints(scratch_file().parent, keep=1, background=True), many_leaves()

    def seconds():
        ckpts.wait()
        start = time.perf_counter()
        ckpts.save(1, tree)
        blocked = time.perf_counter() - start
        ckpts.wait()
        return blocked

    return seconds


if IS_OURS:
    side.row(save_named)
    side.row(load_named)
    side.figure(save_background)
