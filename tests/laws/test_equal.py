"""`tree_equal` is an equivalence, of which each `typematch` draws the classes wider or narrower."""

import itertools

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_pytree import BoundMethod, Module, tree_equal

from . import oracle
from .nodes import Box
from .settings import law, law_of_programs
from .trees import trees
from .values import PLAIN_LEAVES, jax_arrays, jit_leaves

TYPEMATCHES = [True, None, False]
"""From the narrowest to the widest."""

ARRAYS = [
    make(value)
    for make in (jnp.asarray, np.asarray)
    for value in (
        *(np.float32(0), np.float32(-0.0), np.float32(1), np.float32("nan"), np.int32(0)),
        *(np.int32(1), np.bool_(False), np.bool_(True), np.zeros(1, np.float32)),
        *(np.zeros((1, 1), np.float32), np.zeros(0, np.float32), np.zeros((0, 1), np.float32)),
        *(np.complex64(0), np.float16(0), jnp.bfloat16(0), np.uint32(1)),
    )
]
LEAVES = [
    *(*ARRAYS, *PLAIN_LEAVES, "0", set(), {1}),
    *(jnp.asarray(0.0), jnp.asarray(1), jax.random.key(0), jax.random.key(1)),
    *(jax.random.PRNGKey(0), jax.random.key(0, impl="rbg"), np.float32(1), np.float64(1)),
]


def equals_itself(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return True
    return bool(np.all(leaf == leaf)) if hasattr(leaf, "dtype") else bool(leaf == leaf)  # noqa: PLR0124


@pytest.fixture(scope="module", params=[Box, lambda leaf: leaf, lambda leaf: [0, leaf]])
def tables(request):
    """For each `typematch`, whether each leaf equals each, inside a tree."""
    inside = [request.param(leaf) for leaf in LEAVES]
    return {
        typematch: np.array(
            [[bool(tree_equal(x, y, typematch=typematch)) for y in inside] for x in inside]
        )
        for typematch in TYPEMATCHES
    }


@pytest.mark.parametrize("typematch", TYPEMATCHES)
def test_leaves_equal_themselves_unless_they_are_nan(tables, typematch):
    expected = [equals_itself(leaf) for leaf in LEAVES]
    assert tables[typematch].diagonal().tolist() == expected


@pytest.mark.parametrize("typematch", TYPEMATCHES)
def test_it_makes_no_difference_which_comes_first(tables, typematch):
    assert (tables[typematch] == tables[typematch].T).all()


@pytest.mark.parametrize("typematch", TYPEMATCHES)
def test_what_equals_the_same_is_equal(tables, typematch):
    table = tables[typematch].astype(int)
    assert ((table @ table > 0) <= tables[typematch]).all()


def test_a_wider_typematch_holds_more_equal(tables):
    for narrow, wide in itertools.pairwise(TYPEMATCHES):
        assert (tables[narrow] <= tables[wide]).all()
        assert (tables[narrow] < tables[wide]).any()


@law
@given(trees())
def test_a_tree_equals_what_is_rebuilt_from_it(tree):
    rebuilt = jtu.tree_map(lambda leaf: leaf, tree)
    expected = all(map(equals_itself, oracle.leaves(tree)))
    for typematch in TYPEMATCHES:
        assert bool(tree_equal(tree, rebuilt, typematch=typematch)) is expected
        assert bool(tree_equal(rebuilt, tree, typematch=typematch)) is expected
    if isinstance(tree, Module) and type(tree) is not BoundMethod:
        assert bool(tree == rebuilt) is expected
        assert bool(tree != rebuilt) is not expected


@law
@given(trees(depth=1), trees(depth=1))
def test_trees_of_other_structures_differ(one, other):
    assume(oracle.shape(one) != oracle.shape(other))
    assert tree_equal(one, other) is False
    assert tree_equal(one, one, other) is False


@law
@given(trees(), st.data())
def test_one_other_leaf_makes_a_difference(tree, data):
    leaves, structure = jtu.tree_flatten(tree)
    assume(leaves)
    i = data.draw(st.integers(0, len(leaves) - 1))
    changed = structure.unflatten([*leaves[:i], object(), *leaves[i + 1 :]])
    assert bool(tree_equal(tree, changed)) is False
    assert bool(tree_equal(changed, tree)) is False
    if isinstance(tree, Module) and isinstance(changed, Module):
        assert not bool(tree == changed)


@law
@given(trees(leaves=jit_leaves()), st.lists(st.booleans(), min_size=1, max_size=3))
def test_many_are_equal_where_each_equals_the_first(tree, changes):
    assume(oracle.leaves(tree))
    others = [jtu.tree_map(lambda x, c=c: object() if c else x, tree) for c in changes]
    in_pairs = all(bool(tree_equal(tree, other)) for other in others)
    assert bool(tree_equal(tree, *others)) is in_pairs


@law_of_programs
@given(trees(leaves=jax_arrays(), depth=2), st.booleans())
def test_a_trace_says_the_same(tree, change):
    leaves, structure = jtu.tree_flatten(tree)
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]

    def equal(arrays):
        remaining = iter(arrays)
        other = [next(remaining) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        return tree_equal(tree, structure.unflatten(other))

    others = [a ^ change if a.dtype == bool else a + change for a in arrays]
    assert bool(jax.jit(equal)(others)) is bool(equal(others))


@law
@given(trees(leaves=jax_arrays(), depth=2), st.sampled_from([0.0, 0.1, 2.0]))
def test_tolerance_only_adds(tree, tolerance):
    shifted = jtu.tree_map(
        lambda leaf: leaf + 1 if isinstance(leaf, jax.Array) and leaf.dtype != bool else leaf, tree
    )
    exactly = bool(tree_equal(tree, shifted))
    assert bool(tree_equal(tree, shifted, atol=tolerance)) >= exactly
    assert bool(tree_equal(tree, shifted, rtol=tolerance)) >= exactly
    itself = bool(tree_equal(tree, tree))
    assert bool(tree_equal(tree, tree, atol=tolerance, rtol=tolerance)) is itself
