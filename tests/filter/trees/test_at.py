"""`tree_at`: nodes replaced."""

import re
from collections import namedtuple
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import tree_at, tree_equal
from eqx_pytree import Module, field

Point = namedtuple("Point", "x y")


class Linear(Module):
    weight: Any
    bias: Any = None
    size: Any = field(static=True, default=3)

    @property
    def first(self):
        return self.weight

    def method(self):
        return self.weight


TREES = st.recursive(
    st.integers() | st.booleans() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        st.builds(Linear, inner, inner),
        st.builds(Point, inner, inner),
    ),
    max_leaves=8,
)


class TestLaws:
    @settings(deadline=None, max_examples=50)
    @given(TREES, st.data())
    def test_what_was_set_is_got_and_the_rest_stays(self, tree, data):
        leaves = jtu.tree_leaves(tree)
        place = data.draw(st.integers(0, len(leaves) - 1))
        new = object()
        changed = tree_at(lambda t: jtu.tree_leaves(t)[place], tree, new)
        assert jtu.tree_leaves(changed)[place] is new
        assert jtu.tree_structure(changed) == jtu.tree_structure(tree)
        back = tree_at(lambda t: jtu.tree_leaves(t)[place], changed, leaves[place])
        assert all(map(lambda one, other: one is other, jtu.tree_leaves(back), leaves))

    @settings(deadline=None, max_examples=50)
    @given(TREES)
    def test_setting_what_is_there_changes_nothing(self, tree):
        leaves = jtu.tree_leaves(tree)
        same = tree_at(jtu.tree_leaves, tree, leaves)
        assert tree_equal(same, tree)
        assert tree_equal(tree_at(jtu.tree_leaves, tree, replace_fn=lambda leaf: leaf), tree)

    @settings(deadline=None, max_examples=50)
    @given(TREES, st.data())
    def test_the_last_set_wins(self, tree, data):
        place = data.draw(st.integers(0, len(jtu.tree_leaves(tree)) - 1))

        def where(t):
            return jtu.tree_leaves(t)[place]

        twice = tree_at(where, tree_at(where, tree, "one"), "two")
        assert tree_equal(twice, tree_at(where, tree, "two"))


class TestLeaves:
    def test_one_is_replaced_and_the_tree_stays(self):
        linear = Linear(jnp.ones(2), jnp.zeros(2))
        changed = tree_at(lambda m: m.bias, linear, "new")
        assert (changed.bias, changed.size) == ("new", 3)
        assert changed.weight is linear.weight
        assert linear.bias is not changed.bias

    def test_several_at_once(self):
        assert tree_at(lambda t: (t[0], t[2]), [1, 2, 3], (10, 30)) == [10, 2, 30]
        assert tree_at(lambda t: [t[0], t[2]], [1, 2, 3], [10, 30]) == [10, 2, 30]

    def test_replace_fn_gets_each_in_turn(self):
        assert tree_at(lambda t: (t[0], t[2]), [1, 2, 3], replace_fn=str) == ["1", 2, "3"]

    def test_replace_may_be_none_or_a_subtree(self):
        assert tree_at(lambda t: t[0], [1, 2], None) == [None, 2]
        assert tree_at(lambda t: t[0], [1, 2], {"a": (3,)}) == [{"a": (3,)}, 2]

    def test_places_count_and_not_values(self):
        assert tree_at(lambda t: t[0], [True, True], False) == [False, True]
        array = jnp.ones(2)
        assert tree_at(lambda t: t[1], [array, array], 5) == [array, 5]

    def test_through_a_property(self):
        assert tree_at(lambda m: m.first, Linear(1), 5).weight == 5

    def test_through_a_method_held_in_the_tree(self):
        changed = tree_at(lambda t: t[0].__self__.weight, [Linear(1).method], 5)
        assert changed[0]() == 5

    def test_the_root(self):
        assert tree_at(lambda t: t, 3, 7) == 7
        assert tree_at(lambda t: t, (1, 2), "new") == "new"

    def test_no_node(self):
        assert tree_at(lambda t: (), [1, 2], ()) == [1, 2]

    def test_under_a_trace(self):
        doubled = jax.jit(lambda m: tree_at(lambda m: m.weight, m, replace_fn=lambda w: 2 * w))
        np.testing.assert_array_equal(doubled(Linear(jnp.ones(2))).weight, [2, 2])

    def test_where_is_called_once(self):
        calls = []
        tree_at(lambda t: calls.append(t) or t[0], [1, 2], 3)
        assert len(calls) == 1

    @pytest.mark.parametrize(
        "tree",
        [{"a": 1, "b": 2}, Point(1, 2), Linear(1, 2), (1, 2)],
        ids=lambda t: type(t).__name__,
    )
    def test_in_any_pytree(self, tree):
        changed = tree_at(lambda t: jtu.tree_leaves(t)[0], tree, 9)
        assert type(changed) is type(tree)
        assert jtu.tree_leaves(changed) == [9, 2]


class TestSubtrees:
    def test_one_is_replaced(self):
        tree = {"a": (1, 2), "b": 3}
        assert tree_at(lambda t: t["a"], tree, "new") == {"a": "new", "b": 3}
        assert tree_at(lambda t: [t["a"]], tree, ["new"]) == {"a": "new", "b": 3}

    def test_replace_fn_gets_the_subtree_with_its_leaves(self):
        seen = []
        tree_at(lambda t: t["a"], {"a": Linear(1, 2)}, replace_fn=seen.append)
        assert seen == [Linear(1, 2)]

    def test_leaves_and_subtrees_together(self):
        changed = tree_at(lambda t: (t[0], t[1]), [1, (2, 3), 4], ("a", "b"))
        assert changed == ["a", "b", 4]

    def test_a_node_that_appears_twice_has_two_places(self):
        layer = Linear(1, 2)
        changed = tree_at(lambda t: t[0], [layer, layer], "new")
        assert changed == ["new", layer]
        assert tree_at(lambda t: t[0].weight, [layer, layer], 5) == [Linear(5, 2), layer]

    def test_is_leaf_makes_a_subtree_a_leaf(self):
        changed = tree_at(
            lambda t: t[0], [(1, 2), 3], replace_fn=len, is_leaf=lambda n: isinstance(n, tuple)
        )
        assert changed == [2, 3]


class TestNone:
    def test_a_lone_none_is_replaced(self):
        assert tree_at(lambda m: m.bias, Linear(1), 5).bias == 5

    def test_one_of_several_needs_is_leaf_and_the_error_says_so(self):
        tree = {"a": None, "b": None}
        with pytest.raises(
            ValueError,
            match=r"`where` does not uniquely identify .*is_leaf=lambda x: x is None.*where` is `",
        ):
            tree_at(lambda t: t["a"], tree, 5)
        changed = tree_at(lambda t: t["a"], tree, 5, is_leaf=lambda x: x is None)
        assert changed == {"a": 5, "b": None}

    def test_several_through_is_leaf(self):
        changed = tree_at(lambda t: (t[0], t[1]), [None, None], (3, 4), is_leaf=lambda x: x is None)
        assert changed == [3, 4]

    def test_where_may_ask_whether_a_node_is_none(self):
        where = lambda t: t["a"] if t["b"] is None else t["b"]  # noqa: E731
        assert tree_at(where, {"a": 1, "b": None}, 5) == {"a": 5, "b": None}


class TestErrors:
    def test_precisely_one_of_replace_and_replace_fn(self):
        for keywords in ({}, {"replace": 1, "replace_fn": str}, {"replace": None, "replace_fn": 1}):
            with pytest.raises(ValueError, match="Precisely one of `replace` and `replace_fn`"):
                tree_at(lambda t: t[0], [1], **keywords)

    def test_other_lengths(self):
        with pytest.raises(ValueError, match=r"it returns 2, and `replace` has 1\. `where` is `"):
            tree_at(lambda t: (t[0], t[1]), [1, 2], (7,))

    def test_replace_that_is_no_sequence(self):
        with pytest.raises(TypeError, match="it returns 2, and `replace` is a `int`, which is no"):
            tree_at(lambda t: (t[0], t[1]), [1, 2], 7)

    def test_nodes_inside_one_another(self):
        with pytest.raises(ValueError, match="or lies inside another node that it returned"):
            tree_at(lambda t: (t[0], t[0][0]), [(1, 2)], (7, 8))

    @pytest.mark.parametrize("where", [lambda m: m.size, lambda m: 5, lambda m: "a"])
    def test_what_is_no_node(self, where):
        with pytest.raises(TypeError, match=r"not a leaf of the pytree.*no static fields or new"):
            tree_at(where, Linear(1), 7)

    def test_a_new_node_made_of_leaves(self):
        with pytest.raises(ValueError, match="`where` does not specify an element or elements of"):
            tree_at(lambda t: {"new": t[0]}, [1, 2], 3)

    def test_computing_with_a_leaf_shows_the_leaves(self):
        with pytest.raises(
            TypeError, match=r"cannot compute with its leaves; it tried: unsupported .*`pytree\['a'"
        ):
            tree_at(lambda t: t["a"] + 1, {"a": 1}, 7)

    def test_going_below_a_leaf_shows_the_leaves(self):
        with pytest.raises(TypeError, match=r"`pytree\[0\]` is no array, and has no part .* `7`"):
            tree_at(lambda t: t[0][0], [1], 7)
        with pytest.raises(TypeError, match=r"'leaf' object is not iterable.*`pytree\[0\]`"):
            tree_at(lambda t: list(t[0]), [1], 7)
        with pytest.raises(AttributeError, match=r"no attribute 'weight'.*`pytree\[0\]`"):
            tree_at(lambda t: t[0].weight, [1], 7)

    @pytest.mark.parametrize(
        "where", [lambda t: t[1] if t[0] else t[2], lambda t: t[1] if t[0] == 0 else t[2]]
    )
    def test_depending_on_a_value_names_the_leaf(self, where):
        with pytest.raises(ValueError, match=r"must use just the PyTree structure.*`pytree\[0\]`"):
            tree_at(where, [0, 1, 2], 9)

    @pytest.mark.parametrize(
        ("where", "kind"), [(lambda t: t["zz"], KeyError), (lambda t: t.zz, AttributeError)]
    )
    def test_an_error_in_where_stays_and_shows_where(self, where, kind):
        with pytest.raises(kind, match="zz") as caught:
            tree_at(where, {"a": 1}, 7)
        [note] = caught.value.__notes__
        assert re.search(r"is not there: `pytree`, a `dict`, has `\['a'\]`\. `where` is", note)

    @pytest.mark.parametrize(
        ("where", "told"),
        [
            (
                lambda m: m["layers"][0].wieght,
                r"`pytree\['layers'\]\[0\].wieght` is not there: "
                r"`pytree\['layers'\]\[0\]`, a `\w+`, "
                r"has `\.weight`",
            ),
            (
                lambda m: [m["x"][i] for i in range(3)],
                r"`pytree\['x'\]\[2\]` is not there: .*`\[1\]`",
            ),
        ],
    )
    def test_what_is_missing_is_told_with_the_path_so_far(self, where, told):
        tree = {"layers": [Linear(1.0)], "x": [1, 2]}
        with pytest.raises((AttributeError, IndexError)) as caught:
            tree_at(where, tree, 1)
        assert re.search(told, caught.value.__notes__[0])

    def test_where_that_does_more_than_ask_gets_its_own_error(self):
        with pytest.raises(KeyError, match="'zz'") as caught:
            tree_at(lambda t: {**t}["zz"], {"a": 1}, 7)
        assert caught.value.__notes__[0].startswith("`where` is")

    def test_an_error_in_replace_fn_is_the_error(self):
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            tree_at(lambda t: t[0], [0], replace_fn=lambda leaf: 1 / leaf)


def test_replace_fn_of_a_node_returned_twice_sees_the_original():
    assert tree_at(lambda t: (t[0], t[0]), [1, 2], replace_fn=lambda x: x + 1) == [2, 2]


def test_two_nones_are_told_to_be_ambiguous_not_missing():
    with pytest.raises(ValueError, match=r"does not uniquely identify .* is there 2 times"):
        tree_at(lambda t: (t[0], t[1]), (None, None, 1), (3, 4))


class TestEmptyTuples:
    """Python has one `()`; the tree's own is a node, and a new one holds no nodes."""

    def test_of_the_tree_is_replaced(self):
        assert tree_at(lambda t: t["e"], {"e": (), "a": 1}, 7) == {"e": 7, "a": 1}
        assert tree_at(lambda t: t["e"], {"e": (), "a": 1}, replace_fn=list) == {"e": [], "a": 1}
        assert tree_at(lambda t: (t["e"], t["a"]), {"e": (), "a": 1}, (7, 8)) == {"e": 7, "a": 8}

    @pytest.mark.parametrize("nothing", [(), []])
    def test_that_is_new_replaces_nothing(self, nothing):
        tree = {"e": (), "a": 1}
        assert tree_at(lambda t: nothing, tree, ()) == tree
        assert tree_at(lambda t: nothing, tree, replace_fn=pytest.fail) == tree
        with pytest.raises(ValueError, match=r"it returns 0, and `replace` has 1"):
            tree_at(lambda t: nothing, tree, (1,))

    def test_of_the_tree_are_told_apart(self):
        assert tree_at(lambda t: t[0], [(), ()], 1) == [1, ()]
        assert tree_at(lambda t: (t[1], t[0]), [(), ()], (1, 2)) == [2, 1]
        assert tree_at(lambda t: t["x"][1], {"x": [(), ()], "y": ()}, 5) == {"x": [(), 5], "y": ()}
        assert tree_at(lambda t: t[1], [(), ()], replace_fn=lambda x: (x, "r")) == [(), ((), "r")]

    def test_of_a_module(self):
        model = Linear(((), 1.0, ()))
        assert tree_at(lambda m: m.weight[2], model, 3).weight == ((), 1.0, 3)

    def test_other_nodes_that_are_one_object_are_told_apart(self):
        assert tree_at(lambda t: t["a"], {"a": SINGLE, "b": SINGLE}, 1) == {"a": 1, "b": SINGLE}
        tree = tree_at(lambda t: (t[0], t[1]), [SINGLE, (), SINGLE], (1, 2))
        assert tree == [1, 2, SINGLE]
        assert tree_at(lambda t: t[1], [SINGLE, SINGLE], replace_fn=lambda n: [n]) == [
            SINGLE,
            [SINGLE],
        ]


class _Single:
    """A node without leaves, of which there is one object."""


SINGLE = _Single()
jtu.register_pytree_node(_Single, lambda _: ((), None), lambda *_: SINGLE)
