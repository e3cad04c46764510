"""Several processes of `jax.distributed` on this machine give what one process gives.

With two processes, in one job; `nox -s many` asks for more, and kills some.
"""

import os
import re
import shutil

import numpy as np
import pytest

import equinox as eqx

from . import jobs
from .launcher import run, told_by_all

ASKED = os.environ.get("EQX_MANY_PROCESSES")
PROCESSES = int(ASKED or 2)
in_full = pytest.mark.skipif(ASKED is None, reason="`nox -s many` kills processes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("many")


@pytest.fixture(scope="module")
def one(folder):
    """What one process has for each plan; its models are in files."""
    found = {name: jobs.trained(name) for name in jobs.PLANS}
    for name, (_, model) in found.items():
        eqx.save(folder / f"one-{name}", model)
    jobs.save_by_orbax(folder / "orbax-one")
    return found


@pytest.fixture(scope="module")
def told(one, folder):
    """What each process of a job tells."""
    return told_by_all("together", PROCESSES, folder)


@pytest.fixture(params=jobs.PLANS)
def name(request):
    """The name of a plan."""
    return request.param


def test_losses_are_those_of_one_process(name, one, told):
    for each in told:
        np.testing.assert_allclose(each["losses"][name], one[name][0], rtol=1e-4)
        assert each["losses"][name] == told[0]["losses"][name]


def test_rows_are_those_of_the_devices(name, told):
    rows = [each["rows"][name] for each in told]
    assert sorted({row for some in rows for row in some}) == list(range(jobs.ROWS))
    shares = 2 if name == "2x2" else PROCESSES
    assert {len(some) for some in rows} == {jobs.ROWS // shares}
    assert len({tuple(some) for some in rows}) == shares


def test_texts_are_those_of_one_process(name, one, told):
    model = one[name][1]
    shown = [str(eqx.summary(model)), eqx.tree_pformat(model), repr(model)]
    for each in told:
        for here, there in zip(shown, each["shown"][name], strict=True):
            assert without_addresses(there) == without_addresses(here)


def without_addresses(text):
    return [line.partition(" at 0x")[0] for line in text.splitlines()]


def test_saved_and_loaded(name, told):
    for each in told:
        same, as_of_one, another, on_this_host, lie_alike = each["equal"][name]
        assert same
        assert as_of_one
        assert not another
        assert on_this_host
        assert lie_alike


def test_loaded_by_one_process(name, one, told, folder):
    model = one[name][1]
    found = eqx.load(folder / f"many-{name}", model)
    assert eqx.tree_equal(found, model, rtol=1e-4, atol=1e-5)


def test_every_kind_of_leaf(told, folder):
    assert [each["kinds"] for each in told] == [[True, True]] * PROCESSES
    assert [each["under a mesh"] for each in told] == [["nothing", ""]] * PROCESSES
    for name in ("many-kinds", "many-mesh"):
        assert eqx.tree_equal(eqx.load(folder / name, jobs.kinds()), jobs.kinds())


@pytest.mark.skipif(jobs.ocp is None, reason="Orbax is not installed")
@pytest.mark.filterwarnings("ignore")  # Orbax's own
def test_orbax_saves_by_parts_and_restores_with_another_number(told, folder):
    assert [each["orbax"] for each in told] == [[True, True]] * PROCESSES
    assert jobs.restored_by_orbax(folder / "orbax-many")


def test_what_the_writer_raises_all_raise(told):
    first, *others = (each["errors"] for each in told)
    assert first["no folder"][0] == "FileNotFoundError"
    assert first["full disk"] == ["OSError", "[Errno 28] No space left on device"]
    for other in others:
        for name, part in {"no folder": "No such folder", "full disk": "No space left"}.items():
            kind, text = other[name]
            assert kind == "RuntimeError"
            assert "safetensors` failed in process 0: " in text
            assert part in text
    kind, text = first["alone"]
    assert kind == "RuntimeError"
    assert f"on devices of the processes {list(range(PROCESSES))}, and in 0.5 seconds not" in text
    assert "Call it in each" in text
    assert [each["errors"]["after"] for each in told] == [["nothing", ""]] * PROCESSES
    assert [each["errors"]["left"] for each in told] == [[]] * PROCESSES


@pytest.mark.parametrize("kind", ["now", "later"])
def test_steps(kind, told, folder):
    for number, each in enumerate(told):
        *found, early, unknown = each["steps"][kind]
        assert found == [0, 4, 2, True]
        assert early[0] == ("RuntimeError" if number else "ValueError")
        assert "`step` 1 comes before step 4" in early[1]
        assert unknown[0] == ("RuntimeError" if number else "FileNotFoundError")
        assert "has no step 7" in unknown[1]
    assert eqx.Checkpoints(folder / kind).steps() == (2, 3, 4)


@pytest.mark.parametrize(("kind", "text"), [("all", "one is above"), ("parts", "one here is")])
def test_a_check_that_fails_in_one_is_raised_by_all(kind, text, told):
    for each in told:
        before, failed, between, again = each["checks"][kind]
        assert before == between == ["nothing", ""]
        for error, found in (failed, again):
            assert error == "EquinoxRuntimeError"
            assert found.startswith(text)
    finders = [each["checks"][kind][1][1].rpartition("\n")[2] for each in told]
    by_another = [text for text in finders if text.startswith("It was process ")]
    assert 0 < len(by_another) < PROCESSES
    assert len(set(by_another)) == 1


@in_full
def test_saving_needs_the_memory_of_an_array_on_each_device(tmp_path):
    for grown in told_by_all("memory", PROCESSES, tmp_path):
        assert grown < 2 + jobs.DEVICES / PROCESSES


@in_full
def test_a_check_ends_all(tmp_path):
    for it in run("uncaught", PROCESSES, tmp_path, limit=60):
        assert it.code == 1, it.output
        assert "EquinoxRuntimeError: the loss is not finite" in it.output


@in_full
@pytest.mark.parametrize("victim", [0, PROCESSES - 1])
def test_killed_and_gone_on(victim, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = told_by_all("train", PROCESSES, tmp_path / "whole")
    (tmp_path / "die").write_text(str(victim))
    ended = run("train", PROCESSES, tmp_path, limit=60)
    assert ended[victim].code == -9
    for number, it in enumerate(ended):
        if number != victim:
            assert it.code not in (0, None), it.output
            assert re.search("(?i)connection (closed|reset)|socket closed|task died", it.output)
    (tmp_path / "die").unlink()
    shutil.copytree(tmp_path / "run", tmp_path / "fewer" / "run")
    again = told_by_all("train", PROCESSES, tmp_path)
    assert again[0] == whole[0][jobs.STEP_TO_DIE :]
    fewer = told_by_all("train", PROCESSES // 2, tmp_path / "fewer")
    np.testing.assert_allclose(fewer[0], again[0], rtol=1e-4)
