"""What type checkers see of the filtered transformations: checkers read this, nothing runs it."""

from typing import Any, assert_type

import jax

import equinox as eqx


class Affine(eqx.Module):
    weight: jax.Array
    name: str = eqx.field(static=True, default="affine")

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight @ x

    @eqx.filter_jit
    def jitted(self, x: jax.Array) -> jax.Array:
        return self(x)


def loss(model: Affine, x: jax.Array, scale: float = 1.0) -> jax.Array:
    return scale * model(x).sum()


def loss_and_output(model: Affine, x: jax.Array) -> tuple[jax.Array, str]:
    return loss(model, x), model.name


def jit_keeps_a_signature(model: Affine, x: jax.Array) -> None:
    assert_type(eqx.filter_jit(loss)(model, x), jax.Array)
    assert_type(eqx.filter_jit(loss)(model, x, scale=2.0), jax.Array)
    assert_type(eqx.filter_jit(donate="all")(loss)(model, x), jax.Array)
    assert_type(eqx.filter_jit(model)(x), jax.Array)
    assert_type(model.jitted(x), jax.Array)
    eqx.filter_jit(loss)(model)  # type: ignore[call-arg]
    eqx.filter_jit(loss)(model, "x")  # type: ignore[arg-type]


def gradients_are_like_the_first_argument(model: Affine, x: jax.Array) -> None:
    assert_type(eqx.filter_grad(loss)(model, x), Affine)
    assert_type(eqx.filter_grad(loss)(model, x, scale=2.0), Affine)
    assert_type(eqx.filter_grad(loss_and_output, has_aux=True)(model, x), tuple[Affine, str])
    assert_type(eqx.filter_value_and_grad(loss)(model, x), tuple[jax.Array, Affine])
    with_aux = eqx.filter_value_and_grad(loss_and_output, has_aux=True)
    assert_type(with_aux(model, x), tuple[tuple[jax.Array, str], Affine])
    eqx.filter_grad(loss)(x, x)  # type: ignore[arg-type]


def decorators(model: Affine, x: jax.Array) -> None:
    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def step(model: Affine, x: jax.Array) -> jax.Array:
        return loss(model, x)

    assert_type(step(model, x), tuple[jax.Array, Affine])


def trees_keep_their_type(model: Affine, x: jax.Array) -> None:
    arrays, static = eqx.partition(model, eqx.is_array)
    assert_type(arrays, Affine)
    assert_type(static, Affine)
    assert_type(eqx.combine(arrays, static), Affine)
    assert_type(eqx.filter(model, eqx.is_inexact_array), Affine)
    assert_type(eqx.apply_updates(model, arrays), Affine)
    assert_type(eqx.tree_at(lambda m: m.weight, model, x), Affine)
    assert_type(eqx.tree_at(lambda m: m.weight, model, replace_fn=jax.numpy.sin), Affine)
    eqx.tree_at(lambda m: m.weigth, model, x)  # type: ignore[attr-defined]


def predicates_and_texts(model: Affine) -> None:
    assert_type(eqx.is_array(model), bool)
    assert_type(eqx.is_array_like(model), bool)
    assert_type(eqx.tree_pformat(model), str)
    assert_type(eqx.tree_check(model), None)
    answer: Any = eqx.tree_equal(model, model)
    bool(answer)


def checkpoints_keep_a_type(model: Affine) -> None:
    with eqx.Checkpoints("run", keep=3, best=("accuracy", max), background=True) as ckpts:
        found, step = ckpts.restore((model, {"key": jax.random.key(0)}))
        assert_type(found[0], Affine)
        assert_type(step, int)
        assert_type(ckpts.save(step + 1, found, metrics={"accuracy": 0.5}), bool)
        assert_type(ckpts.steps(), tuple[int, ...])
        assert_type(ckpts.best(), int | None)
        assert_type(ckpts.metrics(step), dict[str, float])
