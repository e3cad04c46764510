"""`lora` and `merge_lora`: layers compute as with the sum, and begin and end as what they were."""

import functools
import operator
import pickle

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import (
    Optimizer,
    Precision,
    by,
    combine,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    filter_value_and_grad,
    filter_vmap,
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
from eqx_pytree import Module

KEY = jax.random.key(0)
NORMAL = jax.nn.initializers.normal(0.5)
MODEL = nn.MLP(6, 5, 8, 2, key=KEY)


def x(*shape):
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))


def trained(model, where="**", rank=2, **options):
    """A model with updates that are not zero."""
    model = nn.lora(model, where, rank, **options, key=KEY)
    return nn.reinit(model, {"**.lora.b": NORMAL}, KEY)


last = functools.partial(nn.Conv, data_format="channels_last", key=KEY)
turned = functools.partial(nn.ConvTranspose, key=KEY)
LAYERS = {
    "Linear": lambda: (nn.Linear(3, 4, key=KEY), x(3)),
    "Linear of columns": lambda: (nn.Linear(3, 4, use_bias=False, key=KEY), x(3, 2)),
    "Linear of scalars": lambda: (nn.Linear("scalar", 2, key=KEY), x()),
    "batched": lambda: (nn.batched(nn.Linear(3, 4, key=KEY)), x(5, 3)),
    "Conv1d": lambda: (nn.Conv1d(2, 4, 3, stride=2, padding=1, key=KEY), x(2, 7)),
    "Conv2d of groups": lambda: (nn.Conv2d(4, 6, 2, groups=2, key=KEY), x(4, 3, 5)),
    "Conv of channels last": lambda: (last(2, 4, 6, 2, groups=2), x(3, 5, 4)),
    "Conv of three dimensions": lambda: (last(3, 4, 8, 2, groups=4), x(3, 4, 2, 4)),
    "ConvTranspose": lambda: (turned(2, 4, 6, 3, stride=2, groups=2), x(4, 3, 3)),
    "ConvTranspose in phases": lambda: (turned(3, 2, 3, 3, stride=2, padding=1), x(2, 3, 2, 2)),
    "DepthwiseConv": lambda: (nn.DepthwiseConv(1, 3, 4, 2, key=KEY), x(3, 6)),
    "Embedding": lambda: (nn.Embedding(5, 3, key=KEY), jnp.array(-2)),
    "attention": lambda: (nn.MultiheadAttention(2, 4, key=KEY), x(3, 4)),
    "MLP": lambda: (MODEL, x(6)),
    "MLP in a scan": lambda: (nn.MLP(3, 2, 4, 3, scan=True, key=KEY), x(3)),
    "Stacked": lambda: (nn.Stacked(lambda key: nn.MLP(4, 4, 5, 1, key=key), 3, key=KEY), x(4)),
}


def called(layer, x):
    return layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_as_with_the_sum_and_begin_as_they_were(name):
    layer, inputs = LAYERS[name]()
    rank = 1 if name in ("Linear of scalars", "DepthwiseConv") else 2
    before = called(layer, inputs)
    fresh = nn.lora(layer, "**", rank, key=KEY)
    np.testing.assert_allclose(called(fresh, inputs), before, rtol=1e-5, atol=1e-6)
    assert tree_equal(nn.merge_lora(fresh), layer)

    model = trained(layer, rank=rank, alpha=3.0)
    merged = nn.merge_lora(model)
    assert jax.tree.structure(merged) == jax.tree.structure(layer)
    found = filter_jit(called)(model, inputs)
    assert np.max(np.abs(np.asarray(found - before))) > 0.01
    np.testing.assert_allclose(found, called(merged, inputs), rtol=1e-4, atol=1e-5)


def test_the_sum_is_that_of_the_paper():
    model = trained(nn.Linear(3, 4, key=KEY), "weight", 2, alpha=6.0)
    weight = model.weight
    a, b = (np.asarray(it, np.float64) for it in (weight.lora.a, weight.lora.b))
    expected = np.asarray(weight.base, np.float64) + 6 / 2 * b @ a
    for found in (nn.merge_lora(model).weight, weight.dense(), jnp.asarray(weight), weight.T.T):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    shown = weight.shape, weight.ndim, weight.dtype, weight.lora.rank, weight.lora.scale
    assert shown == ((4, 3), 2, jnp.float32, 2, 3.0)
    np.testing.assert_allclose(x(2, 4) @ weight, x(2, 4) @ expected, rtol=1e-4, atol=1e-5)


def shapes(jaxpr):
    """The shapes of all that a program computes."""
    for equation in jaxpr.eqns:
        yield from (var.aval.shape for var in equation.outvars)
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda it: hasattr(it, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                yield from shapes(inner.jaxpr)


@pytest.mark.parametrize("name", ["Linear", "batched", "Conv1d", "Embedding", "MLP"])
def test_the_sum_is_not_formed(name):
    layer, inputs = LAYERS[name]()
    model = nn.lora(layer, "**", 2, key=KEY)
    weights = {it.shape for path, it in tree_paths(layer).items() if path.endswith("weight")}
    arrays, rest = partition_by(model, jax.Array)
    jaxpr = jax.make_jaxpr(lambda arrays, x: combine(arrays, rest)(x))(arrays, inputs).jaxpr
    assert not weights & set(shapes(jaxpr))


def test_first_values_are_those_of_the_place():
    model = nn.lora({"a": nn.Linear(100, 50, key=KEY)}, nn.Linear, 20, key=KEY)
    lora = model["a"].weight.lora
    init = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    key = nn.Keys(KEY)["a", "weight", "lora", "a"]()
    np.testing.assert_array_equal(lora.a, init(key, (100, 20), jnp.float32).T)
    assert 0.099 < np.max(np.abs(lora.a)) <= 0.1
    assert not np.any(lora.b)
    same = nn.lora({"a": nn.Linear(100, 50, key=KEY)}, "a", 20, key=nn.Keys(KEY))
    assert tree_equal(same, model)


def test_each_block_has_an_update_with_the_numbers_that_it_has_in_a_tuple():
    blocks = nn.Stacked(lambda key: nn.MultiheadAttention(2, 4, key=key), 3, key=KEY)
    stacked, apart = (trained(it, nn.Linear, alpha=4) for it in (blocks, tuple(blocks)))
    assert tree_equal(nn.Stacked.of(apart), stacked)
    assert tree_equal(tuple(nn.merge_lora(stacked)), nn.merge_lora(apart), rtol=1e-6, atol=1e-6)
    several = filter_vmap(lambda key: nn.Linear(3, 4, key=key))(jax.random.split(KEY, 2))
    several = trained(several)
    assert several.weight.lora.a.shape == (2, 2, 3)
    found = filter_vmap(lambda layer, x: layer(x), in_axes=(0, None))(several, x(3))
    merged = nn.merge_lora(several)
    expected = np.asarray(merged.weight) @ np.asarray(x(3)) + merged.bias
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class Tied(Module):
    shared: nn.Shared

    def __init__(self):
        pair = nn.Embedding(7, 4, key=KEY), nn.Linear(4, 7, use_bias=False, key=KEY)
        self.shared = nn.Shared(pair, lambda pair: pair[1].weight, lambda pair: pair[0].weight)

    def __call__(self, token):
        embedding, linear = self.shared()
        return linear(embedding(token))


@pytest.mark.parametrize("where", ["**", nn.Embedding | nn.Linear, "shared.pytree.0.weight"])
def test_tied_weights_stay_tied(where):
    model = trained(Tied(), where)
    embedding, linear = model.shared()
    assert linear.weight.lora.b is embedding.weight.lora.b
    token = jnp.array(3)
    np.testing.assert_allclose(model(token), nn.merge_lora(model)(token), rtol=1e-4, atol=1e-5)
    match = r"`model.shared.pytree\[1\].weight`, which is tied by a `Shared`"
    with pytest.raises(TypeError, match=match):
        nn.lora(Tied(), "shared.pytree.1.weight", 2, key=KEY)
    with pytest.raises(ValueError, match="selects no weight of a `Linear`"):
        nn.lora(Tied(), nn.Linear, 2, key=KEY)


def loss(model, x, y):
    return jnp.mean((jax.vmap(model)(x) - y) ** 2)


def test_gradients_are_of_the_updates_alone():
    model = nn.lora(MODEL, "layers.*.weight", 2, key=KEY)
    grads = filter_grad(loss, wrt=nn.LoRA)(model, x(4, 6), x(4, 5))
    given = {path for path, it in tree_paths(grads).items() if it is not None}
    assert given == {f"layers.{i}.weight.lora.{name}" for i in range(3) for name in "ab"}
    weight = grads.layers[0].weight
    assert weight.base is None
    assert not np.any(weight.lora.a)  # `b` is zero
    assert np.any(weight.lora.b)
    frozen = {path for path, it in tree_paths(trainable(model)).items() if not it}
    assert {it for it in frozen if "activation" not in it} == {
        f"layers.{i}.weight.base" for i in range(3)
    }


class Descent:
    """An optimiser with the face of Optax's."""

    def init(self, params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(self, grads, state, params):
        return jax.tree.map(lambda grad: -0.1 * grad, grads), state


def test_an_optimizer_trains_the_updates_alone():
    model = nn.lora(MODEL, nn.Linear, 2, key=KEY)
    opt = Optimizer(Descent(), model, wrt=nn.LoRA)
    assert len(jax.tree.leaves(opt.state)) == 6
    step = filter_jit(filter_value_and_grad(loss, wrt=nn.LoRA))
    first, grads = step(model, x(4, 6), x(4, 5))
    new = model
    for _ in range(5):
        new, opt = opt.update(grads, new)
        value, grads = step(new, x(4, 6), x(4, 5))
    assert value < first - 0.01
    assert new.layers[1].bias is MODEL.layers[1].bias
    assert new.layers[1].weight.base is MODEL.layers[1].weight
    assert not tree_equal(nn.merge_lora(new), MODEL)


def test_dtypes_are_those_of_the_weight():
    for dtype in (jnp.bfloat16, jnp.complex64):
        layer = nn.Linear(3, 4, dtype=dtype, key=KEY)
        model = trained(layer, "weight")
        assert {it.dtype for it in jax.tree.leaves(model)} == {jnp.dtype(dtype)}
        assert nn.merge_lora(model).weight.dtype == dtype
        assert model(x(3).astype(dtype)).dtype == dtype
        assert tree_equal(nn.merge_lora(nn.lora(layer, "weight", 2, key=KEY)), layer)
    half = Precision(compute=jnp.bfloat16)
    assert half(trained(MODEL))(x(6)).dtype == jnp.bfloat16


def test_programs_are_shared_and_drawn_in_them():
    make = lambda key: nn.lora(nn.Linear(3, 4, key=key), "weight", 2, key=key)  # noqa: E731
    outline = filter_eval_shape(make, KEY)
    assert outline.weight.lora.a.shape == (2, 3)
    made = make(KEY)
    assert tree_equal(filter_jit(make)(KEY), made, rtol=1e-6, atol=1e-6)
    assert jax.tree.structure(outline) == jax.tree.structure(made)


def test_saved_by_name_and_pickled(tmp_path):
    model = trained(nn.Stacked(lambda key: nn.Linear(3, 3, key=key), 2, key=KEY))
    outline = nn.lora(
        nn.Stacked(lambda key: nn.Linear(3, 3, key=key), 2, key=KEY), "**", 2, key=KEY
    )
    save(tmp_path / "model.safetensors", model)
    assert tree_equal(load(tmp_path / "model.safetensors", outline), model)
    tree_serialise_leaves(tmp_path / "model.eqx", model)
    assert tree_equal(tree_deserialise_leaves(tmp_path / "model.eqx", outline), model)
    assert tree_equal(pickle.loads(pickle.dumps(model)), model)

    updates, rest = partition_by(model, nn.LoRA)
    save(tmp_path / "updates.safetensors", updates)
    found = load(tmp_path / "updates.safetensors", partition_by(outline, nn.LoRA)[0])
    assert tree_equal(combine(found, rest), model)


def test_what_is_drawn_anew_has_the_layout_of_the_layer():
    model = nn.lora(nn.Conv1d(4, 6, 2, groups=2, key=KEY), "weight", 2, key=KEY)
    he = jax.nn.initializers.he_normal()
    calls = []

    def init(key, shape, dtype):
        calls.append(shape)
        return he(key, shape, dtype)

    nn.reinit(model, {"weight.base": init, "weight.lora.a": init}, KEY)
    assert calls == [(2, 2, 3), (2, 2, 2)]


def test_a_summary_tells_the_rank():
    rows = {row.path: row for row in summary(nn.lora(MODEL, "layers.0", 2, key=KEY)).rows}
    assert rows["layers.0.weight.lora"].type == "LoRA, rank 2"
    assert (rows["layers.0.weight"].parameters, rows["layers.0.weight"].trainable) == (48, 0)


@hypothesis.given(st.sets(st.integers(0, 2), min_size=1), st.integers(1, 5), st.floats(0.5, 64))
def test_what_is_not_trained_merges_into_what_was(chosen, rank, alpha):
    where = functools.reduce(operator.or_, (by(f"layers.{i}") for i in chosen))
    model = nn.lora(MODEL, where, rank, alpha=alpha, key=KEY)
    for i, (layer, before) in enumerate(zip(model.layers, MODEL.layers, strict=True)):
        assert (layer.weight is before.weight) == (i not in chosen)
        assert layer.bias is before.bias
    assert tree_equal(nn.merge_lora(model), MODEL)
    added = {path for path in tree_paths(model) if path not in tree_paths(MODEL)}
    parts = ("base", "lora.a", "lora.b")
    assert added == {f"layers.{i}.weight.{part}" for i in chosen for part in parts}


def test_what_has_no_updates_is_returned():
    assert tree_equal(nn.merge_lora(MODEL), MODEL)
    assert isinstance(trained(MODEL).layers[0], nn.Linear)


REFUSED = [
    ("layers.0", 9, ValueError, r"`rank=9` of `lora` is more than `model.layers\[0\].weight`.*6\."),
    ("layers.0", 0, ValueError, "`lora` adds updates of rank 1 or more; got `rank=0`"),
    ("layers.0", 1.5, TypeError, "`lora` .*`rank`.*1.5"),
]


@pytest.mark.parametrize(("where", "rank", "kind", "match"), REFUSED)
def test_ranks_that_are_none(where, rank, kind, match):
    with pytest.raises(kind, match=match):
        nn.lora(MODEL, where, rank, key=KEY)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"at most 2, in each of 2 groups\. Pass a lower one"):
        nn.lora(nn.Conv1d(4, 4, 3, groups=2, key=KEY), "weight", 3, key=KEY)
    with pytest.raises(TypeError, match=r"`lora` needs a PRNG key as `key`, .*got 3"):
        nn.lora(MODEL, "layers.0", 2, key=3)
    model = nn.lora(MODEL, "layers.0", 2, key=KEY)
    match = r"`model.layers\[0\].weight` has an update already, of rank 2\. Call `merge_lora` first"
    for where in ("layers.*", "layers.0.weight.base"):
        with pytest.raises(TypeError, match=match):
            nn.lora(model, where, 2, key=KEY)
    more = nn.lora(model, by("layers.*") & ~by("layers.0"), 2, key=KEY)
    assert tree_equal(tree_at(lambda it: it.layers[1:], more, MODEL.layers[1:]), model)
    for function in (nn.to_torch, lambda model: nn.from_torch(model, {})):
        match = r"`model.layers\[0\].weight` is `Adapted`. Call it before `lora` and `quantise`"
        with pytest.raises(TypeError, match=match):
            function(model)


@pytest.mark.parametrize("alpha", [8, np.float64(8), jnp.float32(8)])
def test_alpha_leaves_dtypes_as_they_are(alpha):
    layer = nn.Linear(4, 4, dtype=jnp.bfloat16, key=KEY)
    adapted = nn.lora(layer, "weight", 2, alpha=alpha, key=KEY)
    assert adapted(jnp.ones(4, jnp.bfloat16)).dtype == jnp.bfloat16
    assert adapted.weight.lora.scale == 4.0


@pytest.mark.parametrize(
    ("alpha", "error", "told"),
    [
        ("3", TypeError, "is a number, or None for `rank`; got '3'"),
        (1j, TypeError, "got 1j"),
        (float("nan"), ValueError, "is a finite number; got nan"),
    ],
)
def test_what_is_no_alpha(alpha, error, told):
    with pytest.raises(error, match=f"`alpha` of `lora` .*{told}"):
        nn.lora(nn.Linear(4, 4, key=KEY), "weight", 2, alpha=alpha, key=KEY)
