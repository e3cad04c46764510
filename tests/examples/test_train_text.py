"""A text learned byte by byte: its parts beside NumPy, and the whole on a small setting."""

import math
from collections import Counter

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import equinox as eqx

EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def example(load):
    return load("train_text")


@pytest.fixture(scope="module")
def model(example):
    return example.transformer(16, 2, 2, 5, key=jr.key(0))


def test_text_comes_with_python(example):
    seen, unseen = example.text()
    assert seen.dtype == unseen.dtype == np.uint8
    assert len(seen) > 200_000
    assert len(seen) == (len(seen) + len(unseen)) * 9 // 10
    paragraphs = Counter((seen.tobytes() + unseen.tobytes()).decode().split("\n\n"))
    assert "" not in paragraphs
    assert set(paragraphs.values()) == {1}


def test_bigram_loss_is_of_smoothed_counts(example):
    seen, unseen = np.frombuffer(b"abcab", np.uint8), np.frombuffer(b"abaz", np.uint8)
    found = example.bigram_loss(seen, unseen, added=0.5)
    of_a, of_b = 2 + 128, 1 + 128  # "ab" twice, "bc" once, and 256 times a half
    expected = -(math.log(2.5 / of_a) + math.log(0.5 / of_b) + math.log(0.5 / of_a)) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_windows_ask_for_each_byte_once(example):
    rows = example.windows(np.arange(23, dtype=np.uint8), 5)
    assert rows[:, 1:].ravel().tolist() == list(range(1, 21))
    assert rows[:, 0].tolist() == [0, 5, 10, 15]


def test_batches_are_parts_of_the_text(example):
    data = np.arange(12, dtype=np.uint8)
    rows = np.concatenate(list(example.batches(0, data, 5, batch_size=4, steps=30)))
    assert rows.shape == (120, 6)
    assert (np.diff(rows) == 1).all()
    assert set(rows[:, 0].tolist()) == set(range(7))  # the first place and the last are drawn


def test_loss_is_cross_entropy_in_nats(example, model):
    rows = jr.randint(jr.key(1), (4, 8), 0, 256).astype(jnp.uint8)

    @eqx.filter_jit
    def both(model, rows):
        return jax.vmap(model)(rows[:, :-1]), example.cross_entropy(model, rows)

    logits, loss = both(model, rows)
    logits = np.asarray(logits, np.float64)
    total = np.log(np.exp(logits).sum(axis=-1))
    right = np.take_along_axis(logits, np.asarray(rows[:, 1:, None]), axis=-1)[..., 0]
    expected = (total - right).mean()
    np.testing.assert_allclose(loss, expected, rtol=300 * EPS)
    np.testing.assert_allclose(example.validate(model, rows), expected, rtol=300 * EPS)


def test_attention_weights_are_those_of_the_model(example, model):
    tokens = jr.randint(jr.key(2), (8,), 0, 256)
    weights = np.asarray(example.attention_weights(model, tokens, 1), np.float64)
    assert weights.shape == (2, 8, 8)
    in_sight = np.tril(weights) - np.tril(weights, -5)
    np.testing.assert_array_equal(weights, in_sight)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=10 * EPS)
    names = ["blocks.1.attention_norm", "blocks.1.attention"]
    _, inside = eqx.filter_jit(eqx.capture(model, eqx.by(names[0]) | names[1]))(tokens)
    layer = model.blocks[1].attention
    values = np.asarray(inside[names[0]] @ layer.value_proj.weight.T).reshape(8, 2, 8)
    heads = np.einsum("hqk,khv->qhv", weights, values).reshape(8, 16)
    expected = heads @ np.asarray(layer.output_proj.weight, np.float64).T
    tolerance = 100 * EPS * np.abs(expected).max()
    np.testing.assert_allclose(inside[names[1]], expected, rtol=0, atol=tolerance)


def test_script_learns_draws_and_writes(example, tmp_path, capsys):
    settings = {"batch_size": 8, "context": 16, "size": 16, "depth": 1, "num_heads": 2}
    loss, bigram = example.main(**settings, steps=40, length=24, output=tmp_path / "new")
    assert 2 < bigram < 3
    assert bigram < loss < math.log(256) - 1  # it has learned which bytes there are
    told = capsys.readouterr().out
    assert f"validation loss: {loss:.3f} nats a byte; of the bigram model {bigram:.3f}" in told
    assert told.startswith(example.PROMPT)
    assert "tokens a second" in told
    assert (tmp_path / "new" / "text.png").stat().st_size > 10_000


def test_loss_near_that_of_bigrams_is_a_failure(example):
    assert example.problem((1.5, 2.5)) is None
    assert "is not 0.5 nats below that of the bigram model" in example.problem((2.1, 2.5))
