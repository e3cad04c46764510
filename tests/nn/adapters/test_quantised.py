"""`quantise` and `dequantise`: how far values are off, and that layers compute with integers."""

import functools
import pickle

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis.extra import numpy as nps

import eqx_nn as nn
from eqx_filter import (
    Precision,
    by,
    combine,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    load,
    partition_by,
    save,
    summary,
    trainable,
    tree_at,
    tree_deserialise_leaves,
    tree_equal,
    tree_paths,
    tree_serialise_leaves,
)

KEY = jax.random.key(0)
MODEL = nn.MLP(6, 5, 8, 2, key=KEY)
MOST = {8: 127, 4: 7}


def x(*shape):
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))


def linear(weight):
    """A layer of that weight."""
    layer = nn.Linear(1, 1, use_bias=False, key=KEY)
    return tree_at(lambda it: it.weight, layer, jnp.asarray(weight))


@functools.partial(jax.jit, static_argnums=1)
def twice(weight, bits):
    """The weight rounded, and what comes of that rounded again."""
    once = nn.quantise(linear(weight), "weight", bits)
    return once.weight, nn.quantise(nn.dequantise(once), "weight", bits).weight


magnitudes = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)
matrices = nps.arrays(np.float32, (3, 4), elements=st.just(0.0) | magnitudes)


@hypothesis.settings(max_examples=50)
@hypothesis.given(matrices, st.sampled_from([8, 4]))
def test_no_entry_is_off_by_more_than_half_a_scale(weight, bits):
    once, again = twice(weight, bits)
    scale = np.asarray(once.scale, np.float64)[:, None]
    values = np.asarray(once.values.astype(jnp.float32), np.float64)
    assert np.max(np.abs(values)) <= MOST[bits]
    off = np.abs(values * scale - np.asarray(weight, np.float64))
    few = 1 + 2 * MOST[bits] * np.finfo(np.float32).eps
    assert np.all(off <= scale / 2 * few)
    assert np.all(values[np.asarray(weight) == 0] == 0)
    exact = np.asarray(weight, np.float64)
    expected = np.linalg.norm(values * scale - exact) / max(np.linalg.norm(exact), 1e-300)
    np.testing.assert_allclose(once.error, expected, rtol=0.02, atol=1e-5)
    np.testing.assert_array_equal(again.values, once.values)
    np.testing.assert_allclose(again.scale, once.scale, rtol=1e-6)


def test_halves_and_zeros():
    weight = jnp.array([[127.0, -63.5, 0.4], [0.0, 0.0, 0.0], [-2.54, 0.01, 0.02]])
    found = nn.quantise(linear(weight), "weight").weight
    np.testing.assert_array_equal(found.values, [[127, -64, 0], [0, 0, 0], [-127, 0, 1]])
    assert found.scale[0] == 1
    assert found.values.dtype == jnp.int8
    np.testing.assert_array_equal(found.dense()[1], [0, 0, 0])
    zeros = nn.quantise(linear(jnp.zeros((2, 3))), "weight").weight
    assert (zeros.error, jnp.max(jnp.abs(zeros.dense()))) == (0, 0)


last = functools.partial(nn.Conv, data_format="channels_last", key=KEY)
turned = functools.partial(nn.ConvTranspose, key=KEY)
LAYERS = {
    "Linear": lambda: (nn.Linear(3, 4, key=KEY), x(3)),
    "Linear of columns": lambda: (nn.Linear(3, 4, use_bias=False, key=KEY), x(3, 2)),
    "batched": lambda: (nn.batched(nn.Linear(3, 4, key=KEY)), x(5, 3)),
    "Conv1d": lambda: (nn.Conv1d(2, 4, 3, stride=2, padding=1, key=KEY), x(2, 7)),
    "Conv of channels last": lambda: (last(2, 4, 6, 2, groups=2), x(3, 5, 4)),
    "ConvTranspose": lambda: (turned(2, 4, 6, 3, stride=2, groups=2), x(4, 3, 3)),
    "ConvTranspose in phases": lambda: (turned(3, 2, 3, 3, stride=2, padding=1), x(2, 3, 2, 2)),
    "DepthwiseConv": lambda: (nn.DepthwiseConv(1, 3, 4, 2, key=KEY), x(3, 6)),
    "Embedding": lambda: (nn.Embedding(5, 3, key=KEY), jnp.array(-2)),
    "attention": lambda: (nn.MultiheadAttention(2, 4, key=KEY), x(3, 4)),
    "MLP in a scan": lambda: (nn.MLP(3, 2, 4, 3, scan=True, key=KEY), x(3)),
    "Stacked": lambda: (nn.Stacked(lambda key: nn.MLP(4, 4, 5, 1, key=key), 3, key=KEY), x(4)),
}


def called(layer, x):
    return layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)


BITS = {"Conv1d": 4, "Embedding": 4, "MLP in a scan": 4}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_as_with_the_rounded_weights(name):
    layer, inputs = LAYERS[name]()
    model = nn.quantise(layer, "**", BITS.get(name, 8))
    assert not any(path.endswith("weight") for path in tree_paths(model))
    plain = nn.dequantise(model)
    assert jax.tree.structure(plain) == jax.tree.structure(layer)
    found = filter_jit(called)(model, inputs)
    np.testing.assert_allclose(found, called(plain, inputs), rtol=1e-4, atol=1e-5)
    for path, weight in tree_paths(layer).items():
        if path.endswith("weight"):
            scale = tree_paths(model)[f"{path}.scale"]
            scale = np.reshape(scale, scale.shape + (1,) * (weight.ndim - scale.ndim))
            off = np.abs(tree_paths(plain)[path] - weight)
            assert np.all(off <= 0.5001 * scale)
            assert np.max(off) > 0


def equations(jaxpr):
    for equation in jaxpr.eqns:
        inner = jax.tree.leaves(equation.params, is_leaf=lambda it: hasattr(it, "jaxpr"))
        inner = [it.jaxpr for it in inner if hasattr(it, "jaxpr")]
        yield from [it for one in inner for it in equations(one)] or [equation]


@pytest.mark.parametrize("name", ["Linear", "Conv1d", "batched", "Embedding"])
def test_integers_are_multiplied_and_then_scaled(name):
    layer, inputs = LAYERS[name]()
    shape = next(it.shape for path, it in tree_paths(layer).items() if path.endswith("weight"))
    arrays, rest = partition_by(nn.quantise(layer, "**"), jax.Array)
    jaxpr = jax.make_jaxpr(lambda arrays, x: combine(arrays, rest)(x))(arrays, inputs).jaxpr
    of_weights = {
        equation.primitive.name
        for equation in equations(jaxpr)
        for var in equation.outvars
        if var.aval.shape == shape
    }
    assert of_weights <= {"convert_element_type"}
    assert bool(of_weights) == (name != "Embedding")


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("make", [nn.Linear, functools.partial(nn.Conv1d, kernel_size=1)])
def test_short_dtypes_stay_and_do_not_overflow(make, dtype):
    layer = make(1024, 2, use_bias=False, dtype=dtype, key=KEY)
    layer = tree_at(lambda it: it.weight, layer, jnp.full_like(layer.weight, 0.5))
    model = nn.quantise(layer, "weight")
    assert (model.weight.dtype, model.weight.scale.dtype) == (dtype, dtype)
    inputs = jnp.ones(1024 if make is nn.Linear else (1024, 1), dtype)
    y = model(inputs)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(jnp.float32), 512, rtol=0.02)
    assert filter_grad(lambda x: jnp.sum(model(x)))(inputs).dtype == dtype


def test_dtypes_promote_as_those_of_the_weight():
    model = nn.quantise(MODEL, "**.weight")
    assert model(jnp.ones(6, int)).dtype == jnp.float32
    assert model(x(6).astype(jnp.bfloat16)).dtype == jnp.float32
    assert Precision(compute=jnp.bfloat16)(model)(x(6)).dtype == jnp.bfloat16
    half = nn.quantise(linear(jnp.ones((2, 3), jnp.float16)), "weight")
    assert half(x(3)).dtype == jnp.float32
    with pytest.raises(TypeError, match=r"`Conv1d` expects `x` of the dtype .* float32, got int32"):
        nn.quantise(nn.Conv1d(2, 3, 1, key=KEY), "weight")(jnp.ones((2, 4), int))


def test_each_block_of_several_has_scales_of_its_own():
    blocks = nn.Stacked(lambda key: nn.Conv1d(2, 2, 3, padding=1, key=key), 3, key=KEY)
    stacked, apart = (nn.quantise(it, "**") for it in (blocks, tuple(blocks)))
    assert stacked.block.weight.error.shape == (3,)
    assert tree_equal(nn.Stacked.of(apart), stacked, rtol=1e-6, atol=1e-9)


def test_there_is_nothing_to_train_but_what_lora_adds():
    model = nn.quantise(MODEL, "**.weight")
    grads = filter_grad(lambda model: jnp.sum(model(x(6))))(model)
    assert grads.layers[0].weight.values is None
    trained = {path for path, it in tree_paths(trainable(model)).items() if it}
    assert trained == {f"layers.{i}.bias" for i in range(3)}

    added = nn.lora(model, "**", 2, key=KEY)
    assert added.layers[0].weight.base.values is model.layers[0].weight.values
    grads = filter_grad(lambda model: jnp.sum(model(x(6))), wrt=nn.LoRA)(added)
    given = {path for path, it in tree_paths(grads).items() if it is not None}
    assert given == {f"layers.{i}.weight.lora.{name}" for i in range(3) for name in "ab"}

    drawn = nn.reinit(added, {"**.lora.b": jax.nn.initializers.normal(0.5)}, KEY)
    merged = nn.merge_lora(drawn)
    assert jax.tree.structure(merged) == jax.tree.structure(MODEL)
    for other in (merged, nn.dequantise(drawn), nn.merge_lora(nn.dequantise(drawn))):
        np.testing.assert_allclose(drawn(x(6)), other(x(6)), rtol=1e-4, atol=1e-5)
    assert isinstance(nn.dequantise(drawn).layers[0].weight, nn.Adapted)
    assert tree_equal(nn.merge_lora(added), nn.dequantise(model))


def test_what_an_update_is_added_to_is_rounded():
    added = nn.lora(MODEL, "layers.1", 2, key=KEY)
    model = nn.quantise(added, "**.weight")
    other = nn.lora(nn.quantise(MODEL, "**.weight"), "layers.1", 2, key=KEY)
    assert tree_equal(model, other)


def test_tied_weights_are_rounded_once():
    pair = nn.Embedding(7, 4, key=KEY), nn.Linear(4, 7, key=KEY)
    shared = nn.Shared(pair, lambda pair: pair[1].weight, lambda pair: pair[0].weight)
    embedding, linear = nn.quantise(shared, nn.Embedding)()
    token = embedding(jnp.array(2))
    expected = np.asarray(embedding.weight.dense()) @ np.asarray(token) + linear.bias
    np.testing.assert_allclose(linear(token), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
def test_saved_by_name_and_pickled(bits, tmp_path):
    model = nn.lora(nn.quantise(MODEL, "**.weight", bits), "layers.1", 2, key=KEY)

    def make(key):
        made = nn.MLP(6, 5, 8, 2, key=key)
        return nn.lora(nn.quantise(made, "**.weight", bits), "layers.1", 2, key=key)

    like = filter_eval_shape(make, KEY)
    assert "layers.1.weight.base.values" in tree_paths(like)
    save(tmp_path / "model.safetensors", model)
    assert tree_equal(load(tmp_path / "model.safetensors", like), model)
    tree_serialise_leaves(tmp_path / "model.eqx", model)
    assert tree_equal(tree_deserialise_leaves(tmp_path / "model.eqx", like), model)
    assert tree_equal(pickle.loads(pickle.dumps(model)), model)


def test_a_summary_tells_bytes_and_the_error():
    model = nn.quantise(MODEL, "layers.0")
    rows = {row.path: row for row in summary(model).rows}
    error = float(model.layers[0].weight.error)
    assert 0.001 < error < 0.01
    assert rows["layers.0.weight"].type == f"Quantised, int8, error {error:.2%}"
    assert rows["layers.0.weight"].bytes == 8 * 6 + 8 * 4 + 4
    assert rows["layers.0.weight"].trainable == 0
    outline = filter_eval_shape(nn.quantise, MODEL, "layers.0", 4)
    assert {row.path: row.type for row in summary(outline).rows}["layers.0.weight"] == (
        "Quantised, int4"
    )
    several = nn.quantise(nn.Stacked.of([linear(jnp.ones((2, 2))), linear(x(2, 2))]), "**", 4)
    told = f"Quantised, int4, error {float(several.block.weight.error[1]):.2%}"
    assert summary(several).rows[1 + 1].type == told


REFUSED = [
    (MODEL, 3, ValueError, "`quantise` rounds to `bits` of 8 or 4, as `int8` or `int4`; got 3"),
    (MODEL, True, ValueError, "`bits` of 8 or 4"),
    (linear(jnp.array([[1.0, jnp.nan]])), 8, ValueError, "`model.weight`, which has NaNs or inf"),
    (linear(jnp.array([[1.0, -jnp.inf]])), 8, ValueError, "`model.weight`, which has NaNs or inf"),
    (linear(jnp.array([[1j]])), 8, TypeError, "`model.weight`, of dtype `complex64`: only real"),
    (nn.quantise(MODEL, "layers.2"), 8, TypeError, r"`model.layers\[2\].weight`, which is `Quant"),
]


@pytest.mark.parametrize(("model", "bits", "kind", "match"), REFUSED)
def test_what_is_refused(model, bits, kind, match):
    with pytest.raises(kind, match=match):
        nn.quantise(model, "**", bits)


def test_what_is_not_quantised_is_returned():
    assert tree_equal(nn.dequantise(MODEL), MODEL)
    some = nn.quantise(nn.quantise(MODEL, "layers.0"), ~by("layers.0"))
    assert tree_equal(some, nn.quantise(MODEL, "**"))
    match = r"`model.layers\[0\].weight` is `Quantised`. Call it before"
    with pytest.raises(TypeError, match=match):
        nn.to_torch(some)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_ends_of_the_range(dtype):
    most, small = float(jnp.finfo(dtype).max), 2e-5
    weight = jnp.array([[most] * 4, [small] * 4, [0.0] * 4], dtype)
    layer = tree_at(lambda it: it.weight, nn.Linear(4, 3, dtype=dtype, key=KEY), weight)
    found = np.asarray(nn.quantise(layer, "weight").weight.dense(), np.float64)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, np.asarray(weight, np.float64), rtol=0.02)
