"""Patterns over paths, held against a plain search through all paths."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqx_filter import by, tree_at, tree_mask, tree_paths

TREE = {
    "layers": [{"weight": 1, "bias": 2}, {"weight": 3, "bias": 4}],
    "head": {"weight": 5, "bias": {"weight": 6}},
    "a.b": 7,
    "x*y": {"": 8},
}


def chosen(where, tree=TREE):
    return [path for path, it in tree_paths(tree_mask(tree, where)).items() if it]


def matches(pattern, parts):
    """Whether a row of parts matches a row of parts, some of which are `*` or `**`."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(matches(pattern[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and pattern[0] in ("*", parts[0]) and matches(pattern[1:], parts[1:])


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("layers.0.weight", ["layers.0.weight"]),
        ("layers.*.weight", ["layers.0.weight", "layers.1.weight"]),
        ("layers.1", ["layers.1.bias", "layers.1.weight"]),
        ("**.weight", ["head.bias.weight", "head.weight", "layers.0.weight", "layers.1.weight"]),
        ("head.**", ["head.bias.weight", "head.weight"]),
        ("head.**.weight", ["head.bias.weight", "head.weight"]),
        ("*.weight", ["head.weight"]),
        ("l*s.*.b*", ["layers.0.bias", "layers.1.bias"]),
        (r"a\.b", [r"a\.b"]),
        (r"x\*y", [r"x\*y.\e"]),
        (r"x\*y.\e", [r"x\*y.\e"]),
        ("layers[0].weight", ["layers.0.weight"]),
        ("layers[*].weight", ["layers.0.weight", "layers.1.weight"]),
        ("['layers'][0]['weight']", ["layers.0.weight"]),
        ("model['layers'][0]['weight']", ["layers.0.weight"]),
        ("pytree.layers[1].bias", ["layers.1.bias"]),
        ("tree.head.weight", ["head.weight"]),
        (".head.weight", ["head.weight"]),
        ("['a.b']", [r"a\.b"]),
        ("['x*y']['']", [r"x\*y.\e"]),
        ("**", [*tree_paths(TREE)]),
        ("", [*tree_paths(TREE)]),
    ],
)
def test_each_form(pattern, paths):
    assert chosen(pattern) == paths


def test_what_a_message_calls_the_tree_may_be_a_part_as_well():
    tree = {"model": {"head": 1}, "head": 2}
    assert chosen("model.head", tree) == ["model.head"]
    assert chosen("params.head", tree) == ["head"]
    with pytest.raises(ValueError, match="selects nothing"):
        chosen("model.body", {"model": {"head": 1}, "body": 2})


def test_keys_that_are_no_strings_as_python_has_them():
    tree = {(0, 1): 1, (0, 2): 2}
    assert chosen("[(0, 1)]", tree) == ["(0, 1)"]


@given(st.lists(st.sampled_from(["a", "b", "*", "**"]), max_size=4))
def test_a_pattern_is_what_its_definition_says(pattern):
    rows = [row for n in range(4) for row in itertools.product("ab", repeat=n)]
    tree = {"a": {"a": {"a": 0, "b": 1}, "b": {"a": 2, "b": 3}}, "b": {"a": 4, "b": {"a": 5}}}
    nodes = [row for row in rows if follow(tree, row) is not None]
    expected = [row for row in nodes if matches(pattern, row)]
    text = ".".join(pattern)
    if not expected:
        with pytest.raises(ValueError, match="selects nothing"):
            chosen(text, tree)
        return
    leaves = [row for row in nodes if not isinstance(follow(tree, row), dict)]
    below = [row for row in leaves if any(row[:n] in expected for n in range(len(row) + 1))]
    assert chosen(text, tree) == [".".join(row) for row in sorted(below)]
    outermost = [r for r in expected if not any(r[:n] in expected for n in range(len(r)))]
    changed = tree_at(text, tree, replace_fn=lambda _: "new")
    assert all(follow(changed, row) == "new" for row in outermost)
    assert len([x for x in tree_paths(changed).values() if x == "new"]) == len(outermost)


def follow(tree, row):
    for key in row:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("a..b", r"`a\.\.b` is no path: it has an empty part"),
        ("a.", r"`a\.` is no path"),
        ("a[0", r"`a\[0` is no path in Python's form: from `\[0` on"),
        ("layers[0]weight.", r"from `\.` on"),
    ],
)
def test_what_is_no_path(pattern, told):
    with pytest.raises(ValueError, match=told):
        by(pattern)
