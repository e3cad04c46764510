"""`tree_at`: what is put somewhere is there, and nothing else has changed."""

import jax.tree_util as jtu
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_filter import tree_at, tree_check

from . import oracle
from .settings import law
from .trees import CALLABLES, CONTAINERS, MODULES, trees


def addressable(tree):
    """The nodes that have an identity of their own: Python has one None, and one `()`."""
    return [pair for pair in oracle.replaceable(tree) if type(pair[1]) is not tuple or pair[1]]


def pick(data, tree):
    found = addressable(tree)
    assume(found)
    return data.draw(st.sampled_from(found))


def starts_with(path, other):
    return path[: len(other)] == other


@law
@given(trees(), st.data())
def test_what_is_put_is_there_and_the_rest_is_as_before(tree, data):
    path, node = pick(data, tree)
    where, new = oracle.follow(path), object()
    before = oracle.places(tree)
    changed = tree_at(where, tree, new)
    assert where(changed) is new
    kept = [(p, id(leaf)) for p, leaf in before if not starts_with(p, path)]
    now = [(p, id(leaf)) for p, leaf in oracle.places(changed) if leaf is not new]
    assert now == kept
    assert where(tree) is node
    assert [id(leaf) for _, leaf in before] == list(map(id, oracle.leaves(tree)))


@law
@given(trees(), st.data())
def test_putting_what_is_there_changes_nothing(tree, data):
    path, node = pick(data, tree)
    where = oracle.follow(path)
    assert oracle.identical(tree_at(where, tree, node), tree)
    assert oracle.identical(tree_at(where, tree, replace_fn=lambda node: node), tree)


@law
@given(trees(), trees(depth=1), trees(depth=1), st.data())
def test_what_is_put_last_counts(tree, first, last, data):
    path, _ = pick(data, tree)
    where = oracle.follow(path)
    assume(oracle.children(first) and oracle.leaves(first))
    twice = tree_at(where, tree_at(where, tree, first), last)
    assert oracle.identical(twice, tree_at(where, tree, last))
    assert oracle.identical(where(twice), last)


@law
@given(trees(), st.data())
def test_replace_fn_is_given_the_node(tree, data):
    path, node = pick(data, tree)
    given_nodes = []
    changed = tree_at(
        oracle.follow(path), tree, replace_fn=lambda node: [given_nodes.append(node), node]
    )
    assert len(given_nodes) == 1
    assert oracle.identical(given_nodes[0], node)
    assert oracle.identical(oracle.follow(path)(changed)[1], node)


@law
@given(trees(), st.data())
def test_several_at_once_are_one_after_another(tree, data):
    paths = [pick(data, tree)[0] for _ in range(data.draw(st.integers(1, 3)))]
    assume(not any(starts_with(p, q) for i, p in enumerate(paths) for q in paths[:i]))
    assume(not any(starts_with(q, p) for i, p in enumerate(paths) for q in paths[:i]))
    wheres = [oracle.follow(path) for path in paths]
    new = [object() for _ in paths]
    kind = data.draw(st.sampled_from([tuple, list]))
    at_once = tree_at(lambda tree: kind(where(tree) for where in wheres), tree, new)
    in_turn = tree
    for where, value in zip(wheres, new, strict=True):
        in_turn = tree_at(where, in_turn, value)
    assert oracle.identical(at_once, in_turn)


@law
@given(trees(), st.data())
def test_nodes_inside_one_another_are_refused(tree, data):
    inner, _ = pick(data, tree)
    above = [p for p, _ in addressable(tree) if starts_with(inner, p) and p != inner]
    assume(above)
    paths = data.draw(st.permutations([inner, data.draw(st.sampled_from(above))]))
    wheres = [oracle.follow(path) for path in paths]
    with pytest.raises(ValueError, match="lies inside another node"):
        tree_at(lambda tree: [where(tree) for where in wheres], tree, [0, 0])


@law
@given(trees(), st.data())
def test_none_can_be_replaced_where_it_is_a_leaf(tree, data):
    nones = [path for path, node in oracle.places(tree, nodes=True) if node is None]
    assume(nones)
    where, new = oracle.follow(data.draw(st.sampled_from(nones))), object()
    changed = tree_at(where, tree, new, is_leaf=lambda node: node is None)
    assert where(changed) is new
    back = tree_at(where, changed, None)
    assert oracle.identical(back, tree)


@law
@given(trees(kinds=[*CONTAINERS, *MODULES, *CALLABLES]))
def test_a_tree_without_shared_nodes_passes_the_check(tree):
    nodes = [node for _, node in oracle.places(tree, nodes=True) if oracle.children(node)]
    assume(len(set(map(id, nodes))) == len(nodes))
    tree_check(tree)


@law
@given(trees())
def test_a_shared_node_is_named_by_the_check(tree):
    assume(oracle.leaves(tree))
    with pytest.raises(ValueError, match="appears in the PyTree multiple times"):
        tree_check({"a": tree, "b": [tree]})


@law
@given(trees())
def test_a_tree_that_was_rebuilt_passes_the_check(tree):
    tree_check(jtu.tree_map(lambda leaf: object(), tree))
