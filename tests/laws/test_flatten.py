"""Flatten, flatten with paths, and unflatten: what JAX sees of a tree is what is there."""

import copy

import jax
import jax.tree_util as jtu
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_pytree import Module

from . import oracle
from .settings import law
from .trees import portable_trees, trees
from .values import jit_leaves


def step(node, key):
    """Go one step along a key path of JAX."""
    if isinstance(key, jtu.GetAttrKey):
        return getattr(node, key.name)
    if isinstance(key, jtu.DictKey):
        return node[key.key]
    if isinstance(key, jtu.SequenceKey):
        return node[key.idx]
    return oracle.children(node)[1][key.key][1]


@law
@given(trees())
def test_leaves_come_in_the_order_of_fields_items_and_sorted_keys(tree):
    leaves = jtu.tree_leaves(tree)
    assert list(map(id, leaves)) == list(map(id, oracle.leaves(tree)))


@law
@given(trees())
def test_unflatten_undoes_flatten(tree):
    leaves, structure = jtu.tree_flatten(tree)
    rebuilt = structure.unflatten(leaves)
    assert oracle.identical(rebuilt, tree)
    assert jtu.tree_structure(rebuilt) == structure


@law
@given(trees())
def test_flatten_changes_nothing(tree):
    nodes = [node for _, node in oracle.places(tree, nodes=True)]
    before = [dict(vars(node)) if hasattr(node, "__dict__") else None for node in nodes]
    jtu.tree_flatten(tree)
    jtu.tree_flatten_with_path(tree)
    for node, held in zip(nodes, before, strict=True):
        if held is not None:
            assert list(vars(node)) == list(held)
            assert all(vars(node)[name] is value for name, value in held.items())


@law
@given(trees())
def test_paths_lead_to_their_leaves(tree):
    pairs, structure = jtu.tree_flatten_with_path(tree)
    for path, leaf in pairs:
        found = tree
        for key in path:
            found = step(found, key)
        assert found is leaf
    assert len({path for path, _ in pairs}) == len(pairs)
    assert list(map(id, jtu.tree_leaves(tree))) == [id(leaf) for _, leaf in pairs]
    assert jtu.tree_structure(tree) == structure


@law
@given(trees())
def test_any_leaves_can_be_put_in(tree):
    structure = jtu.tree_structure(tree)
    leaves = [object() for _ in range(structure.num_leaves)]
    rebuilt = structure.unflatten(leaves)
    assert oracle.shape(rebuilt) == oracle.shape(tree)
    assert list(map(id, jtu.tree_leaves(rebuilt))) == list(map(id, leaves))
    assert jtu.tree_leaves(structure.unflatten([None] * len(leaves))) == []


@law
@given(trees(depth=1), trees(depth=1))
def test_structures_are_equal_where_all_but_the_leaves_is(one, other):
    for x, y in ((one, other), (one, jtu.tree_map(lambda leaf: leaf, one))):
        same = oracle.shape(x) == oracle.shape(y)
        assert (jtu.tree_structure(x) == jtu.tree_structure(y)) is same
        assert (jtu.tree_structure(x) != jtu.tree_structure(y)) is not same


@law
@given(trees())
def test_equal_structures_have_one_hash(tree):
    structure = jtu.tree_structure(tree)
    again = jtu.tree_structure(jtu.tree_map(lambda leaf: object(), tree))
    assert structure == again
    assert oracle.has_hash(structure) == oracle.has_hash(again)
    if oracle.has_hash(structure):
        assert hash(structure) == hash(again)


def test_a_method_can_be_put_together_around_none():
    class Holder(Module):
        def method(self):
            return 1

    holder = Holder()
    jtu.tree_map(lambda node: None, holder.method, is_leaf=lambda node: node is holder)


@law
@given(trees(), st.data())
def test_flattening_stops_where_it_is_told_to(tree, data):
    nodes = [node for _, node in oracle.places(tree, nodes=True)]
    stop = data.draw(st.sampled_from(nodes))
    found, structure = jtu.tree_flatten(tree, is_leaf=lambda node: node is stop)
    assert any(node is stop for node in found)
    assert oracle.identical(structure.unflatten(found), tree)
    assert list(map(id, structure.flatten_up_to(tree))) == list(map(id, found))


@law
@given(trees())
def test_trees_transpose(tree):
    structure = jtu.tree_structure(tree)
    assume(structure.num_leaves)  # JAX cannot transpose a tree without leaves
    pairs = jtu.tree_map(lambda leaf: [leaf, 0], tree)
    leaves, zeros = jtu.tree_transpose(structure, jtu.tree_structure([0, 0]), pairs)
    assert oracle.identical(leaves, tree)
    assert jtu.tree_leaves(zeros) == [0] * structure.num_leaves
    assert jtu.tree_structure(zeros) == structure


@law
@given(trees())
def test_a_shallow_copy_holds_the_same_leaves(tree):
    assert oracle.identical(copy.copy(tree), tree)


@law
@given(portable_trees())
def test_a_deep_copy_has_equal_leaves(tree):
    assert oracle.same(copy.deepcopy(tree), tree)


@law
@given(trees(leaves=jit_leaves()))
def test_jax_maps_each_leaf(tree):
    counts = iter(range(len(jtu.tree_leaves(tree))))
    numbers = jax.tree.map(lambda leaf: next(counts), tree)
    assert jtu.tree_leaves(numbers) == list(range(len(jtu.tree_leaves(tree))))
    assert oracle.shape(numbers) == oracle.shape(tree)
