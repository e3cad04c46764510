"""A training that is killed and goes on ends with the bits of one that was not."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

LONGEST = 120
"""Seconds after which what never comes is given up."""


@pytest.fixture
def command(examples):
    return [sys.executable, examples / "resume.py", "--steps", "3000", "--output"]


def finished(command, folder):
    return subprocess.run([*command, folder], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_and_resumed(command, tmp_path):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with subprocess.Popen([*command, stopped]) as process:
        end = time.monotonic() + LONGEST
        while len(list(stopped.glob("resume/step-*"))) < 2:
            assert time.monotonic() < end
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
        process.kill()
    assert not (stopped / "resume" / "step-00003000.safetensors").exists()
    told = finished(command, stopped)
    assert told.startswith("going on from step ")
    again = finished(command, whole)
    assert again.startswith("beginning\n")
    assert told.splitlines()[-1] == again.splitlines()[-1]
    files = [sorted((it / "resume").iterdir()) for it in (stopped, whole)]
    assert [it.name for it in files[0]] == [it.name for it in files[1]]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_each_epoch_has_every_place_once_from_any_position(load):
    example = load("resume")
    data = example.Shuffled(10, 5, 0, 0)
    batches = [data.next() for _ in range(4)]
    for epoch in (batches[:2], batches[2:]):
        assert sorted(np.concatenate(epoch)) == list(range(10))
    later = example.Shuffled(10, 5, 0, 3)
    np.testing.assert_array_equal(later.next(), batches[3])


def test_rings_are_as_they_are_labelled(load):
    points, inside = load("resume").rings(500, 0)
    assert points.shape == (500, 2)
    radius = np.linalg.norm(points, axis=1)
    assert radius[inside == 1].max() < 2 < radius[inside == 0].max()
    assert abs(radius[inside == 1].mean() - 1) < 0.1


def test_a_high_loss_is_a_failure(load):
    problem = load("resume").problem
    assert problem(0.1) is None
    assert "was to be below 0.4" in problem(0.6)
    assert "was to be below 0.4" in problem(float("nan"))
