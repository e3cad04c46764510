"""`ema`: against the sum that it is defined by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import ema, filter_jit, filter_make_jaxpr, tree_equal

RNG = np.random.default_rng(0)
MODELS = [{"w": RNG.normal(size=3).astype(np.float32), "n": i, "f": np.tanh} for i in range(6)]
MODELS = [{**model, "w": jnp.asarray(model["w"])} for model in MODELS]


def test_moves_towards_the_model():
    average = ema(MODELS[0], MODELS[1], 0.75)
    expected = 0.75 * np.asarray(MODELS[0]["w"]) + 0.25 * np.asarray(MODELS[1]["w"])
    np.testing.assert_allclose(average["w"], expected, rtol=1e-6)
    assert average["n"] == 1
    assert average["f"] is np.tanh


def test_with_a_step_it_is_the_weighted_mean_of_all():
    average = {**MODELS[0], "w": jnp.full(3, 1e6)}  # whatever it begins with
    for step, model in enumerate(MODELS):
        average = ema(average, model, 0.9, step=step)
    weights = 0.9 ** np.arange(len(MODELS))[::-1]
    expected = np.average([model["w"] for model in MODELS], axis=0, weights=weights)
    np.testing.assert_allclose(average["w"], expected, rtol=1e-4)


def test_traced_decay_and_step_under_jit():
    move = filter_jit(lambda average, model, decay, step: ema(average, model, decay, step=step))
    args = MODELS[0], MODELS[1], jnp.asarray(0.9), jnp.asarray(3)
    assert tree_equal(move(*args), ema(*args[:3], step=3), rtol=1e-6, atol=1e-7)


def test_what_does_not_change_is_kept_to_the_bit():
    model = {"w": jnp.asarray(RNG.normal(size=100), jnp.float32)}
    average = model
    for step in range(3):
        average = ema(average, model, 0.99, step=step)
    assert tree_equal(average, model)
    assert tree_equal(ema({"w": jnp.full(100, jnp.nan)}, model, 0.9, step=0), model)


def test_is_one_program():
    program, *_ = filter_make_jaxpr(lambda a, b: ema(a, b, 0.9))(
        [jnp.ones(2)] * 5, [jnp.ones(2)] * 5
    )
    assert [equation.primitive.name for equation in program.eqns] in (["pjit"], ["jit"])


@pytest.mark.parametrize("kept", [jnp.float32, jnp.bfloat16, jnp.complex64])
def test_the_average_keeps_its_dtype(kept):
    model = jnp.ones(2, jnp.complex64 if kept == jnp.complex64 else jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"):
        average = ema(jnp.zeros(2, kept), model, 0.5, step=2)
    assert average.dtype == kept
    assert np.all(np.abs(average.astype(jnp.complex64)) > 0)


def test_another_structure_or_shape():
    with pytest.raises(ValueError, match=r"must have one structure; at `model`: .*\['b'\]"):
        ema({"a": 1.0}, {"b": 1.0}, 0.9)
    message = r"averages `model\['a'\]`, an array of shape \(2,\) .* is an array of shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        ema({"a": jnp.ones(3)}, {"a": jnp.ones(2)}, 0.9)
    with pytest.raises(ValueError, match=r"is an array of shape .* and dtype int32"):
        ema({"a": jnp.arange(2)}, {"a": jnp.ones(2)}, 0.9)
    with pytest.raises(ValueError, match=r"dtype complex64; `average` is .* dtype float32"):
        ema(jnp.ones(2), jnp.ones(2, jnp.complex64), 0.9)


def test_infinities_and_large_numbers():
    masked = {"m": jnp.asarray([0.0, -jnp.inf])}
    assert tree_equal(ema(masked, masked, 0.9, step=2), masked)
    assert ema(jnp.asarray(3e38), jnp.asarray(-3e38), 0.5) == 0


def test_with_a_decay_of_one_it_is_the_mean_of_all():
    np.testing.assert_allclose(ema(jnp.ones(2), 2 * jnp.ones(2), 1.0, step=1), 1.5)
    assert tree_equal(ema(jnp.ones(2), 2 * jnp.ones(2), 1.0), jnp.ones(2))


def test_eight_bits():
    ones = jnp.ones(2, jnp.float8_e4m3fn)
    assert ema(ones, ones * 2, 0.5).dtype == jnp.float8_e4m3fn


@pytest.mark.parametrize(
    ("decay", "step", "told"),
    [
        (2.0, None, "decay"),
        (-0.1, None, "decay"),
        (0.5, -1, "step"),
        ("0.9", None, "decay"),
    ],
)
def test_numbers_out_of_range(decay, step, told):
    with pytest.raises(ValueError, match=f"`{told}` of `ema` must be a number from 0"):
        ema(jnp.ones(2), jnp.ones(2), decay, step=step)
    with pytest.raises(ValueError, match="`decay` of `ema` must be a number from 0 to 1"):
        ema(jnp.ones(()), jnp.ones(()), jnp.asarray([0.0, 1.0]))
