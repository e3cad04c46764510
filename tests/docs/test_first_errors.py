"""The table of docs/first_errors.md: what is in its first column fails, what in its last works."""

import jax
import jax.numpy as jnp
import optax
import pytest

import equinox as eqx

MODEL = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
X = jnp.ones(2)


def apply(model, x=X):
    return model(x).sum()


def body(model, x):
    return model, apply(model, x)


ADAM = optax.adam(1e-3)
UPDATES = eqx.filter_grad(apply)(MODEL)
ROWS = {
    "jit of a function": (
        lambda: jax.jit(apply)(MODEL, X),
        lambda: eqx.filter_jit(apply)(MODEL, X),
    ),
    "jit of a model": (lambda: jax.jit(MODEL)(X), lambda: eqx.filter_jit(MODEL)(X)),
    "grad": (lambda: jax.grad(apply)(MODEL), lambda: eqx.filter_grad(apply)(MODEL)),
    "vmap": (
        lambda: jax.vmap(apply)(MODEL, X[None]),
        lambda: eqx.filter_vmap(apply, in_axes=(None, 0))(MODEL, X[None]),
    ),
    "scan": (
        lambda: jax.lax.scan(body, MODEL, X[None]),
        lambda: eqx.filter_scan(body, MODEL, X[None]),
    ),
    "init": (
        lambda: ADAM.init(MODEL),
        lambda: ADAM.init(eqx.filter(MODEL, eqx.is_inexact_array)),
    ),
    "apply_updates": (
        lambda: optax.apply_updates(MODEL, UPDATES),
        lambda: eqx.apply_updates(MODEL, UPDATES),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    fails, works = ROWS[row]
    with pytest.raises(TypeError, match=r"."):
        fails()
    works()
