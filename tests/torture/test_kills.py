"""Processes that save are killed: the path holds the earlier tree or the new one, whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eqx_filter import tree_deserialise_leaves, tree_serialise_leaves

from .rounds import MANY, ROUNDS, random_numbers
from .saver import tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SAVER = Path(__file__).with_name("saver.py")
LONGEST = 0.06
"""Seconds in which a process saves several times."""


@pytest.fixture
def saver(tmp_path):
    """A process that starts others, which save to `tmp_path / "tree.eqx"`."""
    command = [sys.executable, SAVER, tmp_path / "tree.eqx"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.stdin.close()


def number_in(path):
    leaves = tree_deserialise_leaves(path, tree(0))
    [number] = set(np.concatenate(leaves).tolist())
    return number


def parts_in(folder):
    return [path.name for path in folder.iterdir() if path.name != "tree.eqx"]


def kill(saver, first, after):
    """Have a process save trees from number `first` on, and kill it after so many seconds."""
    saver.stdin.write(f"{first}\n")
    saver.stdin.flush()
    child = int(saver.stdout.readline())
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert int(saver.stdout.readline()) == signal.SIGKILL


def test_a_path_is_whole_after_each_kill(saver, tmp_path):
    path, random = tmp_path / "tree.eqx", random_numbers("kills")
    number = killed_while_saving = 0
    tree_serialise_leaves(path, tree(number))
    for _ in range(ROUNDS):
        kill(saver, number + 1, after=random.uniform(0, LONGEST))
        found = number_in(path)
        assert found >= number, "an earlier tree came back"
        assert len(parts_in(tmp_path)) <= 1, "what killed processes left piles up"
        killed_while_saving += len(parts_in(tmp_path))
        number = found
    if ROUNDS >= MANY:  # of few, a slow or a busy machine may miss all
        assert killed_while_saving, "no process was killed while it saved; kill them at other times"
    tree_serialise_leaves(path, tree(number + 1))
    assert parts_in(tmp_path) == []
    assert number_in(path) == number + 1


def test_a_new_path_is_whole_or_not_there(saver, tmp_path):
    path, random = tmp_path / "tree.eqx", random_numbers("new paths")
    for _ in range(ROUNDS // 4):
        kill(saver, 1, after=random.uniform(0, LONGEST / 3))
        if path.exists():
            assert number_in(path) >= 1
            path.unlink()
        assert len(parts_in(tmp_path)) <= 1
