"""`LossScale`: finite steps are those without it, and others are left out."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import LossScale, Optimizer, all_finite, filter_grad, filter_jit, tree_equal

from .transformations import momentum

MODEL = {"a": jnp.asarray([1.0, 2.0]), "b": jnp.asarray([3.0]), "n": 4}
TX = momentum()


def loss(model, factor):
    return factor * (jnp.sum(model["a"] ** 2) * jnp.sum(model["b"]))


@filter_jit
def step(model, opt, scale, factor):
    grads = filter_grad(lambda m: scale.up(loss(m, factor)))(model)
    return scale.update(opt, grads, model)


def test_a_finite_step_is_the_step_without():
    opt = Optimizer(TX, MODEL)
    model, after, scale = step(MODEL, opt, LossScale(2.0**8), 1.0)
    expected = opt.update(filter_grad(loss)(MODEL, 1.0), MODEL)
    assert tree_equal((model, after), expected, rtol=1e-6)
    assert (scale.value, scale.finite_steps) == (2.0**8, 1)


@pytest.mark.parametrize("bad", [jnp.inf, jnp.nan, -jnp.inf])
def test_another_is_left_out(bad):
    opt = Optimizer(TX, MODEL)
    model, after, scale = step(MODEL, opt, LossScale(2.0**8), bad)
    assert tree_equal((model, after), (MODEL, opt))
    assert (scale.value, scale.finite_steps) == (2.0**7, 0)


def test_what_is_not_trained_may_overflow():
    opt = Optimizer(TX, MODEL, wrt="a")
    grads = {"a": jnp.ones(2), "b": jnp.full(1, jnp.inf), "n": None}
    model, _, scale = LossScale(1.0).update(opt, grads, MODEL)
    assert not tree_equal(model["a"], MODEL["a"])
    assert model["b"] is MODEL["b"]
    assert scale.finite_steps == 1


def test_grows_after_a_period_and_stays_finite():
    scale = LossScale(1.0, period=2, factor=4)
    values = []
    for is_finite in (True, True, True, False, True, True):
        scale = scale.adjusted(jnp.asarray(is_finite))
        values.append(float(scale.value))
    assert values == [1.0, 4.0, 4.0, 1.0, 1.0, 4.0]
    assert LossScale(1.0).adjusted(jnp.asarray(False)).value == 1.0
    largest = LossScale(2.0**127, period=1)
    assert largest.adjusted(jnp.asarray(True)).value == 2.0**127


def test_up_and_down_keep_dtypes():
    tree = {"h": jnp.ones(2, jnp.bfloat16), "c": jnp.ones(2, complex), "n": jnp.arange(2), "s": "x"}
    scale = LossScale(8.0)
    with jax.numpy_dtype_promotion("strict"):
        up = scale.up(tree)
        assert tree_equal(scale.down(up), tree)
    assert up["h"][0] == 8.0
    assert up["n"] is tree["n"]


def test_all_finite():
    assert all_finite({"a": jnp.ones(2), "n": 3})
    assert all_finite({})
    assert not all_finite([jnp.ones(2), jnp.asarray([1.0, jnp.nan])])
    assert not all_finite(jnp.asarray(complex(0, jnp.inf)))


def test_a_large_scale_does_not_vanish_in_few_bits():
    down = LossScale(2.0**25).down(jnp.asarray(60000, jnp.float16))
    assert abs(float(down) - 60000 / 2**25) < 1e-5


@pytest.mark.parametrize("options", [{"factor": 1.0}, {"period": 0}, {"period": 1.5}])
def test_steps_out_of_range(options):
    with pytest.raises(ValueError, match="a `factor` above 1 and an integer from 1 on as `period`"):
        LossScale(**options)


@pytest.mark.parametrize("value", [0.0, -3.0, jnp.nan, jnp.inf, 0.5, jnp.ones(2)])
def test_values_out_of_range(value):
    with pytest.raises(ValueError, match="takes as `value` a number from `least` on"):
        LossScale(value)
    with pytest.raises(ValueError, match="a `least` above 0"):
        LossScale(least=0.0)
