"""Each way saves and loads the arrays, and is measured in a process of its own."""

import re

import numpy as np
import pytest


@pytest.fixture
def saving():
    import saving

    return saving


def test_every_way_gives_the_arrays_back(saving, tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32), "b": np.ones(3, np.float32)}
    for name, kind in saving.WAYS.items():
        if saving.can(kind, "load"):
            way = kind(arrays)
            way.save(tmp_path / "saved")
            found = way.load(tmp_path / "saved")
            found = found.values() if isinstance(found, dict) else found
            for one, other in zip(found, arrays.values(), strict=True):
                np.testing.assert_array_equal(np.asarray(one), other, err_msg=name)
            for path in tmp_path.iterdir():
                path.rename(path.with_name(f"{path.name} of {kind.__name__}"))


def test_what_is_not_there_is_left_out(saving):
    class Unknown(saving.Way):
        needs = "a_package.that_is_not_there"

    assert not saving.can(Unknown, "save")
    assert saving.can(saving.Background, "save")
    assert not saving.can(saving.Background, "load")


def test_the_background_lets_its_caller_go_on(saving, tmp_path):
    way = saving.Background({"a": np.ones(3, np.float32)})
    way.save(tmp_path / "saved")
    way.ckpts.wait()
    assert [it.name for it in tmp_path.iterdir()] == ["saveds"]


def test_a_table_of_measurements(saving, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ways = {name: saving.WAYS[name] for name in ("bytes", "`copy`")}
    monkeypatch.setattr(saving, "WAYS", ways)
    monkeypatch.setattr(saving, "SETTINGS", {"8 kB in 2 arrays": (2, 4_000)})
    lines = saving.table(saving.compare(2, 1)).splitlines()
    assert lines[0] == "| | save 8 kB in 2 arrays | load 8 kB in 2 arrays |"
    assert lines[1] == "|---|---|---|"
    assert re.fullmatch(r"\| bytes \| \d+ ms, \d+ MB \| \d+ ms, \d+ MB \|", lines[2])
    assert re.fullmatch(r"\| `copy` \| \d+ ms, \d+ MB \|  \|", lines[3])
    assert list(tmp_path.iterdir()) == []


def test_the_least_of_the_rounds_counts(saving):
    rounds = [saving.Figure(3.0, 20), saving.Figure(2.0, 30)]
    assert saving.least(rounds) == saving.Figure(2.0, 20)
