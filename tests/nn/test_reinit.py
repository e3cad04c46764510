"""`reinit`: each leaf by the first rule that selects it, with the numbers of its place."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import eqx_nn as nn
from eqx_filter import (
    by,
    filter_eval_shape,
    filter_jit,
    filter_vmap,
    tree_at,
    tree_equal,
    tree_paths,
)
from eqx_pytree import Module

INIT = jax.nn.initializers
KEY = jax.random.key(0)
HE, NORMAL, ONES, ZEROS = INIT.he_normal(), INIT.normal(1.0), INIT.ones, INIT.zeros
MODEL = nn.MLP(3, 2, 4, 2, key=KEY)


def test_numbers_are_those_of_the_place_in_the_layout_of_the_layer():
    model = nn.reinit({"a": [nn.Linear(3, 4, key=KEY)], "b": {7: MODEL}}, {"**.weight": HE}, KEY)
    keys = nn.Keys(KEY)
    expected = HE(keys["a", 0, "weight"](), (3, 4), "float32").T
    np.testing.assert_array_equal(model["a"][0].weight, expected)
    expected = HE(keys["b", 7, "layers", 1, "weight"](), (4, 4), "float32").T
    np.testing.assert_array_equal(model["b"][7].layers[1].weight, expected)
    assert model["b"][7].layers[1].bias is MODEL.layers[1].bias


@hypothesis.given(st.permutations(["layers.0.weight", "layers.*.weight", "**.bias", nn.Linear]))
def test_the_first_rule_decides(order):
    numbers = {where: float(i) for i, where in enumerate(order)}
    rules = [(where, INIT.constant(number)) for where, number in numbers.items()]
    reached = {}
    for path in tree_paths(MODEL):
        if "activation" not in path:
            fits = {nn.Linear, f"layers.*.{path.rpartition('.')[2]}", path, f"**.{path[9:]}"}
            reached[path] = next(where for where in order if where in fits)
    if set(reached.values()) != set(order):
        with pytest.raises(ValueError, match="is left without a leaf"):
            nn.reinit(MODEL, rules, KEY)
        return
    leaves = tree_paths(nn.reinit(MODEL, rules, KEY))
    for path, where in reached.items():
        assert np.all(np.asarray(leaves[path]) == numbers[where])


def test_other_rules_change_no_numbers():
    alone = nn.reinit(MODEL, {"layers.2.weight": NORMAL}, KEY)
    among = nn.reinit(MODEL, {"**.bias": ONES, by(nn.Linear): NORMAL}, KEY)
    np.testing.assert_array_equal(alone.layers[2].weight, among.layers[2].weight)
    below = nn.reinit({"m": MODEL}, {"**.weight": NORMAL}, KEY)["m"]
    same = nn.reinit(MODEL, {"**.weight": NORMAL}, nn.Keys(KEY)["m"])
    assert tree_equal(below, same)
    assert nn.reinit(MODEL, {}, KEY) == MODEL


def test_convolutions_and_cells_have_their_blocks():
    conv = nn.Conv2d(4, 6, (2, 3), groups=2, key=KEY)
    cell = nn.GRUCell(2, 3, key=KEY)
    model = nn.reinit((conv, cell), {"**.weight*": HE, "0.bias": NORMAL, "1.bias*": ONES}, KEY)
    keys = nn.Keys(KEY)
    drawn = [HE(k, (2, 3, 2, 3), "float32") for k in jax.random.split(keys[0, "weight"](), 2)]
    expected = np.concatenate([np.transpose(it, (3, 2, 0, 1)) for it in drawn])
    np.testing.assert_allclose(model[0].weight, expected, rtol=1e-6)
    expected = NORMAL(keys[0, "bias"](), (6,), "float32")
    np.testing.assert_array_equal(model[0].bias[:, 0, 0], expected)
    drawn = [HE(k, (2, 3), "float32").T for k in jax.random.split(keys[1, "weight_ih"](), 3)]
    np.testing.assert_allclose(model[1].weight_ih, np.concatenate(drawn), rtol=1e-6)
    assert np.all(np.asarray(model[1].bias) == 1)
    assert np.all(np.asarray(model[1].bias_n) == 1)


class Pair(Module):
    """A layer of a layout of its own, and an array without one."""

    heads: jax.Array
    table: jax.Array

    __weight_layouts__ = {"heads": (2, 3)}  # noqa: RUF012


def test_layers_of_ones_own():
    pair = Pair(jnp.zeros((6, 2)), jnp.zeros((2, 5)))
    made = nn.reinit(pair, {"heads": INIT.orthogonal(), "table": HE}, KEY)
    for block in np.split(np.asarray(made.heads, np.float64), 3):
        np.testing.assert_allclose(block.T @ block, np.eye(2), atol=1e-5)
    expected = HE(nn.Keys(KEY)["table"](), (2, 5), "float32")
    np.testing.assert_array_equal(made.table, expected)
    with pytest.raises(ValueError, match=r"`model.heads`, cannot draw 3 blocks of .* \(4, 2\)"):
        nn.reinit(Pair(jnp.zeros((4, 2)), pair.table), {"heads": ZEROS}, KEY)
    with pytest.raises(ValueError, match=r"`model.heads`, selects .* \(4,\), which has too few"):
        nn.reinit(Pair(jnp.zeros(4), pair.table), {"heads": ZEROS}, KEY)


class Block(Module):
    linear: nn.Linear
    norm: nn.LayerNorm
    inner: nn.Stacked

    def __init__(self, key):
        self.linear = nn.Linear(4, 4, key=key)
        self.norm = nn.LayerNorm(4)
        self.inner = nn.Stacked(lambda key: nn.GRUCell(2, 3, key=key), 2, key=key)


RULES = {"**.norm.weight": ZEROS, "**.weight": NORMAL, "**.weight_hh": HE, "**.bias": ONES}


def apart(blocks):
    return [tree_at(lambda m: m.inner, it, tuple(it.inner)) for it in blocks]


def test_a_stacked_is_drawn_as_a_tuple():
    blocks = nn.Stacked(Block, 2, key=KEY)
    new = nn.reinit({"blocks": blocks}, RULES, KEY)["blocks"]
    plain = nn.reinit({"blocks": apart(blocks)}, RULES, KEY)["blocks"]
    assert tree_equal(apart(new), plain, rtol=1e-5, atol=1e-5)
    assert np.all(np.asarray(new.block.norm.weight) == 0)
    assert new.block.inner.block.weight_hh.std() > 0.1


def test_arrays_with_more_axes_are_drawn_slice_by_slice():
    scanned = nn.reinit(nn.MLP(3, 2, 4, 3, scan=True, key=KEY), {"**.weight": HE}, KEY)
    key = nn.Keys(KEY)["layers", 1, "weight", 1]()
    expected = HE(key, (4, 4), "float32").T
    np.testing.assert_allclose(scanned.layers[1].weight[1], expected, rtol=1e-6)
    several = filter_vmap(lambda key: nn.Linear(3, 4, key=key))(jax.random.split(KEY, 5))
    drawn = nn.reinit(several, {"weight": INIT.orthogonal()}, KEY).weight
    np.testing.assert_allclose(drawn.mT @ drawn, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-5)


def test_under_jit_and_of_abstract_arrays():
    make = functools.partial(nn.MLP, 3, 2, 4, 1, dtype="bfloat16", key=KEY)
    rules = {"**.weight": HE, "**.bias": ZEROS}
    plain = nn.reinit(make(), rules, KEY)
    assert plain.layers[0].weight.dtype == "bfloat16"
    compiled = filter_jit(lambda model, key: nn.reinit(model, rules, key))(make(), KEY)
    abstract = nn.reinit(filter_eval_shape(make), rules, KEY)
    for other in (compiled, abstract):
        assert tree_equal(other.layers, plain.layers, rtol=2**-7, atol=0)


def test_arrays_of_numpy_and_shardings():
    mesh = jax.make_mesh((1,), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    model = {"a": np.zeros((2, 3), "float16"), "b": jax.device_put(jnp.zeros((2, 3)), sharding)}
    new = nn.reinit(model, {"*": NORMAL}, KEY)
    assert isinstance(new["a"], jax.Array)
    assert new["a"].dtype == "float16"
    assert new["b"].sharding == sharding


WRONG = [
    ({"layers.0.wieght": ZEROS}, ValueError, "selects nothing in the `MLP`.*`layers.0.weight`"),
    ({"**.bias": ZEROS, "layers.0.bias": ONES}, ValueError, "is left without a leaf"),
    (
        {"activation": ZEROS},
        TypeError,
        "`model.activation`, selects a .* only floating and complex",
    ),
    (
        {"**.bias": "zeros"},
        TypeError,
        r"`'\*\*.bias'` of `reinit`, for `model.layers\[0\].bias`, must",
    ),
    ("**.bias", TypeError, "`rules` of `reinit` is a dict from selectors to initializers"),
    ([ZEROS], TypeError, "`rules` of `reinit` is a dict"),
    ([("**.bias",)], TypeError, "`rules` of `reinit` is a dict"),
]


@pytest.mark.parametrize(("rules", "kind", "match"), WRONG)
def test_wrong_rules(rules, kind, match):
    with pytest.raises(kind, match=match):
        nn.reinit(MODEL, rules, KEY)


def test_other_errors():
    with pytest.raises(TypeError, match=r"`reinit` needs a PRNG key as `key`, .*got 3"):
        nn.reinit(MODEL, {"**.bias": ZEROS}, 3)
    with pytest.raises(TypeError, match=r"`model\['n'\]`, selects an array of dtype `int32`"):
        nn.reinit({"n": jnp.arange(3)}, {"n": ZEROS}, KEY)
    with pytest.raises(ValueError, match="at least 2D") as caught:
        nn.reinit(MODEL, {"**.bias": HE}, KEY)
    assert "for `model.layers[0].bias`" in caught.value.__notes__[0]
