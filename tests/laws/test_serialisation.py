"""Saving and loading: what comes back is what was saved, and both read and write the same bytes."""

import io

import jax
import jax.tree_util as jtu
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eqx_filter import is_array, tree_deserialise_leaves, tree_serialise_leaves

from . import values
from .settings import law
from .trees import trees

KINDS = (bool, int, float, complex)
LEAVES = st.one_of(
    values.jax_arrays(),
    values.numpy_arrays(),
    values.plain_leaves(),
    st.builds(jax.random.key, st.integers(0, 3)),
)


def is_saved(leaf):
    if isinstance(leaf, int):
        return -(2**63) <= leaf < 2**64
    return is_array(leaf) or isinstance(leaf, KINDS)


def blank(leaf):
    """A leaf of the same kind that holds nothing of the value."""
    if isinstance(leaf, jax.Array):
        return jax.eval_shape(lambda: leaf)
    if isinstance(leaf, np.ndarray):
        return np.zeros_like(leaf)
    if isinstance(leaf, np.generic):
        return type(leaf)(0)
    return leaf


def save(tree):
    file = io.BytesIO()
    tree_serialise_leaves(file, tree)
    return file.getvalue()


def same(one, other):
    if isinstance(one, jax.Array):
        both = isinstance(other, jax.Array) and one.dtype == other.dtype
        return both and save(one) == save(other)
    return type(one) is type(other) and (not is_saved(one) or save(one) == save(other))


class TestRoundTrip:
    @law
    @given(trees(leaves=LEAVES.filter(lambda leaf: is_saved(leaf) or not is_int(leaf))))
    def test_gives_the_tree_back(self, tree):
        data = save(tree)
        file = io.BytesIO(data + b"rest")
        back = tree_deserialise_leaves(file, jtu.tree_map(blank, tree))
        assert file.read() == b"rest"
        assert jtu.tree_structure(back) == jtu.tree_structure(tree)
        assert all(map(same, jtu.tree_leaves(back), jtu.tree_leaves(tree)))
        assert save(back) == data

    @law
    @given(trees(leaves=LEAVES.filter(lambda leaf: is_saved(leaf) or not is_int(leaf))))
    def test_each_leaf_is_saved_by_itself(self, tree):
        assert save(tree) == b"".join(map(save, jtu.tree_leaves(tree)))


def is_int(leaf):
    return isinstance(leaf, int)
