"""Processes that save are killed: a path holds the earlier tree or the new one, whole.

And a folder of steps holds the last one that was saved, and the best.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eqx_filter import Checkpoints, load, save, tree_deserialise_leaves, tree_serialise_leaves

from .rounds import MANY, ROUNDS, random_numbers
from .saver import BEST_OF, KEEP, tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SAVER = Path(__file__).with_name("saver.py")
LONGEST = 0.06
"""Seconds in which a process saves several times."""

READ = {"leaves": tree_deserialise_leaves, "named": load}
WRITE = {"leaves": tree_serialise_leaves, "named": save}
NAME = "tree.eqx"


@pytest.fixture
def kind(request):
    """How trees are saved."""
    return request.param


@pytest.fixture
def saver(kind, tmp_path):
    """A process that starts others, which save to `tmp_path / NAME`, or steps to `tmp_path`."""
    path = tmp_path / NAME if kind in READ else tmp_path
    command = [sys.executable, SAVER, kind, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.stdin.close()


def number_of(leaves):
    [number] = set(np.concatenate(leaves).tolist())
    return number


def parts_in(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def kill(saver, first, after):
    """Have a process save trees from number `first` on, and kill it after so many seconds."""
    saver.stdin.write(f"{first}\n")
    saver.stdin.flush()
    child = int(saver.stdout.readline())
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert int(saver.stdout.readline()) == signal.SIGKILL


def check_that_some_saved(killed_while_saving):
    if ROUNDS >= MANY:  # of few, a slow or a busy machine may miss all
        assert killed_while_saving, "no process was killed while it saved; kill them at other times"


@pytest.mark.parametrize("kind", READ, indirect=True)
def test_a_path_is_whole_after_each_kill(kind, saver, tmp_path):
    path, random = tmp_path / NAME, random_numbers(f"kills of {kind}")
    number = killed_while_saving = 0
    WRITE[kind](path, tree(number))
    for _ in range(ROUNDS):
        kill(saver, number + 1, after=random.uniform(0, LONGEST))
        found = number_of(READ[kind](path, tree(0)))
        assert found >= number, "an earlier tree came back"
        assert len(parts_in(tmp_path)) <= 1, "what killed processes left piles up"
        killed_while_saving += len(parts_in(tmp_path))
        number = found
    check_that_some_saved(killed_while_saving)
    WRITE[kind](path, tree(number + 1))
    assert [it.name for it in tmp_path.iterdir()] == [NAME]
    assert number_of(READ[kind](path, tree(0))) == number + 1


@pytest.mark.parametrize("kind", READ, indirect=True)
def test_a_new_path_is_whole_or_not_there(kind, saver, tmp_path):
    path, random = tmp_path / NAME, random_numbers(f"new paths of {kind}")
    for _ in range(ROUNDS // 4):
        kill(saver, 1, after=random.uniform(0, LONGEST / 3))
        if path.exists():
            assert number_of(READ[kind](path, tree(0))) >= 1
            path.unlink()
        assert len(parts_in(tmp_path)) <= 1


@pytest.mark.parametrize("kind", ["steps", "background"], indirect=True)
def test_a_folder_of_steps_has_the_last_and_the_best_after_each_kill(kind, saver, tmp_path):
    random, killed_while_saving, last = random_numbers(f"kills of {kind}"), 0, 0
    ckpts = Checkpoints(tmp_path, keep=KEEP, best="loss")
    ckpts.save(0, tree(0), metrics={"loss": 0})
    for _ in range(ROUNDS):
        kill(saver, last + 1, after=random.uniform(0, LONGEST))
        leaves, step = ckpts.restore(tree(0))
        assert number_of(leaves) == step >= last
        assert ckpts.best() == step - step % BEST_OF
        assert number_of(ckpts.restore(tree(0), "best")[0]) == step - step % BEST_OF
        assert len(ckpts.steps()) <= KEEP + 2, "what killed processes were to take away piles up"
        assert len(parts_in(tmp_path)) <= 1
        killed_while_saving += len(parts_in(tmp_path))
        last = step
    check_that_some_saved(killed_while_saving)
    ckpts.save(last + 1, tree(last + 1), metrics={"loss": 9})
    assert sorted(tmp_path.iterdir()) == [ckpts.path(step) for step in ckpts.steps()]
    assert len(ckpts.steps()) <= KEEP + 1
