"""Blocks as one and as a tuple: one model, told and drawn."""

import numpy as np
import pytest

import equinox as eqx


@pytest.fixture(scope="module")
def example(load):
    return load("deep")


def test_tuple_is_the_same_model(example):
    model = example.Deep(4, 3, key=example.jr.key(0))
    blocks = example.as_tuple(model).blocks
    assert isinstance(blocks, tuple)
    assert eqx.tree_equal(eqx.nn.Stacked.of(blocks), model.blocks)


def test_script_learns_draws_and_tells(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(example, "DEPTHS", (2, 3))
    worst = example.main(steps=20, width=8, learning_rate=1e-2, output=tmp_path / "new")
    assert example.problem(worst) is None
    told = capsys.readouterr().out
    assert f"losses of both: alike to {worst:.1g}" in told
    lines = [line for line in told.splitlines() if "blocks, " in line]
    assert [line.split(":")[0].strip() for line in lines] == [
        "2 blocks, Stacked",
        "2 blocks, tuple",
        "3 blocks, Stacked",
        "3 blocks, tuple",
    ]
    for line in lines:
        before, after = map(float, line.split("loss ")[1].split(" to "))
        assert after < 0.8 * before
    assert (tmp_path / "new" / "deep.png").stat().st_size > 10_000


def test_script_notices_another_model(example, monkeypatch, tmp_path):
    def of_other_weights(model):
        return eqx.tree_at(lambda it: it.last.weight, model, replace_fn=lambda x: 9 * x)

    monkeypatch.setattr(example, "DEPTHS", (2,))
    monkeypatch.setattr(example, "as_tuple", of_other_weights)
    told = example.problem(example.main(steps=1, width=8, output=tmp_path))
    assert told.startswith("the losses of both differ by ")


def test_seconds_are_of_each_stage(example):
    model = example.Deep(4, 2, key=example.jr.key(0))
    batch = np.ones((3, 64), np.float32), np.zeros(3, np.int32)
    opt = eqx.Optimizer(example.optax.sgd(0.1), model)
    losses, seconds = example.train(model, opt, [batch, batch])
    assert losses.shape == (2,)
    assert losses[1] < losses[0]
    assert tuple(seconds) == example.STAGES
    assert min(seconds.values()) > 0
