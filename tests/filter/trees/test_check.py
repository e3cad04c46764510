"""`tree_flatten_one_level` and `tree_check`."""

from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import tree_check, tree_flatten_one_level
from eqx_pytree import Module

TREES = st.recursive(
    st.integers() | st.none() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
)


class Pair(Module):
    one: Any
    two: Any

    def method(self):
        pass


class TestFlattenOneLevel:
    @settings(deadline=None, max_examples=50)
    @given(TREES)
    def test_the_treedef_puts_the_children_together(self, tree):
        children, structure = tree_flatten_one_level(tree)
        assert structure.unflatten(children) == tree

    @pytest.mark.parametrize(
        ("tree", "children"),
        [
            ([1, [2, 3]], [1, [2, 3]]),
            ({"a": (1, 2), "b": None}, [(1, 2), None]),
            (Pair([1], 2), [[1], 2]),
            (3, [3]),
            (None, []),
            ((), []),
        ],
        ids=repr,
    )
    def test_children(self, tree, children):
        assert tree_flatten_one_level(tree)[0] == children

    def test_a_child_of_itself_is_refused(self):
        loop = [1]
        loop.append(loop)
        with pytest.raises(ValueError, match="`list` is immediately self-referential"):
            tree_flatten_one_level(loop)


class TestCheck:
    @settings(deadline=None, max_examples=50)
    @given(TREES)
    def test_trees_pass(self, tree):
        assert tree_check(jtu.tree_map(lambda leaf: leaf, tree)) is None

    def test_leaves_may_repeat(self):
        array = jnp.ones(2)
        tree_check([array, {"a": array}, 1, 1, None, None])

    def test_nodes_without_leaves_may_repeat(self):
        empty = []
        tree_check([empty, empty, ((), ())])

    def test_a_node_in_two_places_names_both(self):
        pair = Pair(1, 2)
        with pytest.raises(
            ValueError, match=r"type `Pair` appears .* at `pytree\[0\]` and at `pytree\[1\]\['a'\]`"
        ):
            tree_check([pair, {"a": pair}])

    def test_a_method_holds_its_instance(self):
        pair = Pair(1, 2)
        with pytest.raises(ValueError, match=r"`Pair` appears .*`pytree\[1\]\.__self__`"):
            tree_check([pair, pair.method])

    def test_a_node_inside_itself(self):
        loop = [1]
        loop.append({"a": loop})
        with pytest.raises(ValueError, match="`list` is immediately self-referential"):
            tree_check(loop)
