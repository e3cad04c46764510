"""`BatchNorm` against its equations, in both modes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, tree_at
from eqx_nn import BatchNorm, inference_mode, make_with_state

X = (np.cos(np.arange(48.0)) * np.arange(48) + 3).reshape(4, 3, 2, 2).astype(np.float32)
MODES = ["ema", "batch"]
AXES = (0, 2, 3)
VMAP = "jax.vmap(layer, axis_name='batch', in_axes=(0, None), out_axes=(0, None))"


def make(mode, **kwargs):
    return make_with_state(BatchNorm)(3, "batch", mode=mode, **kwargs)


def batched(layer, x, state, **kwargs):
    call = functools.partial(layer, **kwargs)
    return jax.vmap(call, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)


def normalised(x, mean, var, eps=1e-5):
    shape = (-1, *[1] * (x.ndim - 2))
    return (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)


def statistics(x):
    axes = (0, *range(2, x.ndim))
    return x.mean(axes), x.var(axes)


def test_batch_mode_follows_its_equations():
    layer, state = make("batch", momentum=0.9)
    running = np.zeros(3), np.ones(3)
    for factor in (1, 2, -3):
        x = factor * X
        y, state = batched(layer, x, state)
        np.testing.assert_allclose(y, normalised(x, *statistics(x)), rtol=2e-4, atol=2e-5)
        running = [0.9 * old + 0.1 * new for old, new in zip(running, statistics(x), strict=True)]
    assert state.get(layer.batch_counter) == 3
    for ours, expected in zip(state.get(layer.batch_state_index), running, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
    corrected = [statistic / (1 - 0.9**3) for statistic in running]
    y, after = batched(inference_mode(layer), X, state)
    np.testing.assert_allclose(y, normalised(X, *corrected), rtol=2e-4, atol=2e-5)
    assert after.get(layer.batch_counter) == 3


def test_ema_mode_follows_its_equations():
    layer, state = make("ema", momentum=0.9)
    running = statistics(X)
    y, state = batched(layer, X, state)
    np.testing.assert_allclose(y, normalised(X, *running), rtol=2e-4, atol=2e-5)
    x = 2 * X + 1
    running = [0.9 * old + 0.1 * new for old, new in zip(running, statistics(x), strict=True)]
    y, state = batched(layer, x, state)
    np.testing.assert_allclose(y, normalised(x, *running), rtol=2e-4, atol=2e-5)
    y, _ = batched(layer, X, state, inference=True)
    np.testing.assert_allclose(y, normalised(X, *running), rtol=2e-4, atol=2e-5)


def test_inference_before_any_batch_uses_the_first_statistics():
    layer, state = make("batch")
    y, _ = layer(X[0], state, inference=True)
    np.testing.assert_allclose(y, X[0] / np.sqrt(1 + 1e-5), rtol=1e-6)


def test_weight_and_bias_are_per_channel():
    layer, state = make("batch")
    weight, bias = jnp.array([1.0, 2.0, 3.0]), jnp.array([-1.0, 0.0, 1.0])
    plain, _ = batched(layer, X, jax.tree.map(lambda x: x, state))
    layer = tree_at(lambda it: (it.weight, it.bias), layer, (weight, bias))
    y, _ = batched(layer, X, state)
    expected = plain * weight[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    layer, state = make("batch", channelwise_affine=False)
    assert (layer.weight, layer.bias) == (None, None)
    np.testing.assert_allclose(batched(layer, X, state)[0], plain, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_on_two_axes_is_one_batch(mode):
    layer, state = make_with_state(BatchNorm)(3, ("a", "b"), mode=mode)
    inner = jax.vmap(layer, axis_name="a", in_axes=(0, None), out_axes=(0, None))
    outer = jax.vmap(inner, axis_name="b", in_axes=(0, None), out_axes=(0, None))
    y, state = outer(X.reshape(2, 2, 3, 2, 2), state)
    expected, _ = batched(make(mode)[0], X, make(mode)[1])
    np.testing.assert_allclose(y.reshape(X.shape), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_the_equations(mode):
    layer, state = make(mode, momentum=0.5)
    state = batched(layer, X, state)[1]
    old = state.get(layer.ema_state_index if mode == "ema" else layer.batch_state_index)

    def plain(x):
        axes = AXES
        mean = x.mean(axes, keepdims=True)
        var = ((x - mean) ** 2).mean(axes, keepdims=True)
        if mode == "ema":
            mean, var = (
                0.5 * (o[:, None, None] + n) for o, n in zip(old, (mean, var), strict=True)
            )
        return jnp.sin((x - mean) / jnp.sqrt(var + 1e-5)).sum()

    def ours(x):
        return jnp.sin(batched(layer, x, jax.tree.map(lambda x: x, state))[0]).sum()

    x = jnp.asarray(X) / 10
    for transform in (lambda f: f, jax.jit):
        np.testing.assert_allclose(
            transform(jax.grad(ours))(x), jax.grad(plain)(x), rtol=2e-3, atol=2e-4
        )
    grads = filter_grad(lambda layer: batched(layer, x, jax.tree.map(lambda x: x, state))[0].sum())(
        layer
    )
    np.testing.assert_allclose(grads.bias, [16, 16, 16], rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_dtypes_are_kept(mode, dtype):
    layer, state = make(mode, dtype=dtype)
    y, state = batched(layer, X.astype(dtype) * 4, state)
    assert y.dtype == dtype
    running = jax.tree.leaves(state.get(layer._indices()[1]))
    assert {it.dtype for it in running} == {jnp.dtype(dtype)}
    assert np.isfinite(y.astype(np.float32)).all()
    wide, _ = batched(make(mode)[0], X, make(mode)[1])
    np.testing.assert_allclose(y.astype(np.float32), wide, atol=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_inputs_of_other_dtypes_are_promoted(mode):
    layer, state = make(mode)
    y, _ = batched(layer, X.astype(jnp.float16), jax.tree.map(lambda x: x, state))
    assert y.dtype == jnp.float32
    with pytest.raises(ValueError, match=r"in the dtype of \[0\]"):
        batched(layer, X * 1j, state)


@pytest.mark.parametrize("mode", MODES)
def test_strict_promotion(mode, x64):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        layer, state = make(mode)
        for _ in range(2):
            _, state = batched(layer, jnp.asarray(X, float), state)
        assert batched(layer, jnp.asarray(X, float), state, inference=True)[0].dtype == float


def test_a_call_without_the_axis_is_refused_by_name():
    layer, state = make("batch")
    with pytest.raises(NameError, match=r"`BatchNorm`.* axis named 'batch'") as caught:
        layer(X[0], state)
    assert "axis_name='batch', in_axes=(0, None), out_axes=(0, None)" in str(caught.value)
    assert "unbound axis name: batch. Call it as" in str(caught.value)  # nothing of `shard_map`


def test_without_a_mode_it_warns_at_the_line_that_makes_it():
    with pytest.warns(UserWarning, match=r"`BatchNorm` without a `mode` is") as caught:
        make_with_state(BatchNorm)(3, "batch")
    assert [it.filename for it in caught] == [__file__]


def test_other_shapes_are_refused():
    layer, state = make("batch")
    with pytest.raises(TypeError, match=r"`x` of shape \(3, 2\), got shape \(4, 2\)"):
        layer(jnp.ones((4, 2)), state, inference=True)
    with pytest.raises(TypeError, match=r"got shape \(\)"):
        layer(jnp.ones(()), state, inference=True)
    with pytest.raises(TypeError, match=r"`list`, which is no array"):
        layer([1.0, 2.0, 3.0], state, inference=True)
    with pytest.raises(TypeError) as caught:
        layer(jnp.ones((5, 3)), state)
    assert f"for a batch use `{VMAP}(x, state)`" in str(caught.value)
    with pytest.raises(TypeError, match=r"`jax.numpy.moveaxis\(x, -1, 0\)`"):
        layer(jnp.ones((4, 4, 3)), state, inference=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("inference", [False, True])
def test_a_state_that_gained_an_axis_is_refused(mode, inference):
    layer, state = make(mode)
    _, state = jax.vmap(layer, axis_name="batch", in_axes=(0, None))(X, state)
    with pytest.raises(
        ValueError, match=r"shapes \(4,\) at `BatchNorm.\w+` of its `State`, and wrote"
    ) as it:
        batched(layer, X, state, inference=inference)
    assert "gained an axis" in str(it.value)
    assert VMAP in str(it.value)


def test_a_state_of_other_statistics_is_refused():
    layer, state = make("batch")
    other = jax.tree.map(lambda x: x[:2] if x.ndim else x, state)
    told = r"shapes \(2,\), \(2,\) at `BatchNorm.batch_state_index`.* wrote shapes \(3,\), \(3,\)"
    with pytest.raises(ValueError, match=told):
        batched(layer, X, other)


def test_a_stale_state_names_the_layer():
    layer, state = make("batch")

    def twice(x, state):
        y, _ = layer(x, state)
        return layer(y, state)

    call = jax.vmap(twice, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    with pytest.raises(ValueError, match=r"Attempted to use old state.*`BatchNorm.batch_counter`"):
        call(X, state)
    with pytest.raises(KeyError, match=r"lacks `BatchNorm.batch_counter`"):
        batched(layer, X, make("ema")[1])


def test_the_mode_must_be_known_and_should_be_given():
    with pytest.raises(ValueError, match=r"`mode` to be 'ema' or 'batch'; got 'EMA'"):
        BatchNorm(3, "batch", mode="EMA")
    with pytest.warns(UserWarning, match=r"Give `mode='ema'` to keep that, or `mode='batch'`"):
        assert BatchNorm(3, "batch").mode == "ema"


def test_sizes_are_checked():
    with pytest.raises(ValueError, match=r"non-negative integer as `input_size`, got -4"):
        BatchNorm(-4, "batch", mode="ema")


def test_names_stand_in_the_program(program_text):
    layer, state = make("batch")
    assert "eqx.nn.BatchNorm" in program_text(functools.partial(batched, layer), X, state)
