"""What type checkers see of the layers: checkers read this, nothing runs it."""

from typing import assert_type

import jax

import equinox as eqx


def constructors(key: jax.Array) -> None:
    assert_type(eqx.nn.Linear(2, "scalar", key=key), eqx.nn.Linear)
    assert_type(eqx.nn.Linear(2, 3, bias=False, key=key), eqx.nn.Linear)
    assert_type(eqx.nn.MLP(2, 3, 8, 1, activation=jax.nn.gelu, key=key), eqx.nn.MLP)
    assert_type(eqx.nn.Dropout(0.1, deterministic=True), eqx.nn.Dropout)
    assert_type(eqx.nn.Sequential([eqx.nn.Lambda(jax.nn.relu)]), eqx.nn.Sequential)
    drawn = eqx.nn.Conv2d(2, 3, 3, weight_init=jax.nn.initializers.he_normal(), key=key)
    assert_type(drawn, eqx.nn.Conv2d)
    assert_type(eqx.nn.reinit(drawn, {"bias": jax.nn.initializers.zeros}, key), eqx.nn.Conv2d)
    eqx.nn.reinit(drawn, [(eqx.nn.Conv, lambda key, shape, dtype: key)], key)
    eqx.nn.reinit(drawn, {"bias": "zeros"}, key)  # type: ignore[arg-type]
    assert_type(eqx.nn.lora(drawn, "weight", 2, alpha=4, key=key), eqx.nn.Conv2d)
    assert_type(eqx.nn.merge_lora(eqx.nn.quantise(drawn, eqx.nn.Conv, bits=4)), eqx.nn.Conv2d)
    eqx.nn.lora(drawn, "weight", 2)  # type: ignore[call-arg]
    eqx.nn.Linear(2, 3)  # type: ignore[call-arg]
    eqx.nn.MLP(2, 3, width=8, depth=1, key=key)  # type: ignore[call-arg]


def calls(key: jax.Array, x: jax.Array) -> None:
    assert_type(eqx.nn.Linear(2, 3, key=key)(x), jax.Array)
    assert_type(eqx.nn.MLP(2, 3, 8, 1, key=key)(x), jax.Array)
    assert_type(eqx.nn.GRUCell(2, 3, key=key)(x, x), jax.Array)
    assert_type(eqx.nn.LSTMCell(2, 3, key=key)(x, (x, x)), tuple[jax.Array, jax.Array])
    assert_type(eqx.nn.Linear(2, 3, key=key).weight, jax.Array)
    assert_type(eqx.nn.LSTM(2, 3, bidirectional=True, key=key)(x, lengths=x)[0], jax.Array)
    assert_type(eqx.nn.RNN(eqx.nn.RNNCell(2, 3, key=key))(x, return_sequences=False)[0], jax.Array)
    assert_type(eqx.nn.LRU(2, 3, key=key)(x), tuple[jax.Array, jax.Array])
    assert_type(eqx.nn.linear_recurrence(x, x), jax.Array)
    eqx.nn.LSTM(2, 3)  # type: ignore[call-arg]


def modes(key: jax.Array) -> None:
    assert_type(eqx.nn.inference_mode(eqx.nn.Linear(2, 3, key=key)), eqx.nn.Linear)
