"""`from_torch` and `to_torch`: names, reports, refusals, and that they undo each other.

That the values mean the same to PyTorch is what tests/parity asks.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eqx_nn as nn
from eqx_filter import (
    filter_eval_shape,
    filter_jit,
    filter_vmap,
    is_inexact_array,
    tree_at,
    tree_equal,
)
from eqx_filter.migrations import copy, default, drop, rename, transpose
from eqx_nn import from_torch, to_torch
from eqx_pytree import Module

KEY, OTHER = jax.random.PRNGKey(0), jax.random.PRNGKey(1)


class Net(Module):
    body: nn.Sequential
    heads: dict
    scale: jax.Array
    table: np.ndarray
    key: jax.Array
    rate: float

    def __init__(self, key):
        layers = [nn.Conv2d(1, 2, 3, key=key), nn.Dropout(), nn.ConvTranspose1d(2, 4, 3, key=key)]
        self.body = nn.Sequential(layers)
        self.heads = {"a": [nn.Linear(2, 3, key=key)], "b": None}
        self.scale = jax.random.normal(key, (2,))
        self.table = np.array([1, 2])
        self.key = jax.random.key(0)
        self.rate = 0.5


def test_names_are_paths_with_dots():
    assert list(to_torch(Net(KEY))) == [
        "body.0.weight",
        "body.0.bias",
        "body.2.weight",
        "body.2.bias",
        "heads.a.0.weight",
        "heads.a.0.bias",
        "scale",
        "table",
    ]


def test_values_are_numpy_copies_in_their_dtypes():
    linear = nn.Linear(2, 3, dtype=jnp.bfloat16, key=KEY)
    entries = to_torch(linear)
    assert {type(x) for x in entries.values()} == {np.ndarray}
    assert entries["weight"].dtype == jnp.bfloat16
    entries["weight"][:] = 0
    assert np.asarray(linear.weight).any()


def pair(make):
    return lambda key: nn.make_with_state(lambda: make(key))()


MODELS = {
    "a net": Net,
    "an array": lambda key: jax.random.normal(key, (2,)),
    "nothing": lambda key: [None, 3, jnp.sin],
    "MLP": lambda key: nn.MLP(2, 3, 4, 3, key=key),
    "scanned MLP": lambda key: nn.MLP(2, 3, 4, 3, scan=True, key=key),
    "scanned MLP of depth 1": lambda key: nn.MLP(2, 3, 4, 1, scan=True, key=key),
    "scanned MLP of depth 0": lambda key: nn.MLP(2, 3, 4, 0, scan=True, key=key),
    "MLP of slopes": lambda key: nn.MLP(2, 3, 4, 2, nn.PReLU(), key=key),
    "GRUCell": lambda key: nn.GRUCell(2, 3, key=key),
    "LSTMCell": lambda key: nn.LSTMCell(2, 3, dtype=jnp.float16, key=key),
    "cell without bias": lambda key: nn.GRUCell(2, 3, False, key=key),
    "grouped": lambda key: nn.ConvTranspose2d(4, 6, (3, 2), groups=2, key=key),
    "attention": lambda key: nn.MultiheadAttention(2, 4, use_query_bias=True, key=key),
    "attention of sizes": lambda key: nn.MultiheadAttention(
        2, 4, key_size=3, value_size=5, use_output_bias=True, key=key
    ),
    "BatchNorm": pair(lambda key: nn.BatchNorm(3, "b", mode="batch")),
    "BatchNorm, ema": pair(lambda key: nn.Sequential([nn.BatchNorm(3, "b", mode="ema")])),
    "SpectralNorm": pair(lambda key: nn.SpectralNorm(nn.Linear(2, 3, key=key), "weight", key=key)),
    "WeightNorm": lambda key: nn.WeightNorm(nn.Conv1d(2, 3, 3, key=key)),
    "Shared": lambda key: nn.Shared(
        (nn.Embedding(3, 4, key=key), nn.Linear(4, 3, key=key)),
        lambda it: it[1].weight,
        lambda it: it[0].weight,
    ),
    "complex": lambda key: nn.Linear(2, 3, dtype=jnp.complex64, key=key),
    "an ensemble": lambda key: filter_vmap(lambda k: nn.Linear(2, 3, key=k))(
        jax.random.split(key, 4)
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_one_model_takes_the_values_of_another(name):
    source, target = MODELS[name](KEY), MODELS[name](OTHER)
    loaded, report = from_torch(target, to_torch(source))
    assert report == ((), (), ())
    arrays = [jax.tree.leaves(it, is_leaf=is_inexact_array) for it in (loaded, source)]
    for mine, theirs in zip(*arrays, strict=True):
        if is_inexact_array(mine):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs)
    assert jax.tree.structure(loaded) == jax.tree.structure(target)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_nested_models_survive(data):
    """Whatever layers are nested in whatever containers."""
    layers = st.sampled_from(sorted(set(MODELS) - {"BatchNorm", "BatchNorm, ema", "SpectralNorm"}))
    trees = st.recursive(
        layers.map(MODELS.__getitem__),
        lambda inner: st.lists(inner, max_size=3).map(
            lambda makes: lambda key: {"x": [make(key) for make in makes]}
        ),
        max_leaves=4,
    )
    make = data.draw(trees)
    loaded, _ = from_torch(make(OTHER), to_torch(make(KEY)))
    mine, theirs = to_torch(loaded), to_torch(make(KEY))
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_missing_and_unexpected_names_are_reported_or_refused():
    linear = nn.Linear(2, 3, key=KEY)
    state_dict = {"weight": np.ones((3, 2)), "other": np.ones(1)}
    with pytest.raises(ValueError, match=r"`bias` is missing; `other` is unexpected"):
        from_torch(linear, state_dict)
    loaded, report = from_torch(linear, state_dict, strict=False)
    assert report == (("bias",), ("other",), ())
    assert np.array_equal(loaded.weight, np.ones((3, 2)))
    assert np.array_equal(loaded.bias, linear.bias)


def test_axes_of_size_one_are_reshaped_and_told():
    linear = nn.Linear(2, "scalar", key=KEY)
    loaded, report = from_torch(linear, {"weight": [1.0, 2.0], "bias": np.array(3.0)})
    assert report.reshaped == ("weight", "bias")
    assert loaded(jnp.ones(2)) == 6


def test_other_shapes_are_refused_also_if_not_strict():
    linear = nn.Linear(2, 3, key=KEY)
    state_dict = {"weight": np.ones((2, 3)), "bias": np.ones(3)}
    for strict in (True, False):
        match = r"`weight` has shape \(2, 3\) where PyTorch has \(3, 2\)"
        with pytest.raises(ValueError, match=match):
            from_torch(linear, state_dict, strict=strict)


def test_dtypes_are_those_of_the_model():
    linear = nn.Linear(2, 3, dtype=jnp.float16, key=KEY)
    loaded, _ = from_torch(linear, {"weight": np.ones((3, 2)), "bias": np.ones(3, int)})
    assert (loaded.weight.dtype, loaded.bias.dtype) == (jnp.float16, jnp.float16)
    with pytest.raises(ValueError, match=r"`bias` is complex where the model is real"):
        from_torch(linear, {"weight": np.ones((3, 2)), "bias": np.ones(3) * 1j})


def test_what_is_no_array_is_refused_by_name():
    with pytest.raises(ValueError, match=r"needs arrays; `bias` is a `function`"):
        from_torch(nn.Linear(2, 3, key=KEY), {"bias": lambda: 1})


def test_running_statistics_need_the_state():
    layer, state = MODELS["BatchNorm"](KEY)
    entries = to_torch((layer, state))
    assert list(entries) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    with pytest.raises(ValueError, match=r"are in the state: give the pair `\(model, state\)`"):
        from_torch(layer, entries)
    entries |= {"running_mean": np.array([1.0, 2.0, 3.0]), "num_batches_tracked": np.array(7)}
    (_, loaded), _ = from_torch((layer, state), entries)
    y, _ = layer(jnp.array([1.0, 2.0, 5.0]), loaded, inference=True)
    np.testing.assert_allclose(y, np.array([0, 0, 2]) / np.sqrt(1 + 1e-5), atol=1e-5)
    assert state.get(layer.batch_counter) == 0, "the state that was given is as it was"


def test_a_cell_takes_the_names_of_a_recurrent_layer():
    cell = nn.LSTMCell(2, 3, key=KEY)
    numbered = {f"{name}_l0": value for name, value in to_torch(cell).items()}
    loaded, report = from_torch(nn.LSTMCell(2, 3, key=OTHER), numbered)
    assert report == ((), (), ())
    assert tree_equal(loaded, cell)


def test_a_bias_that_the_layer_does_not_have_is_not_lost():
    layer = nn.MultiheadAttention(2, 4, use_query_bias=True, key=KEY)
    entries = to_torch(layer)
    assert not entries["in_proj_bias"][4:].any()
    entries["in_proj_bias"] = np.arange(12.0)
    with pytest.raises(ValueError, match=r"Build the layer with `use_key_bias=True`"):
        from_torch(layer, entries)


def test_shared_values_must_be_equal():
    shared = MODELS["Shared"](KEY)
    entries = to_torch(shared)
    assert np.array_equal(entries["0.weight"], entries["1.weight"])
    entries["1.weight"] = entries["1.weight"] + 1
    with pytest.raises(ValueError, match=r"different values for what a `Shared` keeps once"):
        from_torch(shared, entries)


def test_a_state_dict_may_have_shared_values_once():
    shared, other = MODELS["Shared"](KEY), MODELS["Shared"](OTHER)
    entries = to_torch(shared)
    del entries["1.weight"]
    told = r"`1\.weight` is missing.*a `Shared` keeps once.*`copy\(old, new\)` in `rules`"
    with pytest.raises(ValueError, match=told):
        from_torch(other, entries)
    found, _ = from_torch(other, entries, rules=[copy("0.weight", "1.weight")])
    assert tree_equal(found(), shared())


def test_a_scanned_mlp_has_the_entries_of_one_that_is_not():
    scanned, apart = MODELS["scanned MLP"](KEY), MODELS["MLP"](OTHER)
    apart, _ = from_torch(apart, to_torch(scanned))
    x = jnp.array([1.0, 2.0])
    np.testing.assert_allclose(apart(x), scanned(x), rtol=1e-6)


def test_subclasses_follow_the_rule_of_their_layer():
    class Mine(nn.Conv1d):
        pass

    conv = Mine(2, 3, 3, key=KEY)
    assert to_torch(conv)["bias"].shape == (3,)
    assert type(from_torch(conv, to_torch(conv))[0]) is Mine


def test_a_loaded_model_runs_under_jit():
    net = Net(KEY)
    net = tree_at(lambda it: it.rate, net, 0.0)
    loaded, _ = from_torch(net, to_torch(net))
    assert filter_jit(loaded.body[0])(jnp.ones((1, 4, 4))).shape == (2, 2, 2)


def test_stacked_blocks_have_the_names_of_a_list():
    def make(key):
        return nn.TransformerBlock(4, 2, width_size=4, key=key)

    stacked = nn.Stacked(make, 2, key=jax.random.key(0))
    entries = nn.to_torch({"layers": stacked})
    of_tuple = nn.to_torch({"layers": tuple(stacked)})
    assert list(entries) == list(of_tuple)
    assert "layers.1.self_attn.in_proj_weight" in entries
    other = nn.Stacked(make, 2, key=jax.random.key(1))
    found, _ = nn.from_torch({"layers": other}, of_tuple)
    assert tree_equal(found["layers"], stacked)


ENSEMBLES = {
    "LayerNorm": lambda key: nn.LayerNorm(3, weight_init=jax.nn.initializers.normal(), key=key),
    "Conv1d": lambda key: nn.Conv1d(2, 4, 3, groups=2, key=key),
    "LSTMCell": lambda key: nn.LSTMCell(2, 3, key=key),
    "Linear": lambda key: nn.Linear(2, 3, key=key),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_keep_their_shapes(name):
    several = filter_vmap(ENSEMBLES[name])(jax.random.split(KEY, 3))
    found, _ = from_torch(several, to_torch(several))
    assert tree_equal(found, several)


def test_the_bias_of_an_ensemble_is_a_vector_of_each():
    several = filter_vmap(ENSEMBLES["Conv1d"])(jax.random.split(KEY, 3))
    assert to_torch(several)["bias"].shape == (3, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda key: nn.MLP(2, 2, 4, 3, scan=True, key=key),
        lambda key: nn.Stacked(lambda key: nn.Linear(2, 2, key=key), 2, key=key),
    ],
)
def test_layers_of_an_ensemble_that_are_kept_as_one_are_refused(make):
    several = filter_vmap(make)(jax.random.split(KEY, 3))
    with pytest.raises(ValueError, match="it is of several models, and a state dict is of one"):
        to_torch(several)


def test_names_that_are_equal_are_refused():
    with pytest.raises(ValueError, match=r"Two arrays of a `dict` have the name `a\.b`"):
        to_torch({"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}})


def test_a_name_ends_in_a_layer_only_in_cells():
    model = {"w": jnp.zeros(2)}
    found, report = from_torch(model, {"w": np.ones(2), "w_l0": np.full(2, 2.0)}, strict=False)
    assert (found["w"].tolist(), report.unexpected) == ([1, 1], ("w_l0",))


@pytest.mark.parametrize("value", [300, -129, 1.5])
def test_integers_that_would_become_others_are_refused(value):
    with pytest.raises(ValueError, match="`n` has numbers that `int8`, of the model, does not"):
        from_torch({"n": jnp.zeros(1, jnp.int8)}, {"n": np.array([value])})


class TestRules:
    RULES = (
        rename("transformer.h.*", "blocks.*"),
        transpose("blocks.*.c"),
        drop("blocks.*.mask", optional=True),
    )

    @staticmethod
    def model(key):
        return {"blocks": [{"c": nn.Linear(2, 3, key=key)}, {"c": nn.Linear(2, 3, key=key)}]}

    def test_there_and_back(self):
        theirs = to_torch(self.model(KEY), rules=self.RULES)
        shapes = {name: array.shape for name, array in theirs.items()}
        assert shapes == {
            f"transformer.h.{i}.c.{name}": shape
            for i in range(2)
            for name, shape in (("weight", (2, 3)), ("bias", (3,)))
        }
        masked = theirs | {"transformer.h.1.mask": np.ones(2)}
        found, report = from_torch(self.model(OTHER), masked, rules=self.RULES)
        assert tree_equal(found, self.model(KEY))
        assert report == ((), (), ())

    def test_what_does_not_fit_has_the_names_of_the_layers(self):
        theirs = to_torch(self.model(KEY), rules=self.RULES)
        theirs["transformer.h.0.c.weight"] = np.ones((3, 2))
        told = r"`blocks\.0\.c\.weight` has shape \(2, 3\) where PyTorch has \(3, 2\)"
        with pytest.raises(ValueError, match=told):
            from_torch(self.model(KEY), theirs, rules=self.RULES)

    def test_defaults_of_the_model(self):
        theirs = {"c.weight": np.ones((3, 2))}
        linear = {"c": nn.Linear(2, 3, key=KEY)}
        found, _ = from_torch(linear, theirs, rules=default("c.bias"))
        assert np.array_equal(found["c"].bias, linear["c"].bias)
        found, _ = from_torch(linear, theirs, rules=default("c.bias", 2))
        assert np.array_equal(found["c"].bias, np.full(3, 2.0))

    def test_a_rule_without_a_way_back_is_named(self):
        with pytest.raises(ValueError, match=r"`drop\('mask'\)` has no way back"):
            to_torch(self.model(KEY), rules=[*self.RULES, drop("mask")])

    def test_a_rule_that_finds_nothing_is_named(self):
        with pytest.raises(ValueError, match=r"`drop\('mask'\)` finds no name in the arrays"):
            from_torch(self.model(KEY), {"a": np.ones(2)}, rules=drop("mask"))


class TestAbstractModels:
    def test_have_nothing_to_give(self):
        with pytest.raises(TypeError, match="`to_torch` takes a model with values"):
            to_torch(filter_eval_shape(nn.Linear, 2, 3, key=KEY))

    """A model of `filter_eval_shape` becomes one of arrays."""

    @pytest.mark.parametrize(
        "make",
        [
            Net,
            lambda key: nn.Stacked(lambda key: nn.TransformerBlock(4, 2, key=key), 2, key=key),
            lambda key: nn.MLP(2, 2, 3, 3, scan=True, key=key),
            lambda key: nn.GRU(2, 3, num_layers=2, bidirectional=True, key=key),
            lambda key: nn.WeightNorm(nn.Linear(2, 3, key=key)),
            lambda key: nn.PReLU(),
        ],
        ids=["Net", "Stacked", "MLP", "GRU", "WeightNorm", "PReLU"],
    )
    def test_get_arrays(self, make):
        like, expected = filter_eval_shape(make, OTHER), make(KEY)
        found, report = from_torch(like, to_torch(expected))
        assert report == ((), (), ())
        if make is Net:
            assert isinstance(found.key, jax.ShapeDtypeStruct)
            found = tree_at(lambda it: it.key, found, expected.key)
            expected = tree_at(lambda it: it.table, expected, jnp.asarray(expected.table))
        assert tree_equal(found, expected)

    def test_so_do_states(self):
        def make():
            return nn.make_with_state(nn.BatchNorm)(3, "b", mode="batch")

        pair = from_torch(make(), {**to_torch(make()), "running_mean": np.arange(3)})[0]
        found, _ = from_torch(filter_eval_shape(make), to_torch(pair))
        assert to_torch(found)["running_mean"].tolist() == [0, 1, 2]
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found[1]))

    @pytest.mark.parametrize("strict", [True, False])
    def test_have_nothing_to_keep(self, strict):
        like = filter_eval_shape(nn.Linear, 2, 3, key=KEY)
        told = r"`bias` is missing.* A `jax\.ShapeDtypeStruct` of the model has no values to keep"
        with pytest.raises(ValueError, match=told):
            from_torch(like, {"weight": np.ones((3, 2))}, strict=strict)
        with pytest.raises(ValueError, match=r"`default\('bias'\)`"):
            from_torch(like, {"weight": np.ones((3, 2))}, rules=default("bias"))
        found, _ = from_torch(like, {"weight": np.ones((3, 2))}, rules=default("bias", 2))
        assert found.bias.tolist() == [2, 2, 2]


class TestNames:
    MODEL = {f"layer{i}": jnp.ones(2) for i in range(14)}  # noqa: RUF012

    def test_that_are_alike_are_told(self):
        told = (
            r"`layer3` is missing \(the state dict has `layers3`\); `layers3` is unexpected \(the "
            r"model has `layer3`\)\. With `strict=False`"
        )
        entries = to_torch(self.MODEL)
        entries["layers3"] = entries.pop("layer3")
        with pytest.raises(ValueError, match=told):
            from_torch(self.MODEL, entries)

    def test_ten_are_told(self):
        with pytest.raises(ValueError, match=r"`layer5` is missing; 4 more are missing\. With"):
            from_torch(self.MODEL, {})

    def test_ten_shapes_are_told_and_no_way_out(self):
        entries = {name: np.ones(3) for name in self.MODEL}
        with pytest.raises(ValueError, match=r"`layer5` has shape .*; 4 more do not fit\.$"):
            from_torch(self.MODEL, entries)
