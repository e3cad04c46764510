"""Processes that are started by one command train together, and go on after a kill.

`nox -s many` has it with more of them, and kills some.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ASKED = os.environ.get("EQX_MANY_PROCESSES")
PROCESSES = int(ASKED or 2)
LONGEST = 120
"""Seconds after which what never comes is given up."""


@pytest.fixture
def command(examples, tmp_path):
    return [sys.executable, examples / "train_many.py", "--width", "16", "--output", tmp_path]


def finished(command, *options):
    ended = subprocess.run(
        [*command, *map(str, options)], check=False, capture_output=True, text=True, timeout=LONGEST
    )
    assert "loss after" in ended.stdout, ended.stderr
    return ended.stdout


def loss_of(told):
    return float(re.search(r"loss after \d+ steps: (.*)", told)[1])


def test_trains(command):
    told = finished(command, "--processes", PROCESSES, "--plan", "fsdp", "--steps", 40)
    assert "P('data'" in told
    assert "\nbeginning\n" in told
    assert loss_of(told) < 0.6


in_full = pytest.mark.skipif(ASKED is None, reason="`nox -s many` runs and kills more of them")


@in_full
def test_goes_on_with_fewer_processes_and_another_plan(command):
    begun = finished(command, "--processes", PROCESSES, "--plan", "fsdp", "--steps", 40)
    told = finished(command, "--processes", 1, "--plan", "2x2", "--steps", 60)
    assert "\ngoing on from step 40\n" in told
    assert loss_of(told) < loss_of(begun)


@in_full
@pytest.mark.parametrize("plan", ["data", "fsdp", "2x2"])
def test_killed_and_resumed(plan, command, tmp_path):
    options = "--processes", str(PROCESSES), "--plan", plan, "--steps", "200"
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as parent:
        end = time.monotonic() + LONGEST
        while not list(tmp_path.glob("train_many/step-*")):
            assert time.monotonic() < end
            assert parent.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        os.kill(last_child_of(parent.pid), signal.SIGKILL)
        errors = parent.communicate(timeout=60)[1]
    assert parent.returncode != 0
    assert "Run it again, and it goes on" in errors
    assert re.search("(?i)connection (closed|reset)|socket closed|task died", errors)
    assert "one of the processes" in errors or "another task died" in errors
    told = finished(command, *options)
    assert "\ngoing on from step " in told
    whole = finished(command, "--processes", 1, "--plan", plan, "--output", tmp_path / "whole")
    np.testing.assert_allclose(loss_of(told), loss_of(whole), rtol=1e-3)


def last_child_of(process):
    """The number of the process that was started last by another."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8")
    return int(children.split()[-1])
