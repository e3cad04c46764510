"""The tables of docs/first_errors.md: what fails says what is quoted, and what is advised works."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

import equinox as eqx

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first_errors.md"
KEY = jax.random.key(0)
MODEL = eqx.nn.MLP(2, 1, 4, 1, key=KEY)
DROPS = eqx.nn.Sequential([eqx.nn.Linear(2, 2, key=KEY), eqx.nn.Dropout()])
X = jnp.ones(2)
ADAM, ADAMW, LAMB = optax.adam(1e-3), optax.adamw(1e-3), optax.lamb(1e-3)
CLIP = optax.adaptive_grad_clip(0.1)


class Trainer:
    def __init__(self):
        self.model = [X]

    def step(self, x):
        return x * self.model[0]


class Trained(eqx.Module):
    model: list


def apply(model, x=X, key=KEY):
    return model(x, key=key).sum()


def body(model, x):
    return model, apply(model, x)


def params(model):
    return eqx.filter(model, eqx.is_inexact_array)


def updated(optimiser, model, *given, init=params):
    grads = eqx.filter_grad(apply)(model)
    return optimiser.update(grads, optimiser.init(init(model)), *given)


def averaged():
    arrays, rest = eqx.partition(MODEL, eqx.is_inexact_array)
    return eqx.combine(optax.incremental_update(arrays, arrays, 0.1), rest)(X)


UPDATES, DROPS_UPDATES = eqx.filter_grad(apply)(MODEL), eqx.filter_grad(apply)(DROPS)
ROWS = [
    (lambda: jax.jit(apply)(MODEL, X), lambda: eqx.filter_jit(apply)(MODEL, X)),
    (lambda: jax.jit(MODEL)(X), lambda: eqx.filter_jit(MODEL)(X)),
    (lambda: jax.grad(apply)(MODEL), lambda: eqx.filter_grad(apply)(MODEL)),
    (
        lambda: jax.vmap(apply)(MODEL, X[None]),
        lambda: eqx.filter_vmap(apply, in_axes=(None, 0))(MODEL, X[None]),
    ),
    (
        lambda: jax.lax.scan(body, MODEL, X[None]),
        lambda: eqx.filter_scan(body, MODEL, X[None]),
    ),
    (lambda: ADAM.init(MODEL), lambda: ADAM.init(params(MODEL))),
    (lambda: optax.apply_updates(MODEL, UPDATES), lambda: eqx.apply_updates(MODEL, UPDATES)),
    (lambda: optax.incremental_update(MODEL, MODEL, 0.1), averaged),
    (lambda: updated(ADAMW, MODEL), lambda: updated(ADAMW, MODEL, params(MODEL))),
    (lambda: updated(LAMB, MODEL, MODEL), lambda: updated(LAMB, MODEL, params(MODEL))),
    (lambda: updated(CLIP, MODEL, MODEL), lambda: updated(CLIP, MODEL, params(MODEL))),
    (lambda: jax.jit(apply)(DROPS, X, KEY), lambda: eqx.filter_jit(apply)(DROPS, X, KEY)),
    (lambda: jax.lax.scan(body, DROPS, X[None]), lambda: eqx.filter_scan(body, DROPS, X[None])),
    (lambda: jax.grad(apply)(DROPS), lambda: eqx.filter_grad(apply)(DROPS)),
    (lambda: updated(ADAM, DROPS, init=lambda model: model), lambda: updated(ADAM, DROPS)),
    (
        lambda: optax.apply_updates(DROPS, DROPS_UPDATES),
        lambda: eqx.apply_updates(DROPS, DROPS_UPDATES),
    ),
    (
        lambda: jax.jit(lambda trainer, x: trainer.step(x))(Trainer(), X),
        lambda: jax.jit(lambda trainer, x: trainer.model[0] * x)(Trained([X]), X),
    ),
    (
        lambda: eqx.filter_jit(Trainer().step)(X),
        lambda: eqx.filter_jit(lambda trainer, x: trainer.model[0] * x)(Trained([X]), X),
    ),
]
TOLD = [
    line.split("|")[2]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_row(row):
    fails, works = ROWS[row]
    with pytest.raises((TypeError, ValueError, UserWarning), match=r".") as caught:
        fails()
    for phrase in re.findall(r"`([^`]+)`", TOLD[row]):
        assert phrase in str(caught.value) or phrase == "trainer"
    works()


def test_every_row_is_tried():
    assert len(TOLD) == len(ROWS)
