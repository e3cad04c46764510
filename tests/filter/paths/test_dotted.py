"""`tree_paths` and `from_paths`: leaves by their dotted paths, and the way back."""

import collections

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

from eqx_filter import from_paths, tree_at, tree_paths
from eqx_pytree import Module, field


class Linear(Module):
    weight: jax.Array
    bias: jax.Array | None
    name: str = field(static=True, default="")


class Model(Module):
    layers: tuple
    head: Linear


def model():
    layers = tuple(Linear(jnp.full((2, 2), i), jnp.zeros(2)) for i in range(2))
    return Model(layers, Linear(jnp.ones((2, 2)), None))


class TestPaths:
    def test_attributes_indices_and_keys_are_parts(self):
        expected = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
        assert [*tree_paths(model())] == [*expected, "head.weight"]
        assert tree_paths({"b": [1, (2,)], "a": {"x y": 3}}) == {"a.x y": 3, "b.0": 1, "b.1.0": 2}

    def test_leaves_are_those_of_jax_in_its_order(self):
        tree = model()
        leaves = jtu.tree_leaves(tree)
        assert all(a is b for a, b in zip(tree_paths(tree).values(), leaves, strict=True))

    def test_a_leaf_and_trees_without_leaves(self):
        assert tree_paths(3) == {"": 3}
        assert [tree_paths(empty) for empty in ({}, (), None, [None])] == [{}] * 4

    def test_named_tuples_and_nodes_without_keys(self):
        pair = collections.namedtuple("pair", ["one", "other"])
        assert tree_paths(pair(1, [2])) == {"one": 1, "other.0": 2}
        assert tree_paths({"p": jtu.Partial(print, 1, k=2)}) == {"p.0.0": 1, "p.1.k": 2}

    @pytest.mark.parametrize(
        ("key", "part"),
        [
            ("a.b", r"a\.b"),
            ("*", r"\*"),
            ("a/b", r"a\/b"),
            ("a[0]", r"a\[0\]"),
            ("\\", r"\\"),
            ("", r"\e"),
            ("ä_1", "ä_1"),
            (3, "3"),
            (1.5, r"1\.5"),
            ((0, "x"), "(0, 'x')"),
            (True, "True"),
        ],
    )
    def test_what_means_something_in_a_path_is_escaped(self, key, part):
        tree = {key: {"c": 1}}
        assert tree_paths(tree) == {f"{part}.c": 1}
        assert from_paths(tree, {f"{part}.c": 2}) == {key: {"c": 2}}

    def test_keys_that_are_equal_and_not_alike(self):
        assert tree_paths({1: "a"}) == {"1": "a"}
        assert tree_paths({True: "a"}) == {"True": "a"}
        assert tree_paths({1.0: "a"}) == {r"1\.0": "a"}

    def test_a_shared_node_has_every_path(self):
        shared = Linear(jnp.ones(2), None)
        assert [*tree_paths([shared, {"again": shared}])] == ["0.weight", "1.again.weight"]

    def test_one_path_twice(self):
        tree = collections.OrderedDict([(1, "a"), ("1", "b")])
        message = r"Two leaves have the path `x\.1`: `tree\['x'\]\[1\]` and `tree\['x'\]\['1'\]`"
        with pytest.raises(ValueError, match=message):
            tree_paths({"x": tree})

    def test_values_that_cannot_be_compared(self):
        class Incomparable:
            def __eq__(self, other):
                raise RuntimeError

            __hash__ = None

        @jtu.register_pytree_with_keys_class
        class Node:
            def __init__(self, child):
                self.child = child

            def tree_flatten_with_keys(self):
                return [(jtu.GetAttrKey("child"), self.child)], Incomparable()

            @classmethod
            def tree_unflatten(cls, _, children):
                return cls(*children)

        for _ in range(2):
            assert tree_paths(Node([1, 2])) == {"child.0": 1, "child.1": 2}

    def test_many_structures_in_turn(self):
        trees = [{f"k{i}": [0] * i} for i in range(40)]
        for tree in [*trees, *trees]:
            [key] = tree
            assert [*tree_paths(tree)] == [f"{key}.{i}" for i in range(len(tree[key]))]

    def test_under_jit(self):
        @jax.jit
        def double(tree):
            return from_paths(tree, {path: 2 * leaf for path, leaf in tree_paths(tree).items()})

        assert double({"a": 1, "b": [2]}) == {"a": 2, "b": [4]}


class TestWayBack:
    def test_is_the_identity(self):
        tree = model()
        back = from_paths(jax.eval_shape(lambda: tree), tree_paths(tree))
        assert jtu.tree_structure(back) == jtu.tree_structure(tree)
        assert all(
            a is b for a, b in zip(jtu.tree_leaves(back), jtu.tree_leaves(tree), strict=True)
        )

    def test_other_leaves_of_any_kind(self):
        assert from_paths({"a": 1, "b": [2]}, {"b.0": "x", "a": None}) == {"a": None, "b": ["x"]}

    def test_what_is_missing_is_refused(self):
        leaves = tree_paths(model())
        leaves["layers.1.wieght"] = leaves.pop("layers.1.weight")
        message = (
            r"`leaves` lacks `layers\.1\.weight`, which is like `layers\.1\.wieght`\. `leaves` has "
            r"also `layers\.1\.wieght`, which is like `layers\.1\.weight`\. Pass `strict=False`"
        )
        with pytest.raises(ValueError, match=message):
            from_paths(model(), leaves)

    @pytest.mark.parametrize("strict", [True, "missing", "unexpected", False])
    def test_strictness(self, strict):
        like = {"a": 1, "b": 2}
        for leaves, word in (({"a": 5}, "missing"), ({"a": 5, "b": 2, "c": 3}, "unexpected")):
            if strict in (True, word):
                with pytest.raises(ValueError, match=r"`leaves` (lacks `b`|has also `c`)"):
                    from_paths(like, leaves, strict=strict)
            else:
                assert from_paths(like, leaves, strict=strict) == {"a": 5, "b": 2}

    def test_strictness_of_no_kind(self):
        with pytest.raises(ValueError, match='"missing" or "unexpected"; got \'most\''):
            from_paths([1], {}, strict="most")

    def test_no_mapping_and_other_keys(self):
        with pytest.raises(TypeError, match=r"is a mapping from paths, .* got a `list`"):
            from_paths([1], [2])
        with pytest.raises(ValueError, match=r"lacks `0`, .* has also `0`"):
            from_paths([1], {0: 2})

    def test_long_lists_of_names_are_cut(self):
        with pytest.raises(ValueError, match=r"lacks `0`, .*`9`, \.\.\."):
            from_paths([0] * 20, {})


def test_what_was_put_by_tree_at_has_its_path():
    tree = tree_at(lambda m: m.head.bias, model(), jnp.ones(2), is_leaf=lambda x: x is None)
    assert "head.bias" in tree_paths(tree)
