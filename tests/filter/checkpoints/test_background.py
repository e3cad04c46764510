"""Steps that a thread writes: of what the arrays were, and no error is lost."""

import errno
import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import Checkpoints, tree_equal
from eqx_filter.checkpoints import _checkpoints

LONGEST = 60
"""Seconds after which what never comes is given up."""


@pytest.fixture
def gate(monkeypatch):
    """An event that each write waits for; the test's threads are over at its end."""
    event, write = threading.Event(), _checkpoints.write_prepared

    def write_late(*args, **kwargs):
        assert event.wait(LONGEST)
        write(*args, **kwargs)

    monkeypatch.setattr(_checkpoints, "write_prepared", write_late)
    yield event
    event.set()


@pytest.fixture
def full(monkeypatch):
    """A disk that is full."""

    def fail(path, prepared, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(_checkpoints, "write_prepared", fail)


def state(number=0):
    return {"jax": jnp.full(3, float(number)), "numpy": np.full(3, float(number)), "n": number}


class TestSnapshot:
    def test_is_of_the_arrays_as_they_were(self, gate, tmp_path):
        ckpts, tree = Checkpoints(tmp_path, background=True), state(1)
        assert ckpts.save(1, tree)
        assert list(tmp_path.iterdir()) == []
        tree["numpy"][:] = 7
        again = jax.jit(lambda x: x + 1, donate_argnums=0)(tree.pop("jax"))
        again.block_until_ready()
        gate.set()
        found, step = ckpts.restore(state())
        assert step == 1
        assert tree_equal(found, state(1))

    def test_holds_of_every_kind_its_own_memory(self, gate, tmp_path):
        complexes, backwards = np.arange(3) * 1j, np.arange(4)[::-1]
        tree = {"c": complexes, "b": backwards, "bool": np.ones(2, bool), "again": complexes}
        like = {name: it.copy() for name, it in tree.items()}
        ckpts = Checkpoints(tmp_path, background=True)
        ckpts.save(1, tree)
        for it in tree.values():
            it[...] = 0
        gate.set()
        assert tree_equal(ckpts.restore(tree)[0], like)

    def test_metrics_and_config_are_of_that_moment_too(self, gate, tmp_path):
        metrics, config = {"loss": np.ones(())}, {"sizes": [1]}
        ckpts = Checkpoints(tmp_path, background=True)
        ckpts.save(1, state(), metrics=metrics, config=config)
        metrics["loss"][...] = 2
        config["sizes"].append(2)
        gate.set()
        assert ckpts.metrics(1) == {"loss": 1}


class TestOrder:
    def test_each_call_waits_for_what_is_written(self, gate, tmp_path):
        ckpts = Checkpoints(tmp_path, keep=2, background=True)
        threading.Timer(0.05, gate.set).start()
        for step in range(4):
            ckpts.save(step, state(step))
            assert len(list(tmp_path.iterdir())) >= min(step, 2)
        assert ckpts.steps() == (2, 3)
        assert not any(it.name == "eqx-save" for it in threading.enumerate())

    def test_steps_that_are_not_saved_do_not_wait(self, gate, tmp_path):
        ckpts = Checkpoints(tmp_path, every=2, background=True)
        ckpts.save(2, state())
        assert not ckpts.save(3, state())
        assert list(tmp_path.iterdir()) == []
        gate.set()
        ckpts.wait()
        assert ckpts.path(2).exists()

    def test_what_is_wrong_with_the_call_is_told_at_once(self, tmp_path):
        ckpts = Checkpoints(tmp_path, background=True)
        with pytest.raises(RuntimeError, match=r"`tree.a` cannot be saved"):
            ckpts.save(1, {"a": np.array(["text"])})
        ckpts.save(1, state())
        ckpts.wait()
        with pytest.raises(ValueError, match="`step` 0 comes before step 1"):
            ckpts.save(0, state())

    def test_an_interrupted_wait_may_be_taken_up_again(self, gate, tmp_path, monkeypatch):
        ckpts = Checkpoints(tmp_path, background=True)
        ckpts.save(1, state())

        def interrupt(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "join", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ckpts.wait()
        gate.set()
        ckpts.wait()
        assert ckpts.path(1).exists()


class TestErrors:
    @pytest.mark.parametrize(
        "call",
        [
            lambda ckpts: ckpts.save(2, state()),
            lambda ckpts: ckpts.restore(state()),
            Checkpoints.wait,
            Checkpoints.steps,
            lambda ckpts: ckpts.__exit__(None, None, None),
        ],
    )
    def test_are_raised_by_the_next_call_and_once(self, call, full, tmp_path):
        ckpts = Checkpoints(tmp_path, background=True)
        ckpts.save(1, state())
        with pytest.raises(OSError, match=r"No space left on device: .*step-00000001"):
            call(ckpts)
        ckpts.wait()

    def test_are_raised_by_a_step_that_is_not_saved(self, full, tmp_path):
        ckpts = Checkpoints(tmp_path, every=2, background=True)
        ckpts.save(2, state())
        for thread in threading.enumerate():
            if thread.name == "eqx-save":
                thread.join(LONGEST)
        with pytest.raises(OSError, match="No space left on device"):
            ckpts.save(3, state())

    def test_a_block_that_fails_keeps_its_error(self, full, tmp_path):
        def block():
            with Checkpoints(tmp_path, background=True) as ckpts:
                ckpts.save(1, state())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as caught:
            block()
        [note] = caught.value.__notes__
        assert note.startswith("And a step was not saved: OSError: [Errno 28] No space left")

    def test_an_object_that_is_gone_tells_what_no_one_asked(self, full, tmp_path, capsys):
        ckpts = Checkpoints(tmp_path, background=True)
        ckpts.save(1, state())
        thread = ckpts._background._thread
        del ckpts
        thread.join(LONGEST)
        told = capsys.readouterr().err
        assert "No space left on device" in told
        assert "It was raised in the background, and no call came after it." in told


AT_EXIT = """
import errno, sys, time
import numpy as np
from eqx_filter import Checkpoints
from eqx_filter.checkpoints import _checkpoints

write = _checkpoints.write_prepared

def write_late(path, *args, **kwargs):
    time.sleep(0.2)
    write(path, *args, **kwargs)
    if sys.argv[2] == "fail":
        raise OSError(errno.EIO, "Input/output error")

_checkpoints.write_prepared = write_late
ckpts = Checkpoints(sys.argv[1], background=True)
ckpts.save(1, {"a": np.arange(3)})
"""


def run(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST)


def test_python_waits_before_it_exits(tmp_path):
    assert run(AT_EXIT, tmp_path, "well").stderr == ""
    found, step = Checkpoints(tmp_path).restore({"a": np.zeros(3, int)})
    assert (found["a"].tolist(), step) == ([0, 1, 2], 1)
    told = run(AT_EXIT, tmp_path, "fail").stderr
    assert "OSError: [Errno 5] Input/output error" in told
    assert "It was raised in the background, and no call came after it." in told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_leaves_the_write_to_its_parent(tmp_path):
    forks = AT_EXIT + "import os\nif os.fork() == 0:\n    ckpts.wait()\n    os._exit(0)\nos.wait()"
    run(forks, tmp_path, "well")
    assert Checkpoints(tmp_path).steps() == (1,)
    assert len(list(tmp_path.iterdir())) == 1
