"""`Checkpoints`: steps in a folder, the best of them, rotation, and going on."""

import errno
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import Checkpoints, filter_eval_shape, load, load_config, save, tree_equal
from eqx_filter.checkpoints import _checkpoints, _steps


def state(number=0.0):
    number = float(number)
    return {"w": jnp.full(3, number), "key": jax.random.key(7), "seen": np.full(2, number)}


def filled(folder, steps, **settings):
    ckpts = Checkpoints(folder, **settings)
    for step in steps:
        ckpts.save(step, state(step))
    return ckpts


def damage(path):
    path.write_bytes(path.read_bytes()[:-1])


class TestGoingOn:
    def test_three_lines(self, tmp_path):
        def train(until):
            ckpts = Checkpoints(tmp_path / "run", keep=2)
            found, step = ckpts.restore(state())
            while step < until:
                step += 1
                found = {**found, "w": found["w"] + step, "seen": found["seen"] + 1}
                ckpts.save(step, found)
            return found

        train(4)
        assert tree_equal(train(7)["w"], jnp.full(3, 28.0))
        assert Checkpoints(tmp_path / "run").steps() == (6, 7)

    def test_where_none_is_saved_yet(self, tmp_path):
        ckpts = Checkpoints(tmp_path / "a" / "b")
        first = state()
        found, step = ckpts.restore(first)
        assert (found is first, step) == (True, 0)
        assert (ckpts.steps(), ckpts.latest()) == ((), None)
        assert not (tmp_path / "a").exists()
        shapes = filter_eval_shape(state)
        with pytest.raises(FileNotFoundError, match="`like` has no values to begin with"):
            ckpts.restore(shapes)
        ckpts.save(0, first)
        found, step = ckpts.restore({**shapes, "seen": first["seen"]})
        assert step == 0
        assert tree_equal(found, first)

    def test_a_certain_step(self, tmp_path):
        ckpts = filled(tmp_path, [1, 2, 3])
        found, step = ckpts.restore(state(), 2)
        assert (step, found["w"][0]) == (2, 2)
        with pytest.raises(FileNotFoundError, match=r"has no step 5\. The newest .* has: 1, 2, 3"):
            ckpts.restore(state(), 5)
        with pytest.raises(ValueError, match="an integer, None or \"best\"; got 'last'"):
            ckpts.restore(state(), "last")

    def test_files_are_those_of_save(self, tmp_path):
        ckpts = Checkpoints(tmp_path / "läuft")
        ckpts.save(120, state(1), metrics={"größe": 0.5, "nan": math.nan}, config={"a": 1})
        [path] = (tmp_path / "läuft").iterdir()
        assert path == ckpts.path(120)
        assert path.name == "step-00000120.safetensors"
        assert load_config(path) == {"a": 1}
        assert tree_equal(load(path, state()), state(1))
        assert str(ckpts.metrics(120)) == "{'größe': 0.5, 'nan': nan}"

    def test_onto_devices(self, tmp_path):
        filled(tmp_path, [1])
        there = jax.sharding.SingleDeviceSharding(jax.devices()[1])
        found, _ = Checkpoints(tmp_path).restore(state(), sharding=there)
        assert found["w"].devices() == {jax.devices()[1]}

    def test_what_does_not_fit_is_told(self, tmp_path):
        ckpts = filled(tmp_path, [1])
        with pytest.raises(RuntimeError, match=r"step-00000001.safetensors` does not fit `like`"):
            ckpts.restore({"other": jnp.ones(2)})

    def test_a_folder_that_was_left_by_chdir(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        ckpts = filled("run", [1])
        monkeypatch.chdir("/")
        ckpts.save(2, state())
        assert ckpts.steps() == (1, 2)
        assert repr(ckpts) == f"<Checkpoints in {str(tmp_path / 'run')!r}>"


class TestSteps:
    @pytest.mark.parametrize("step", [5, np.int64(5), np.array(5), jnp.int32(5), 10**12])
    def test_integers(self, step, tmp_path):
        ckpts = filled(tmp_path, [step])
        assert ckpts.steps() == (int(step),)
        assert type(ckpts.latest()) is int

    @pytest.mark.parametrize(
        ("step", "kind", "told"),
        [
            (-1, ValueError, "`step` is how many steps are done, from 0 to"),
            (2**63, ValueError, "`step` is how many steps are done, from 0 to"),
            (1.0, TypeError, r"`step` is an integer, of Python, NumPy or JAX; got 1\.0"),
            (True, TypeError, "`step` is an integer"),
            (None, TypeError, "`step` is an integer"),
            (jnp.arange(2), TypeError, "`step` is an integer"),
        ],
    )
    def test_others_are_refused(self, step, kind, told, tmp_path):
        with pytest.raises(kind, match=told):
            Checkpoints(tmp_path).save(step, state())
        with pytest.raises(kind, match=told):
            Checkpoints(tmp_path).path(step)

    def test_so_are_traced_ones(self, tmp_path):
        with pytest.raises(TypeError, match="`step` is traced, and has no value yet"):
            jax.jit(lambda step: Checkpoints(tmp_path).save(step, 0))(1)

    def test_every(self, tmp_path):
        ckpts = Checkpoints(tmp_path, every=3)
        saved = [ckpts.save(step, state()) for step in range(1, 8)]
        assert saved == [False, False, True, False, False, True, False]
        assert ckpts.save(7, state(), force=True)
        assert ckpts.steps() == (3, 6, 7)

    def test_a_step_that_is_saved_again_is_replaced(self, tmp_path):
        ckpts = filled(tmp_path, [1, 2])
        ckpts.save(2, state(9))
        found, step = ckpts.restore(state())
        assert (step, found["w"][0]) == (2, 9)

    def test_one_before_those_that_are_there_is_refused(self, tmp_path):
        ckpts = filled(tmp_path, [1, 2, 3])
        told = r"`step` 2 comes before step 3, which .*`restore` would go on"
        for another in (ckpts, Checkpoints(tmp_path)):
            with pytest.raises(ValueError, match=told):
                another.save(2, state())
        again = Checkpoints(tmp_path)
        _, step = again.restore(state(), 1)
        with pytest.raises(ValueError, match=told):
            again.save(2, state())
        for later in (2, 3):
            again.path(later).unlink()
        again.save(step + 1, state())
        assert again.steps() == (1, 2)

    def test_files_of_other_names_are_left_alone(self, tmp_path):
        others = [
            "step-1.safetensors",
            "step-000000001.safetensors",
            "step-0000000x.safetensors",
            f"step-{chr(0x661) * 8}.safetensors",
            "step-00000001.safetensors.bak",
            "notes.txt",
        ]
        for name in others:
            (tmp_path / name).write_text("mine")
        (tmp_path / "step-00000002.safetensors").mkdir()
        (tmp_path / "step-00000003.safetensors").symlink_to("nowhere")
        ckpts = filled(tmp_path, [4, 5, 6], keep=1)
        assert ckpts.steps() == (6,)
        assert {it.name for it in tmp_path.iterdir()} >= {*others, "step-00000002.safetensors"}


class TestRotation:
    def test_the_newest_stay(self, tmp_path):
        assert filled(tmp_path, range(10, 60, 10), keep=2).steps() == (40, 50)
        assert filled(tmp_path / "all", range(5)).steps() == (0, 1, 2, 3, 4)

    def test_what_the_folder_had_before_is_rotated(self, tmp_path):
        filled(tmp_path, range(5))
        assert filled(tmp_path, [7], keep=3).steps() == (3, 4, 7)

    @pytest.mark.parametrize(("best", "first"), [("loss", 2), (("loss", max), 3)])
    def test_the_best_stays(self, best, first, tmp_path):
        ckpts = Checkpoints(tmp_path, keep=1, best=best)
        for step, loss in enumerate([1.0, 0.5, 9.0, 2.0, math.nan, 2.0], start=1):
            ckpts.save(step, state(step), metrics={"loss": jnp.float32(loss), "other": -step})
        assert ckpts.steps() == (first, 6)
        assert ckpts.best() == first
        found, step = ckpts.restore(state(), "best")
        assert (step, found["w"][0]) == (first, first)
        assert Checkpoints(tmp_path).restore(state())[1] == 6

    def test_of_equals_the_last_is_the_best(self, tmp_path):
        ckpts = Checkpoints(tmp_path, keep=1, best="loss")
        for step, loss in enumerate([2, 1, 1, 3]):
            ckpts.save(step, state(), metrics={"loss": loss})
        assert ckpts.steps() == (2, 3)

    def test_each_file_is_read_once_for_its_metrics(self, tmp_path, monkeypatch):
        read, seen = _steps.read_header, []
        monkeypatch.setattr(_steps, "read_header", lambda path: (seen.append(path), read(path))[1])
        ckpts = Checkpoints(tmp_path, keep=3, best="loss")
        for step in range(8):
            ckpts.save(step, state(), metrics={"loss": step})
        assert ckpts.best() == 0
        assert sorted(seen) == [ckpts.path(step) for step in range(8)]
        ckpts.save(7, state(), metrics={"loss": -1})
        assert ckpts.best() == 7
        assert len(seen) == 9

    def test_infinite_metrics(self, tmp_path):
        ckpts = Checkpoints(tmp_path, best="loss")
        for step, loss in enumerate([math.inf, -math.inf, 0]):
            ckpts.save(step, state(), metrics={"loss": loss})
        assert ckpts.best() == 1

    def test_none_is_the_best(self, tmp_path):
        ckpts = Checkpoints(tmp_path, keep=1, best="loss")
        for step in range(3):
            ckpts.save(step, state(), metrics={"loss": math.nan})
        assert (ckpts.best(), ckpts.steps()) == (None, (2,))
        with pytest.raises(FileNotFoundError, match="no step with the metric that `best` names"):
            ckpts.restore(state(), "best")
        with pytest.raises(ValueError, match="No metric says which step is the best"):
            Checkpoints(tmp_path).best()

    def test_a_link_is_taken_away_and_not_what_it_leads_to(self, tmp_path):
        (tmp_path / "run").mkdir()
        save(tmp_path / "archive.safetensors", state(1))
        (tmp_path / "run" / "step-00000001.safetensors").symlink_to("../archive.safetensors")
        (tmp_path / "link").symlink_to("run")
        ckpts = Checkpoints(tmp_path / "link", keep=1)
        assert ckpts.restore(state())[1] == 1
        ckpts.save(2, state())
        assert [it.name for it in (tmp_path / "run").iterdir()] == ["step-00000002.safetensors"]
        assert (tmp_path / "archive.safetensors").exists()

    def test_one_that_cannot_be_taken_away_is_told_of(self, tmp_path, monkeypatch):
        ckpts = filled(tmp_path, [1])

        def refuse(path, **_):
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

        monkeypatch.setattr(type(tmp_path), "unlink", refuse)
        ckpts.keep = 1
        with pytest.warns(
            UserWarning, match="Step 1 is old, and could not be taken away: .*not permitted"
        ):
            ckpts.save(2, state())
        assert ckpts.steps() == (1, 2)


class TestDamage:
    def test_the_newest_is_never_passed_over(self, tmp_path):
        ckpts = filled(tmp_path, [1, 2])
        damage(ckpts.path(2))
        told = r"step-00000002.safetensors` is no file .*damaged.* `restore` goes on from step 1\."
        with pytest.raises(RuntimeError, match=told):
            ckpts.restore(state())
        ckpts.path(2).unlink()
        assert ckpts.restore(state())[1] == 1
        damage(ckpts.path(1))
        with pytest.raises(RuntimeError, match="`restore` begins anew"):
            ckpts.restore(state())

    def test_a_bit_that_flips_is_seen_if_asked_for(self, tmp_path):
        ckpts = filled(tmp_path, [1, 2], checksum=True)
        data = ckpts.path(2).read_bytes()
        ckpts.path(2).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        told = r"step-00000002.safetensors` is no .*has the checksum.* goes on from step 1\."
        with pytest.raises(RuntimeError, match=told):
            ckpts.restore(state())

    def test_where_the_best_is_sought_a_warning_tells_of_it(self, tmp_path):
        ckpts = Checkpoints(tmp_path, best="loss")
        for step in range(3):
            ckpts.save(step, state(), metrics={"loss": step})
        damage(ckpts.path(0))
        with pytest.warns(
            UserWarning, match="Step 0 is left out where the best is sought: .*damag"
        ):
            assert ckpts.best() == 1
        keeping = Checkpoints(tmp_path, keep=1, best="loss")
        with pytest.warns(UserWarning, match="Step 0 is left out"):
            keeping.save(3, state(), metrics={"loss": 9})
        assert keeping.steps() == (0, 1, 3)

    @pytest.mark.parametrize("text", ["{", "[]", '{"loss": "x"}', "[" * 100_000])
    def test_metrics_that_cannot_be_read(self, text, tmp_path):
        ckpts = Checkpoints(tmp_path)
        save(ckpts.path(1), state(), metadata={"metrics": text})
        with pytest.raises(RuntimeError, match=r"step-00000001\.safetensors` is damaged"):
            ckpts.metrics(1)
        with pytest.raises(FileNotFoundError, match="has no step 2"):
            ckpts.metrics(2)


class TestFolder:
    def test_a_file_in_its_place(self, tmp_path):
        (tmp_path / "run").touch()
        with pytest.raises(NotADirectoryError, match=r"run` is a file\. `Checkpoints` needs"):
            Checkpoints(tmp_path / "run")

    def test_a_folder_in_the_place_of_a_step(self, tmp_path):
        ckpts = Checkpoints(tmp_path)
        ckpts.path(1).mkdir()
        with pytest.raises(IsADirectoryError, match=r"step-00000001\.safetensors"):
            ckpts.save(1, state())

    def test_a_step_that_another_process_takes_away(self, tmp_path, monkeypatch):
        ckpts = filled(tmp_path, [1])
        inside = ckpts._load

        def rotated(step, *args):
            if step == 1:
                filled(tmp_path, [2], keep=1)
            return inside(step, *args)

        monkeypatch.setattr(ckpts, "_load", rotated)
        assert ckpts.restore(state())[1] == 2


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "kind", "told"),
        [
            ({"keep": 0}, ValueError, "`keep` of `Checkpoints` is 1 or more; got 0"),
            ({"every": 0}, ValueError, "`every` of `Checkpoints` is 1 or more; got 0"),
            ({"every": 1.5}, TypeError, "`every` of `Checkpoints` is an integer"),
            (
                {"best": ("loss", sum)},
                ValueError,
                "`best` of `Checkpoints` is the name of a metric",
            ),
            ({"best": 3}, ValueError, "`best` of `Checkpoints` is the name of a metric"),
        ],
    )
    def test_that_are_none(self, settings, kind, told, tmp_path):
        with pytest.raises(kind, match=told):
            Checkpoints(tmp_path, **settings)

    @pytest.mark.parametrize(
        ("metrics", "kind", "told"),
        [
            (None, ValueError, "must have `loss`, by which `best` chooses; it has none"),
            ({"los": 1}, ValueError, "it has `los`. Give `math.nan`"),
            ({"loss": np.ones(2)}, TypeError, r"`metrics\['loss'\]` of `save` must be one real"),
            ({"loss": 1j}, TypeError, "must be one real number"),
            ({"loss": "1"}, TypeError, "must be one real number"),
            ({1: 1}, TypeError, "numbers by names; one name is 1"),
        ],
    )
    def test_metrics_that_are_none(self, metrics, kind, told, tmp_path):
        ckpts = Checkpoints(tmp_path, best="loss")
        with pytest.raises(kind, match=told):
            ckpts.save(1, state(), metrics=metrics)
        assert ckpts.steps() == ()

    def test_a_traced_metric(self, tmp_path):
        with pytest.raises(TypeError, match="Save outside of the jitted function"):
            jax.jit(lambda x: Checkpoints(tmp_path).save(1, 0, metrics={"loss": x}))(1.0)


def test_a_step_that_is_taken_away_and_saved_again_while_it_is_read(tmp_path, monkeypatch):
    """Where another process has the same steps, a file may be gone just when it is opened."""
    ckpts, whole = Checkpoints(tmp_path), _checkpoints.load
    ckpts.save(1, {"a": np.ones(2)})
    missed = []

    def misses_once(*args, **kwargs):
        if not missed:
            missed.append(True)
            raise FileNotFoundError
        return whole(*args, **kwargs)

    monkeypatch.setattr(_checkpoints, "load", misses_once)
    assert ckpts.restore({"a": np.zeros(2)})[0]["a"].tolist() == [1, 1]


TRAIN = """
import sys
import numpy as np
from eqx_filter import Checkpoints

folder, stop, background = sys.argv[1], *map(int, sys.argv[2:])
like = [np.zeros(1000, int), 0]
with Checkpoints(folder, keep=2, best="loss", background=bool(background)) as ckpts:
    assert ckpts.restore(like)[1] == 0
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(1, stop):
        ckpts.save(step, [np.full(1000, step), step], metrics={"loss": abs(step - 20)})
        [array, number], found = Checkpoints(folder).restore(like)
        assert set(array.tolist()) == {number} == {found}, (number, found)
"""


@pytest.mark.parametrize("background", [0, 1])
def test_two_processes_in_one_folder(tmp_path, background):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen([sys.executable, "-c", TRAIN, tmp_path, stop, str(background)], **pipes)
        for stop in ("40", "30")
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    ckpts = Checkpoints(tmp_path, best="loss")
    assert ckpts.latest() == 39
    assert ckpts.best() == 20
    assert all(it.name.startswith("step-") for it in tmp_path.iterdir())
