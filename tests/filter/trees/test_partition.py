"""`filter`, `partition`, `combine`, and their hashable kin."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eqx_filter as ef
from eqx_pytree import Module, field


class Affine(Module):
    weight: Any
    bias: Any = None
    name: Any = field(static=True, default="affine")


class Masked(Module):
    weight: Any

    def __call__(self, leaf):
        pytest.fail("called")


LEAVES = st.one_of(
    st.integers(), st.floats(), st.text(), st.booleans(), st.builds(np.ones, st.integers(0, 2))
)
TREES = st.recursive(
    LEAVES | st.none(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner),
        st.tuples(inner, inner),
        st.builds(Affine, inner, inner),
    ),
    max_leaves=8,
)
FILTERS = st.sampled_from(
    [ef.is_array, ef.is_array_like, True, False, lambda leaf: isinstance(leaf, str)]
)


def _identical(one, other):
    one_leaves, one_structure = jtu.tree_flatten(one)
    other_leaves, other_structure = jtu.tree_flatten(other)
    return one_structure == other_structure and all(
        a is b for a, b in zip(one_leaves, other_leaves, strict=True)
    )


class TestLaws:
    @settings(deadline=None, max_examples=50)
    @given(TREES, FILTERS)
    def test_combine_undoes_partition(self, tree, spec):
        kept, rest = ef.partition(tree, spec)
        assert _identical(ef.combine(kept, rest), tree)
        assert _identical(ef.combine(rest, kept), tree)

    @settings(deadline=None, max_examples=50)
    @given(TREES, FILTERS)
    def test_partition_is_filter_and_its_inverse(self, tree, spec):
        kept, rest = ef.partition(tree, spec)
        assert _identical(kept, ef.filter(tree, spec))
        assert _identical(rest, ef.filter(tree, spec, inverse=True))

    @settings(deadline=None, max_examples=50)
    @given(TREES, FILTERS)
    def test_hashable_combine_undoes_hashable_partition(self, tree, spec):
        dynamic, static = ef.hashable_partition(tree, spec)
        assert _identical(ef.hashable_combine(dynamic, static), tree)

    @settings(deadline=None, max_examples=50)
    @given(TREES)
    def test_filter_keeps_exactly_what_the_function_holds_for(self, tree):
        kept = jtu.tree_leaves(ef.filter(tree, ef.is_array))
        expected = [leaf for leaf in jtu.tree_leaves(tree) if ef.is_array(leaf)]
        assert all(map(lambda one, other: one is other, kept, expected))
        assert len(kept) == len(expected)


class TestFilter:
    def test_replaces_the_others(self):
        assert ef.filter([1, "a"], ef.is_array_like) == [1, None]
        assert ef.filter([1, "a"], ef.is_array_like, replace=0) == [1, 0]
        assert ef.filter([1, "a"], ef.is_array_like, inverse=True) == [None, "a"]

    def test_takes_a_prefix_of_booleans_and_functions(self):
        tree = [1, jnp.ones(2), {"a": "x", "b": 2}]
        kept = ef.filter(tree, [True, False, {"a": True, "b": ef.is_array}])
        assert kept == [1, None, {"a": "x", "b": None}]
        assert ef.filter(tree, [True, False, True]) == [1, None, {"a": "x", "b": 2}]

    def test_a_callable_that_is_a_tree_is_a_prefix(self):
        kept = ef.filter(Masked([1, 2]), Masked([True, False]))
        assert jtu.tree_leaves(kept) == [1]

    def test_answers_count_by_their_truth(self):
        assert ef.filter([1, 2, 3], lambda leaf: leaf - 1) == [None, 2, 3]
        assert ef.filter([1, 2], lambda leaf: np.bool_(leaf > 1)) == [None, 2]
        assert ef.filter([1, 2], lambda leaf: jnp.array(leaf > 1)) == [None, 2]
        assert ef.filter([1, 2], np.bool_(True)) == [1, 2]

    def test_is_leaf(self):
        tree = [1, (2, 3), None]
        kept = ef.filter(
            tree, lambda leaf: isinstance(leaf, tuple), is_leaf=lambda n: isinstance(n, tuple)
        )
        assert kept == [None, (2, 3), None]
        filled = ef.filter(
            [1, None], lambda leaf: leaf is None, replace=5, is_leaf=lambda n: n is None
        )
        assert filled == [5, None]

    @pytest.mark.parametrize("tree", [(), [], {}, None, [None, ()]], ids=repr)
    def test_of_empty_trees(self, tree):
        assert ef.filter(tree, ef.is_array) == tree
        assert ef.filter(tree, True) == tree

    def test_a_spec_that_is_no_prefix_is_refused(self):
        with pytest.raises(ValueError, match=r"`filter_spec` must be a tree prefix of `pytree`"):
            ef.filter([1, 2, 3], [True, False])

    def test_the_place_where_the_spec_differs_is_told(self):
        with pytest.raises(
            ValueError, match=r"tree prefix of `pytree`; at `filter_spec\['a'\]\[1\]"
        ):
            ef.filter({"a": [1, 2]}, {"a": [True, {"b": True}]})

    @pytest.mark.parametrize("spec", [3, [True, "a"]], ids=repr)
    def test_a_spec_that_holds_anything_else_is_refused(self, spec):
        with pytest.raises(ValueError, match="`filter_spec` must consist of booleans and callable"):
            ef.filter([1, 2], spec)

    def test_an_error_in_the_function_is_the_error(self):
        def broken(leaf):
            message = f"no answer for {leaf}"
            raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="no answer for 1"):
            ef.filter([1], broken)


class TestPartition:
    def test_replace_stands_where_the_other_has_the_leaf(self):
        assert ef.partition([1, "a"], ef.is_array_like, replace=0) == ([1, 0], [0, "a"])

    def test_keeps_static_fields_in_both(self):
        kept, rest = ef.partition(Affine(jnp.ones(2), 3, "n"), ef.is_array)
        assert (kept.name, rest.name) == ("n", "n")
        assert (kept.bias, rest.weight) == (None, None)

    def test_raises_what_filter_raises(self):
        with pytest.raises(ValueError, match="must be a tree prefix of `pytree`"):
            ef.partition([1, 2], [True])
        with pytest.raises(ValueError, match="must consist of booleans and callables only"):
            ef.partition([1], "a")

    def test_under_a_trace(self):
        @jax.jit
        def split(tree):
            arrays, rest = ef.partition({**tree, "f": len}, ef.is_array)
            assert rest == {"x": None, "f": len}
            return arrays["x"]

        assert split({"x": 2.0}) == 2

    @pytest.mark.parametrize("dtype", ["complex64", "float16", "bfloat16"])
    def test_of_floating_and_other_arrays(self, dtype):
        tree = [jnp.ones(2, dtype), jnp.arange(2), jax.random.key(0)]
        kept, rest = ef.partition(tree, ef.is_inexact_array)
        assert kept == [tree[0], None, None]
        assert rest[0] is None


class TestCombine:
    def test_takes_the_first_that_is_not_none(self):
        assert ef.combine([1, None, None], [3, 2, None], [4, 5, None]) == [1, 2, None]

    def test_keeps_falsy_leaves(self):
        assert ef.combine([0, False], [1, True]) == [0, False]

    def test_none_in_the_first_may_be_a_subtree_in_another(self):
        assert ef.combine([1, None], [None, (2, 3)]) == [1, (2, 3)]
        assert ef.combine(None, {"a": 1}) == {"a": 1}

    def test_is_leaf(self):
        combined = ef.combine(
            [(1, 2), None], [(5, 6), (3, 4)], is_leaf=lambda node: isinstance(node, tuple)
        )
        assert combined == [(1, 2), (3, 4)]

    def test_other_structures_are_refused_and_the_place_is_told(self):
        with pytest.raises(ValueError, match=r"(?s)PyTrees of one structure.*pytrees\[0\]\['a'\]"):
            ef.combine({"a": [1, None]}, {"a": [None, 2, 3]})

    def test_of_nothing_is_refused(self):
        with pytest.raises(TypeError, match="`combine` puts PyTrees together; it was called with"):
            ef.combine()


class TestHashable:
    def test_dynamic_leaves_stand_in_a_tuple(self):
        dynamic, _ = ef.hashable_partition(["a", 1, {"b": 2}], ef.is_array_like)
        assert dynamic == (None, 1, 2)

    def test_other_dynamic_leaves_may_be_put_in(self):
        dynamic, static = ef.hashable_partition(["a", 1], ef.is_array_like)
        assert ef.hashable_combine((None, 10), static) == ["a", 10]
        assert dynamic == (None, 1)

    @pytest.mark.parametrize(
        ("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ("a", "b"), ("a", b"a")]
    )
    def test_static_is_told_apart_by_type_and_value(self, one, other):
        static = [ef.hashable_partition([leaf], False)[1] for leaf in (one, one, other)]
        assert static[0] == static[1]
        assert hash(static[0]) == hash(static[1])
        assert static[0] != static[2]
        assert len(set(static)) == 2

    def test_static_covers_the_structure(self):
        assert ef.hashable_partition([1], False)[1] != ef.hashable_partition((1,), False)[1]

    def test_a_leaf_without_hash_fails_in_hash(self):
        _, static = ef.hashable_partition([{1, 2}.__iter__, bytearray(b"a")], False)
        with pytest.raises(TypeError, match="unhashable type: 'bytearray'"):
            hash(static)

    def test_raises_what_filter_raises(self):
        with pytest.raises(ValueError, match="must be a tree prefix of `pytree`"):
            ef.hashable_partition([1, 2], [True])


class TestAnswers:
    @pytest.mark.parametrize("answer", [None, [], [True], (), {"a": True}])
    @pytest.mark.parametrize("split", [ef.filter, ef.partition, ef.hashable_partition])
    def test_that_are_no_booleans_are_refused(self, split, answer):
        with pytest.raises(ValueError, match=r"must answer True or False; `.*lambda leaf.*` for a"):
            split(["a", 1], lambda leaf: answer)

    def test_in_a_prefix(self):
        with pytest.raises(ValueError, match="answered `None` for a leaf of type `int`"):
            ef.filter({"a": [1], "b": 2}, {"a": lambda leaf: None, "b": True})

    @pytest.mark.parametrize("answer", [np.bool_(True), jnp.array(True), 1])
    def test_may_be_anything_that_is_true_or_false(self, answer):
        assert ef.filter([1, 2], lambda leaf: answer) == [1, 2]
