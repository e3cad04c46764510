"""`partition`, `filter`, `combine` and their hashable kin: nothing is lost, nothing is moved."""

import jax
import jax.tree_util as jtu
from hypothesis import given
from hypothesis import strategies as st

from eqx_filter import (
    apply_updates,
    combine,
    filter,
    hashable_combine,
    hashable_partition,
    is_array,
    is_array_like,
    is_inexact_array,
    is_inexact_array_like,
    partition,
)

from . import oracle
from .settings import law, law_of_programs
from .trees import CONTAINERS, EVERYTHING, MODULES, trees
from .values import jax_arrays, jit_leaves

PREDICATES = [
    is_array,
    is_array_like,
    is_inexact_array,
    is_inexact_array_like,
    callable,
    lambda leaf: isinstance(leaf, str),
]
REPLACEMENT = object()


@st.composite
def specs(draw, tree):
    """A filter for a tree, and what it says of each leaf, told without the filter."""
    nodes = [node for _, node in oracle.replaceable(tree)]
    cut = {id(node) for node in draw(st.lists(st.sampled_from(nodes), max_size=3))}
    subtrees, structure = jtu.tree_flatten(tree, is_leaf=lambda node: id(node) in cut)
    choices = st.booleans() | st.sampled_from(PREDICATES)
    said = [draw(choices) for _ in subtrees]
    mask = [
        bool(spec(leaf)) if callable(spec) else spec
        for spec, subtree in zip(said, subtrees, strict=True)
        for leaf in oracle.leaves(subtree)
    ]
    return structure.unflatten(said), mask


def at_places(tree, part):
    """What stands in a part at the place of each leaf of the tree."""
    return jtu.tree_structure(tree).flatten_up_to(part)


def chosen(leaves, mask, *, other=None):
    return [leaf if m else other for leaf, m in zip(leaves, mask, strict=True)]


def ids(values):
    return list(map(id, values))


@law
@given(trees(), st.data())
def test_combine_undoes_partition(tree, data):
    spec, _ = data.draw(specs(tree))
    assert oracle.identical(combine(*partition(tree, spec)), tree)


@law
@given(trees(), st.data())
def test_each_leaf_is_in_one_part(tree, data):
    spec, mask = data.draw(specs(tree))
    leaves = oracle.leaves(tree)
    kept, rest = partition(tree, spec)
    assert ids(at_places(tree, kept)) == ids(chosen(leaves, mask))
    assert ids(at_places(tree, rest)) == ids(chosen(leaves, [not m for m in mask]))


@law
@given(trees(), st.data())
def test_filter_gives_the_parts(tree, data):
    spec, mask = data.draw(specs(tree))
    leaves = oracle.leaves(tree)
    kept, rest = partition(tree, spec, replace=REPLACEMENT)
    for part, expected in ((kept, mask), (rest, [not m for m in mask])):
        expected_leaves = chosen(leaves, expected, other=REPLACEMENT)
        assert oracle.shape(part) == oracle.shape(tree)
        assert ids(oracle.leaves(part)) == ids(expected_leaves)
    assert oracle.identical(filter(tree, spec, replace=REPLACEMENT), kept)
    assert oracle.identical(filter(tree, spec, inverse=True, replace=REPLACEMENT), rest)


@law
@given(trees(kinds=[kind for kind in EVERYTHING if kind != "method"]), st.data())
def test_leaves_may_be_nodes(tree, data):
    nodes = [node for _, node in oracle.replaceable(tree)]
    stop = data.draw(st.sampled_from(nodes))

    def is_stop(node):
        return node is stop

    kept, rest = partition(tree, is_stop, is_leaf=is_stop)
    assert [leaf for leaf in jtu.tree_leaves(kept, is_stop) if leaf is not stop] == []
    assert any(leaf is stop for leaf in jtu.tree_leaves(kept, is_stop))
    assert oracle.identical(combine(kept, rest, is_leaf=is_stop), tree)


@law
@given(trees(), st.data())
def test_many_parts_combine_in_any_order(tree, data):
    leaves, structure = jtu.tree_flatten(tree)
    owners = [data.draw(st.integers(0, 2)) for _ in leaves]
    parts = [structure.unflatten(chosen(leaves, [o == i for o in owners])) for i in range(3)]
    parts = data.draw(st.permutations(parts))
    assert oracle.identical(combine(*parts), tree)
    assert oracle.identical(combine(combine(parts[0], parts[1]), parts[2]), tree)
    assert oracle.identical(combine(parts[0], combine(parts[1], parts[2])), tree)


@law
@given(trees(), st.data())
def test_the_first_leaf_counts(tree, data):
    _, mask = data.draw(specs(tree))
    leaves, structure = jtu.tree_flatten(tree)
    others = [object() for _ in leaves]
    part = structure.unflatten(chosen(leaves, mask))
    combined = combine(part, structure.unflatten(others))
    expected = [mine if m else other for mine, other, m in zip(leaves, others, mask, strict=True)]
    assert ids(oracle.leaves(combined)) == ids(expected)
    assert oracle.identical(combine(tree), tree)
    assert oracle.identical(combine(tree, part), tree)


@law
@given(trees(leaves=jit_leaves()))
def test_hashable_combine_undoes_hashable_partition(tree):
    dynamic, static = hashable_partition(tree, is_array)
    assert oracle.identical(hashable_combine(dynamic, static), tree)
    again = hashable_partition(jtu.tree_map(lambda leaf: leaf, tree), is_array)[1]
    assert static == again
    if oracle.has_hash(jtu.tree_structure(tree)):
        assert hash(static) == hash(again)


@law
@given(trees(depth=1, leaves=jit_leaves()), trees(depth=1, leaves=jit_leaves()))
def test_what_is_hashable_is_equal_where_all_but_the_arrays_is(one, other):
    parts = [hashable_partition(tree, is_array)[1] for tree in (one, other)]
    static = [filter(tree, is_array, inverse=True, replace=REPLACEMENT) for tree in (one, other)]
    assert (parts[0] == parts[1]) is oracle.same(*static)


@law_of_programs
@given(trees(leaves=jax_arrays(odd=False), kinds=[*CONTAINERS, *MODULES]), st.data())
def test_updates_are_added_where_there_are_any(tree, data):
    _, mask = data.draw(specs(tree))
    leaves, structure = jtu.tree_flatten(tree)
    updated = apply_updates(tree, structure.unflatten(chosen(leaves, mask)))
    expected = [leaf + leaf if m else leaf for leaf, m in zip(leaves, mask, strict=True)]
    assert oracle.same(updated, structure.unflatten(expected))
    untouched = apply_updates(tree, structure.unflatten([None] * len(leaves)))
    assert oracle.identical(untouched, tree)


@law
@given(trees(leaves=jit_leaves()))
def test_predicates_agree(tree):
    for leaf in oracle.leaves(tree):
        if isinstance(leaf, type):
            continue  # JAX takes the type `bool` for True
        assert is_array(leaf) or not is_inexact_array(leaf)
        assert is_inexact_array_like(leaf) or not is_inexact_array(leaf)
        accepted = True
        try:
            jax.numpy.array(leaf)
        except Exception:
            accepted = False
        assert is_array_like(leaf) is accepted
