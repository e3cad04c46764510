"""Paths and selectors: names lead back, masks are complements, parts come together again."""

import jax.tree_util as jtu
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_filter import by, combine, from_paths, partition_by, tree_at, tree_mask, tree_paths

from . import oracle
from .settings import law
from .trees import trees


def named(tree):
    """The leaves by path, of trees whose paths differ."""
    try:
        return tree_paths(tree)
    except ValueError:
        with pytest.raises(ValueError, match="Two leaves have the path"):
            tree_paths(tree)
        assume(False)


def drawn(data, tree):
    """A selector of some leaves, made of their paths, or of a node above them."""
    paths = data.draw(st.lists(st.sampled_from([*named(tree)]), min_size=1, unique=True))
    if data.draw(st.booleans()):
        return by(lambda path, node: path in paths)
    cut = data.draw(st.integers(0, paths[0].count(".")))
    return by(".".join(paths[0].split(".")[: cut + 1]) if "\\" not in paths[0] else paths[0])


def identities(tree):
    return list(map(id, jtu.tree_leaves(tree)))


@law
@given(trees())
def test_the_way_back_is_the_identity(tree):
    leaves = named(tree)
    assert list(map(id, leaves.values())) == identities(tree)
    back = from_paths(tree, leaves)
    assert identities(back) == identities(tree)
    assert oracle.places(back) == oracle.places(tree)


@law
@given(trees())
def test_each_path_selects_its_leaf(tree):
    paths = [*named(tree)]
    for i, path in enumerate(paths):
        mask = jtu.tree_leaves(tree_mask(tree, path))
        assert [j for j, it in enumerate(mask) if it] == [i]


@law
@given(trees(), st.data())
def test_masks_of_what_is_put_together(tree, data):
    assume(jtu.tree_leaves(tree))
    one, other = drawn(data, tree), drawn(data, tree)
    a, b = (jtu.tree_leaves(tree_mask(tree, it)) for it in (one, other))
    pairs = list(zip(a, b, strict=True))
    assert jtu.tree_leaves(tree_mask(tree, one | other)) == [x or y for x, y in pairs]
    if any(x and y for x, y in pairs):
        assert jtu.tree_leaves(tree_mask(tree, one & other)) == [x and y for x, y in pairs]
    if not all(a):
        assert jtu.tree_leaves(tree_mask(tree, ~one)) == [not x for x in a]
        assert jtu.tree_leaves(tree_mask(tree, ~~one)) == a


@law
@given(trees(), st.data())
def test_parts_come_together_again(tree, data):
    assume(jtu.tree_leaves(tree))
    part, rest = partition_by(tree, drawn(data, tree))
    assert identities(combine(part, rest)) == identities(tree)


@law
@given(trees(), st.data())
def test_tree_at_replaces_what_the_mask_says(tree, data):
    assume(jtu.tree_leaves(tree))
    selector = drawn(data, tree)
    mask = jtu.tree_leaves(tree_mask(tree, selector))
    new = object()
    changed = tree_at(selector, tree, replace_fn=lambda node: jtu.tree_map(lambda _: new, node))
    expected = [new if it else leaf for it, leaf in zip(mask, jtu.tree_leaves(tree), strict=True)]
    assert identities(changed) == list(map(id, expected))
