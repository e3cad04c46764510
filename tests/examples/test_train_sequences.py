"""Digits of which some rows are missing: how they are cut, and that padding has no part."""

import numpy as np
import pytest

import equinox as eqx


@pytest.fixture(scope="module")
def example(load):
    return load("train_sequences")


def test_cut_keeps_rows_that_follow_each_other(example):
    images = 1 + np.arange(6 * 64).reshape(6, 8, 8)
    lengths = np.array([4, 5, 6, 7, 8, 4])
    rows = example.cut(images, lengths, np.random.default_rng(0))
    assert rows.shape == (6, 8, 8)
    for image, row, length in zip(images, rows, lengths, strict=True):
        assert not row[length:].any()
        [[first]] = np.argwhere((image == row[0]).all(axis=1))
        np.testing.assert_array_equal(row[:length], image[first : first + length])


def test_all_lengths_and_all_places_are_drawn(example):
    images = np.broadcast_to(np.arange(1, 9)[:, None], (200, 8, 8))
    rows, lengths = example.cut_at_random(images, np.random.default_rng(0))
    assert set(lengths) == set(example.LENGTHS)
    assert set(rows[lengths == 4, 0, 0]) == {1, 2, 3, 4, 5}


def test_script_learns_draws_and_tells(example, tmp_path, capsys):
    accuracy = example.main(steps=250, hidden_size=32, output=tmp_path / "new")
    assert accuracy > 0.6
    told = capsys.readouterr().out
    assert f"test accuracy: {accuracy:.2%} on 450 digits of 4 to 8 rows" in told
    assert "noise in the padding: equal predictions" in told
    assert (tmp_path / "new" / "sequences.png").stat().st_size > 10_000


def test_script_notices_that_padding_has_a_part(example, monkeypatch, tmp_path):
    reader = example.Reader.__call__
    monkeypatch.setattr(
        example.Reader, "__call__", lambda it, rows, lengths: reader(it, rows, None)
    )
    with pytest.raises(RuntimeError, match="noise in the padding has changed what is predicted"):
        example.main(steps=1, hidden_size=4, output=tmp_path)


def test_gradient_of_padding_is_zero(example):
    model = example.Reader(4, key=example.jr.key(0))
    rows, lengths = np.ones((3, 8, 8), np.float32), np.array([8, 4, 6])
    labels = np.zeros(3, np.int32)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(rows):
        return example.cross_entropy(model, rows, lengths, labels)

    is_zero = np.asarray(gradient(rows) == 0).all(axis=-1)
    np.testing.assert_array_equal(is_zero, np.arange(8) >= lengths[:, None])
