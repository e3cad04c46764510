"""`by`: each way to select, and what is put together of them."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    Selector,
    by,
    filter_grad,
    filter_jit,
    is_array,
    tree_at,
    tree_mask,
    tree_paths,
)
from eqx_pytree import Module


class Linear(Module):
    weight: jax.Array
    bias: jax.Array | None


class Norm(Module):
    scale: jax.Array


class Model(Module):
    layers: list
    norm: Norm
    activation: object

    def __call__(self, x):
        return x


def model():
    one, other = (Linear(jnp.full((2, 2), float(i)), jnp.zeros(2)) for i in range(2))
    return Model([one, other], Norm(jnp.ones(2)), jax.nn.relu)


ALL = [*tree_paths(model())]
WEIGHTS = ["layers.0.weight", "layers.1.weight"]
BIASES = ["layers.0.bias", "layers.1.bias"]


def chosen(where, tree=None):
    mask = tree_mask(model() if tree is None else tree, where)
    return [path for path, it in tree_paths(mask).items() if it]


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        ("layers.*.weight", WEIGHTS),
        (Linear, [*WEIGHTS[:1], *BIASES[:1], *WEIGHTS[1:], *BIASES[1:]]),
        (Norm | Linear, ALL[:-1]),
        (jax.Array, ALL[:-1]),
        (lambda path, node: path.endswith("bias"), BIASES),
        (lambda path, node: getattr(node, "ndim", 0) == 2, WEIGHTS),
        (lambda m: m.norm, ["norm.scale"]),
        (lambda m: [layer.bias for layer in m.layers], BIASES),
        (lambda m: m, ALL),
        (by("norm") | "layers.0.bias", ["layers.0.bias", "norm.scale"]),
        ("norm" | by("layers.0.bias"), ["layers.0.bias", "norm.scale"]),
        (by(Linear) & "**.weight", WEIGHTS),
        ("**.weight" & by(Linear), WEIGHTS),
        (by("**.weight") & Linear, WEIGHTS),
        (by("layers.1.**") & Linear, ["layers.1.weight", "layers.1.bias"]),
        (~by(Linear), ["norm.scale", "activation"]),
        (~by("**.bias") & jax.Array, [*WEIGHTS, "norm.scale"]),
        (~~by(Norm), ["norm.scale"]),
        (~(by(Linear) | "activation"), ["norm.scale"]),
    ],
)
def test_each_form(where, paths):
    assert chosen(where) == paths
    assert chosen(by(where)) == paths


def test_by_a_mask():
    mask = tree_mask(model(), "**.bias")
    assert chosen(mask) == BIASES
    assert chosen({"a": True, "b": is_array}, {"a": {"c": 1}, "b": [2, np.ones(2)]}) == [
        "a.c",
        "b.1",
    ]
    assert chosen(True, [1, 2]) == ["0", "1"]
    assert chosen(by({"a": np.True_, "b": False}) | "b.0", {"a": 1, "b": [2, 3]}) == ["a", "b.0"]


def test_a_selector_is_a_function_of_any_tree():
    selector = by("**.w")
    assert selector({"a": {"w": 1, "b": 2}}) == {"a": {"w": True, "b": False}}
    assert selector([{"w": 1}, {"w": 2}]) == [{"w": True}] * 2
    assert isinstance(selector, Selector)
    assert by(selector) is selector


def test_a_shared_node_is_selected_at_the_place_that_is_asked_for():
    shared = {"w": 1}
    assert chosen("b", {"a": shared, "b": shared}) == ["b.w"]
    assert chosen(lambda t: t["b"], {"a": shared, "b": shared}) == ["b.w"]
    assert tree_at("b", {"a": shared, "b": shared}, 0) == {"a": {"w": 1}, "b": 0}


def test_under_jit_and_of_structs():
    @jax.jit
    def zeroed(tree):
        return tree_at(by("**.b") & jax.Array, tree, replace_fn=jnp.zeros_like)

    assert zeroed({"a": {"b": 1.0}, "c": 2.0}) == {"a": {"b": 0.0}, "c": 2.0}
    structs = jax.eval_shape(lambda: {"a": {"b": jnp.ones(2)}})
    assert chosen("**.b", structs) == ["a.b"]


class TestEquality:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: by("layers.0"),
            lambda: by(Linear | Norm),
            lambda: by(is_array),
            lambda: ~by("a") & Linear | "b",
        ],
    )
    def test_selectors_alike_are_equal(self, make):
        assert make() == make()
        assert hash(make()) == hash(make())
        assert make() != by("other")
        assert make() != ~make()

    def test_a_new_one_is_not_traced_again(self):
        traces = []

        def loss(tree):
            traces.append(1)
            return jnp.sum(tree["a"]["w"] * tree["b"])

        tree = {"a": {"w": jnp.ones(2)}, "b": jnp.ones(2)}
        for _ in range(3):
            filter_jit(filter_grad(loss, wrt=by("a")))(tree)
        assert len(traces) == 1


class TestTreeAt:
    def test_a_path_is_one_node_and_a_pattern_a_sequence(self):
        new = jnp.full(2, 7.0)
        assert tree_at("layers.1.bias", model(), new).layers[1].bias is new
        changed = tree_at("layers.*.bias", model(), [1, new])
        assert [layer.bias for layer in changed.layers] == [1, new]

    def test_a_pattern_that_finds_one(self):
        assert tree_at("nor*.scale", model(), ["new"]).norm.scale == "new"
        with pytest.raises(ValueError, match="of the same length as `replace`"):
            tree_at("layers.*.bias", model(), [1])

    def test_types_and_functions(self):
        changed = tree_at(Linear, model(), replace_fn=lambda it: it.weight)
        assert all(a.shape == (2, 2) for a in changed.layers)
        changed = tree_at(lambda path, node: path == "norm.scale", model(), ["new"])
        assert changed.norm.scale == "new"
        assert tree_at(by(Linear) & "**.bias", model(), [0, 1]).layers[1].bias == 1

    def test_the_outermost_are_replaced(self):
        tree = {"a": {"a": {"a": 1}}, "b": 2}
        assert tree_at("**.a", tree, ["new"]) == {"a": "new", "b": 2}
        assert tree_at(dict, tree, replace_fn=len) == 2

    def test_none_where_it_is_a_leaf(self):
        tree = {"a": None, "b": [None, 1]}
        none = lambda x: x is None  # noqa: E731
        assert tree_at("b.0", tree, 3, is_leaf=none) == {"a": None, "b": [3, 1]}
        selected = by(lambda path, node: node is None)
        assert tree_at(selected, tree, [3, 4], is_leaf=none) == {"a": 3, "b": [4, 1]}

    def test_a_path_tells_one_none_from_another(self):
        tree = {"a": None, "b": [None, 1]}
        assert tree_at("b.0", tree, 3) == {"a": None, "b": [3, 1]}
        assert tree_at("**.a", tree, [3]) == {"a": 3, "b": [None, 1]}

    def test_a_mask_and_other_callables(self):
        mask = tree_mask(model(), "**.bias")
        changed = tree_at(mask, model(), replace_fn=lambda _: "new")
        assert [layer.bias for layer in changed.layers] == ["new", "new"]
        ends_with = functools.partial(lambda end, path, node: path.endswith(end), "scale")
        assert tree_at(ends_with, model(), ["new"]).norm.scale == "new"

    def test_messages_show_the_selector(self):
        with pytest.raises(TypeError, match=r"`where` is `'layers\.\*\.bias'`"):
            tree_at("layers.*.bias", model(), 0)

    def test_a_text_that_two_keys_have(self):
        tree = collections.OrderedDict([("3", 1), (3, 2)])
        with pytest.raises(ValueError, match="`'3'` is the path of 2 nodes"):
            tree_at("3", tree, 9)

    def test_what_is_not_there(self):
        message = (
            r"`'layrs\.0\.bias'` selects nothing in the `Model`\. The nearest paths are "
            r"`layers\.0\.bias`, `layers\.1\.bias`"
        )
        with pytest.raises(ValueError, match=message):
            tree_at("layrs.0.bias", model(), 1)


class TestNothing:
    def test_of_a_path(self):
        with pytest.raises(ValueError, match=r"The nearest paths are `layers\.0\.weight`"):
            chosen("layers.0.wieght")
        with pytest.raises(ValueError, match=r"Its leaves are `a`, `b`\."):
            chosen("qqqqqq", {"a": 1, "b": 2})

    def test_of_an_index_from_the_end(self):
        with pytest.raises(ValueError, match="Indices count from 0, not from the end"):
            chosen("layers[-1]")

    def test_of_a_type(self):
        message = (
            r"`int` selects nothing in the `Model`\. Its nodes are of the types .*`Linear`, `Model`"
            ".* In a union of types some may be absent"
        )
        with pytest.raises(ValueError, match=message):
            chosen(int)

    def test_of_a_function(self):
        with pytest.raises(ValueError, match=r"selects nothing in the `Model`\. Its leaves are"):
            chosen(lambda path, node: False)

    @pytest.mark.parametrize("put", [lambda x: x | "norm", lambda x: x & "norm", lambda x: ~x])
    def test_of_a_part(self, put):
        with pytest.raises(ValueError, match=r"`'nrom'` selects nothing"):
            chosen(put(by("nrom")))

    def test_of_what_does_not_overlap(self):
        with pytest.raises(ValueError, match=r"`'norm' & 'layers'` selects nothing"):
            chosen(by("norm") & "layers")

    def test_of_nodes_without_leaves(self):
        with pytest.raises(ValueError, match=r"only nodes without leaves: `a`\."):
            chosen("a", {"a": None, "b": 1})

    def test_in_a_tree_without_leaves(self):
        with pytest.raises(ValueError, match="selects nothing"):
            chosen("a", {})


class TestRefusals:
    @pytest.mark.parametrize("where", [3, {"a": "x"}, 1.5])
    def test_no_selector(self, where):
        with pytest.raises(TypeError, match=r"selects no nodes\. Pass a path, a type, a function"):
            by(where)

    def test_a_mask_of_another_structure(self):
        with pytest.raises(ValueError, match=r"A mask must be a prefix .*; at `mask`: "):
            chosen({"b": True}, {"a": 1})

    def test_a_function_that_does_not_return(self):
        with pytest.raises(ValueError, match=r"answered `None` for `.*`\. Does it `return`"):
            chosen(lambda path, node: None)

    def test_a_filter_of_leaves_is_no_function_to_nodes(self):
        with pytest.raises(TypeError, match="must return nodes of `pytree`"):
            chosen(is_array)
