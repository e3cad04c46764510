"""Which weights a selector of `lora` and `quantise` selects, and what is told of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import by, filter_eval_shape, tree_at, tree_paths
from eqx_pytree import Module

KEY = jax.random.key(0)


class Inner(Module):
    layers: dict
    heads: jax.Array

    def __call__(self, x):
        return self.layers["out"](self.layers["norm"](self.layers["in"](x)))


class Own(nn.Linear):
    """A layer with one more inside."""

    inner: nn.Linear

    def __init__(self, key):
        super().__init__(3, 4, key=key)
        self.inner = nn.Linear(3, 3, key=key)

    def __call__(self, x, *, key=None):
        return super().__call__(self.inner(x))


def model():
    layers = {"in": Own(KEY), "norm": nn.LayerNorm(4), "out": nn.Linear(4, 4, key=KEY)}
    return Inner(layers, jnp.ones((3, 3)))


IN, INNER, OUT = "layers.in.weight", "layers.in.inner.weight", "layers.out.weight"
SELECTED = {
    "a path": (OUT, {OUT}),
    "a node": ("layers.out", {OUT}),
    "all": ("**", {IN, INNER, OUT}),
    "weights by a pattern": ("layers.*.inner.weight", {INNER}),
    "a type": (nn.Linear, {IN, INNER, OUT}),
    "a type of ours": (Own, {IN, INNER}),
    "a union": (nn.Linear | nn.LayerNorm, {IN, INNER, OUT}),
    "all but": (~by("layers.in"), {OUT}),
    "a function of the tree": (
        lambda it: [it.layers["out"].weight, it.layers["in"].inner],
        {OUT, INNER},
    ),
    "a function of path and node": (lambda path, node: path == "layers.out", {OUT}),
}


@pytest.mark.parametrize("name", SELECTED)
def test_weights_at_and_below_what_is_selected(name):
    where, expected = SELECTED[name]
    for new, part in (
        (nn.lora(model(), where, 2, key=KEY), ".lora.b"),
        (nn.quantise(model(), where), ".scale"),
    ):
        found = {path.removesuffix(part) for path in tree_paths(new) if path.endswith(part)}
        assert found == expected
        assert np.all(np.isfinite(new(jnp.ones(3))))


REFUSED = [
    (
        "layers.out.bias",
        TypeError,
        r"`model.layers\['out'\].bias`, which is no weight of a `Linear`",
    ),
    ("layers.out.bias", TypeError, r"The nearest weights are `model.layers\['out'\].weight`"),
    ("layers.*.bias", TypeError, "which is no weight of a `Linear`, `Conv`, `ConvTranspose` or"),
    ("heads", TypeError, r"`model.heads`, which is no weight of a"),
    ("layers.norm", ValueError, r"`where='layers.norm'` of `lora` selects no weight of a `Linear`"),
    ("layers.out.wight", ValueError, "selects nothing.*The nearest paths are `layers.out.weight`"),
    (nn.Conv, ValueError, "`Conv` selects nothing in the `Inner`"),
    ({"out": True}, ValueError, "A mask must be a prefix"),
    (lambda it: it.heads[0], TypeError, "`where` chooses leaves and subtrees here"),
    (lambda it: it.layers["in"].in_features, TypeError, "3 is not a leaf of the pytree"),
]


@pytest.mark.parametrize(("where", "kind", "match"), REFUSED)
def test_what_is_no_weight(where, kind, match):
    with pytest.raises(kind, match=match):
        nn.lora(model(), where, 2, key=KEY)
    with pytest.raises(kind, match=match.replace("`lora`", "`quantise`")):
        nn.quantise(model(), where)


def test_a_model_without_weights():
    with pytest.raises(ValueError, match=r"selects no weight.*The model has none\."):
        nn.quantise(nn.LayerNorm(3), "**")


def test_parts_of_what_is_there():
    adapted = nn.lora(model(), OUT, 2, key=KEY)
    match = r"selects `model.layers\['out'\].weight.lora.a`, which is a part of `.*`, a `Adapted`"
    with pytest.raises(TypeError, match=match):
        nn.quantise(adapted, "layers.out.weight.lora.a")
    assert "layers.out.weight.base.scale" in tree_paths(nn.quantise(adapted, f"{OUT}.base"))


@pytest.mark.parametrize("norm", ["WeightNorm", "SpectralNorm"])
def test_weights_that_are_computed(norm):
    make = {
        "WeightNorm": lambda: nn.WeightNorm(nn.Linear(3, 4, key=KEY)),
        "SpectralNorm": lambda: nn.SpectralNorm(nn.Linear(3, 4, key=KEY), "weight", key=KEY),
    }[norm]
    pair = make(), nn.Linear(3, 4, key=KEY)
    match = rf"`lora` cannot replace `model\[0\].layer.weight`, of which `{norm}` computes"
    with pytest.raises(TypeError, match=match):
        nn.lora(pair, nn.Linear, 2, key=KEY)
    left_out = by(nn.Linear) & ~by(getattr(nn, norm))
    assert isinstance(nn.lora(pair, left_out, 2, key=KEY)[1].weight, nn.Adapted)
    of_bias = nn.WeightNorm(nn.Linear(3, 4, key=KEY), "bias")
    assert isinstance(nn.quantise(of_bias, "**").layer.weight, nn.Quantised)


def test_weights_that_are_no_floating_arrays():
    layer = nn.Linear(3, 4, key=KEY)
    for weight, told in (
        (jnp.ones((4, 3), int), "is of dtype `int32`"),
        (None, "is a `NoneType`"),
        (jnp.ones(3), r"has shape \(3,\)"),
    ):
        odd = tree_at(lambda it: it.weight, layer, weight)
        with pytest.raises((TypeError, ValueError), match=f"`model.weight` {told}"):
            nn.quantise(odd, nn.Linear)
    abstract = filter_eval_shape(nn.Linear, 3, 4, key=KEY)
    with pytest.raises(TypeError, match=r"`model.weight` is abstract. Call it inside, as in"):
        nn.lora(abstract, "weight", 2, key=KEY)
    array = tree_at(lambda it: it.weight, layer, np.ones((4, 3), np.float32))
    assert nn.lora(array, "weight", 2, key=KEY)(jnp.ones(3)).shape == (4,)


class TestRecurrentLayers:
    """Their weights are left out of what is more, and refused by themselves."""

    MODEL = {"rnn": nn.LSTM(2, 3, key=KEY), "head": nn.Linear(3, 2, key=KEY)}  # noqa: RUF012

    @pytest.mark.parametrize("function", ["lora", "quantise"])
    def test_a_leaf_is_refused(self, function):
        told = (
            rf"of `{function}` selects `model\['rnn'\]\.cells\[0\]\.weight_hh`, which is of a "
            r"`LSTMCell`: weights of recurrent layers are not supported\. The nearest"
        )
        with pytest.raises(TypeError, match=told):
            self.change(function, "rnn.cells.0.weight_hh")

    @pytest.mark.parametrize("function", ["lora", "quantise"])
    def test_so_is_a_layer(self, function):
        told = "`Embedding`; weights of recurrent layers are not supported. The nearest"
        with pytest.raises(ValueError, match=told.replace(".", r"\.")):
            self.change(function, "rnn")

    @pytest.mark.parametrize("function", ["lora", "quantise"])
    def test_more_leaves_them_out(self, function):
        found = self.change(function, "**")
        assert type(found["head"].weight).__name__ in ("Adapted", "Quantised")
        assert found["rnn"].cells[0].weight_hh is self.MODEL["rnn"].cells[0].weight_hh

    def change(self, function, where):
        if function == "lora":
            return nn.lora(self.MODEL, where, 2, key=KEY)
        return nn.quantise(self.MODEL, where)
