"""Each example runs on a small setting, and its result is what it claims."""

import math
import runpy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def test_every_example_is_tested(examples):
    tested = {"train_digits", "train_mlp", "frozen_layer", "build_model", "train_rnn"}
    tested |= {"train_digits_conv", "train_digits_rnn", "finetune_digits"}
    in_their_own_files = {"train_text", "import_gpt", "resume", "sampling", "command", "deep"}
    in_their_own_files |= {"train_sequences", "train_many"}
    shared = {"digits", "language_model"}
    found = {path.stem for path in examples.glob("*.py")}
    assert found == tested | in_their_own_files | shared


def test_train_mlp(load):
    example = load("train_mlp")
    untrained = example.main(dataset_size=256, steps=0)
    assert example.main(dataset_size=256, batch_size=64, steps=300) < 0.1 * untrained


def test_frozen_layer(load):
    before, after = load("frozen_layer").main(dataset_size=256, steps=300, width=16)
    assert 0 < after < 0.2 * before


def test_frozen_layer_notices_a_change(load, monkeypatch):
    example = load("frozen_layer")

    def everything(model):
        return jax.tree_util.tree_map(lambda leaf: isinstance(leaf, jax.Array), model)

    monkeypatch.setattr(example, "last_layer_only", everything)
    with pytest.raises(RuntimeError, match="a frozen layer has changed"):
        example.main(dataset_size=16, steps=1, width=4)


def test_build_model(load):
    example = load("build_model")
    assert example.main(dataset_size=300, steps=300) > 0.9
    assert example.main(dataset_size=300, steps=0) < 0.8


def test_train_rnn(load):
    example = load("train_rnn")
    assert example.main(dataset_size=256, batch_size=32, steps=60, hidden_size=8) > 0.95
    assert example.main(dataset_size=256, steps=0, hidden_size=8) < 0.75


def test_spirals_turn_as_they_are_labelled(load):
    points, anticlockwise = load("train_rnn").spirals(jax.random.key(0), 50)
    before, after = points[:, :-1], points[:, 1:]
    turns = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]  # > 0: anticlockwise
    np.testing.assert_array_equal(turns.sum(axis=1) > 0, anticlockwise == 1)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("train_digits_conv", {"steps": 120, "width": 8}, 0.9),
        ("train_digits_rnn", {"steps": 200, "hidden_size": 32}, 0.8),
    ],
)
def test_other_readers_of_digits(load, name, settings, least, tmp_path, capsys):
    accuracy = load(name).main(**settings, output=tmp_path)
    assert accuracy > least
    assert f"test accuracy: {accuracy:.2%} on 450 digits" in capsys.readouterr().out
    [picture] = tmp_path.iterdir()
    assert picture.suffix == ".png"
    assert picture.stat().st_size > 10_000


def test_finetune_digits(load, tmp_path, capsys):
    example = load("finetune_digits")
    accuracy = example.main(steps=150, width=64, output=tmp_path)
    told = capsys.readouterr().out
    assert accuracy > 0.8
    assert f"test accuracy: {accuracy:.2%} on 224 digits from 5 to 9" in told
    assert "head.layers.1" in told  # in the summary
    assert (tmp_path / "finetune_digits.png").stat().st_size > 10_000


def test_finetune_digits_notices_a_change(load, monkeypatch, tmp_path):
    example = load("finetune_digits")
    optimizer = example.optimizer
    everything = lambda model, rate, wrt: optimizer(model, rate, example.eqx.trainable)  # noqa: E731
    monkeypatch.setattr(example, "optimizer", everything)
    monkeypatch.setattr(example.eqx, "by", lambda _: example.eqx.trainable)
    with pytest.raises(RuntimeError, match="a frozen layer has changed"):
        example.main(steps=2, width=4, output=tmp_path)


class TestTrainDigits:
    @pytest.fixture(scope="class")
    @staticmethod
    def example(load):
        return load("train_digits")

    def test_reads_most_digits_and_writes_its_files(self, example, tmp_path, capsys):
        accuracy = example.main(steps=150, width=64, output=tmp_path / "new")
        assert accuracy > 0.85
        assert f"test accuracy: {accuracy:.2%} on 450 digits" in capsys.readouterr().out
        assert (tmp_path / "new" / "digits.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "new" / "digits.eqx").stat().st_size > 4 * 64 * 64

    def test_batches_show_each_digit_once_an_epoch(self, example):
        drawn = example.batches(0, np.arange(10), np.arange(10), batch_size=5, steps=4)
        seen = np.concatenate([pixels for pixels, _ in drawn])
        assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))

    def test_loss_is_cross_entropy(self, example):
        logits = jnp.array([[0.0, 1.0, 2.0]])
        loss = example.cross_entropy(lambda x: x, logits, jnp.array([2]))
        expected = math.log(1 + math.exp(-1) + math.exp(-2))
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def run_command_line(examples, monkeypatch, tmp_path, *arguments):
    line = ["train_digits.py", *arguments, "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", line)
    runpy.run_path(str(examples / "train_digits.py"), run_name="__main__")


def test_low_accuracy_is_a_failure_of_the_command(examples, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit, match="the test accuracy is below 96%"):
        run_command_line(examples, monkeypatch, tmp_path, "--steps", "1", "--width", "2")
    assert "test accuracy" in capsys.readouterr().out


def test_command_reaches_the_target(examples, monkeypatch, tmp_path, capsys):
    run_command_line(examples, monkeypatch, tmp_path, "--steps", "1200")
    assert "loaded back: equal predictions" in capsys.readouterr().out
