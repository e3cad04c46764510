"""Optax's transformations through `Optimizer`, and without it."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import (
    Optimizer,
    apply_updates,
    by,
    filter,
    filter_jit,
    filter_value_and_grad,
    is_inexact_array,
    tree_equal,
    tree_label,
    tree_mask,
)
from eqx_pytree import Module

optax = pytest.importorskip("optax")
contrib = pytest.importorskip("optax.contrib")


class Model(Module):
    """Can be called, so that Optax would call it where it asks for a tree or a function."""

    weight: jax.Array
    bias: jax.Array
    activation: object

    def __call__(self, x):
        return self.activation(self.weight @ x + self.bias)


X = jnp.asarray([1.0, -1.0])


def model():
    return Model(jnp.asarray([[0.5, 0.1], [0.2, -0.3]]), jnp.ones(2), jnp.tanh)


def loss(model):
    return jnp.sum((model(X) - 0.5) ** 2)


LABELS = tree_label(model(), {"weight": "fast", "bias": "slow"}, default="fast")
TRANSFORMATIONS = {
    "adam": optax.adam(0.1),
    "masked": optax.chain(optax.masked(optax.scale(0.5), by("weight")), optax.sgd(0.1)),
    "multi_transform": optax.multi_transform(
        {"fast": optax.adam(0.1), "slow": optax.sgd(0.01, momentum=0.9)}, LABELS
    ),
    "decay": optax.adamw(0.1, weight_decay=0.5, mask=by("weight")),
    "decay by a tree": optax.adamw(
        0.1, weight_decay=0.5, mask=lambda _: tree_mask(model(), "weight")
    ),
    "inject_hyperparams": optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.linear_schedule(0.1, 0.0, 3)
    ),
    "MultiSteps": optax.MultiSteps(optax.adam(0.1), every_k_schedule=2),
    "apply_if_finite": optax.apply_if_finite(optax.adam(0.1), max_consecutive_errors=2),
    "schedule_free": contrib.schedule_free_adamw(0.1, warmup_steps=2),
    "lbfgs": optax.lbfgs(0.1),
}


def extra(name, value, grads):
    if name != "lbfgs":
        return {}
    return {"value": value, "grad": grads, "value_fn": loss}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_is_what_it_is_by_hand(name):
    tx = TRANSFORMATIONS[name]

    @filter_jit
    def ours(model, opt):
        value, grads = filter_value_and_grad(loss)(model)
        return *opt.update(grads, model, **extra(name, value, grads)), value

    @filter_jit
    def by_hand(model, state):
        params = filter(model, is_inexact_array)
        value, grads = filter_value_and_grad(loss)(model)
        told = extra(name, value, grads)
        if told:
            told["value_fn"] = lambda p: loss(Model(p.weight, p.bias, model.activation))
        updates, state = tx.update(grads, state, params, **told)
        return apply_updates(model, updates), state, value

    one, opt = model(), Optimizer(tx, model())
    other, state = model(), tx.init(filter(model(), is_inexact_array))
    for _ in range(3):
        one, opt, value = ours(one, opt)
        other, state, expected = by_hand(other, state)
    assert tree_equal((one, opt.state, value), (other, state, expected), rtol=1e-5, atol=1e-6)
    assert not tree_equal(one.weight, model().weight)


@pytest.mark.parametrize("name", ["adam", "schedule_free", "lbfgs", "MultiSteps"])
def test_what_is_frozen_stays(name):
    opt = Optimizer(TRANSFORMATIONS[name], model(), wrt="weight")
    value, grads = filter_value_and_grad(loss, wrt="weight")(model())
    shapes = [leaf.shape for leaf in jax.tree.leaves(opt.state)]
    assert (2,) not in shapes
    step = filter_jit(
        lambda opt, grads, model: opt.update(grads, model, **extra(name, value, grads))
    )
    after, _ = step(opt, grads, model())
    assert tree_equal(after.bias, model().bias)


def test_a_mask_of_what_is_trained():
    tx = optax.adamw(0.1, weight_decay=0.5, mask=by("weight"))
    opt = Optimizer(tx, model(), wrt="weight")
    _, grads = filter_value_and_grad(loss)(model())
    after, _ = opt.update(grads, model())
    assert not tree_equal(after.weight, model().weight)


def test_what_schedule_free_is_evaluated_with():
    opt = Optimizer(TRANSFORMATIONS["schedule_free"], model())
    params = contrib.schedule_free_eval_params(opt.state, opt.params(model()))
    assert tree_equal(params, opt.params(model()))
