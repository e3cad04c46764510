"""Laws of migrations: rules forth and back, one after the other, and old files in new classes."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_filter import from_paths, load, save, tree_equal, tree_paths
from eqx_filter.migrations import join, migrate, rename, reverse, split, stack, transpose, unstack

from .settings import law

PARTS = st.sampled_from(["a", "b", "c", "0", "1", "ab"])
NAMES = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
SHAPES = st.lists(st.integers(0, 3), max_size=3)


@st.composite
def arrays(draw, shapes=SHAPES):
    """Arrays by names of which none is a node with others below."""
    names = draw(st.sets(NAMES, min_size=1, max_size=6))
    leaves = [it for it in sorted(names) if not any(o.startswith(f"{it}.") for o in names)]
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=draw(shapes)) for name in leaves}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@st.composite
def renames(draw, names):
    """A rename of a node, of which a part may be a star, to where nothing is."""
    name = draw(st.sampled_from(sorted(names)))
    parts = name.split(".")[: draw(st.integers(1, 3))]
    star = draw(st.integers(0, len(parts)))
    old = ".".join("*" if i == star else part for i, part in enumerate(parts))
    new = draw(st.sampled_from(["new", "new.x", "new_"])) + (".*.y" if "*" in old else "")
    return rename(old, new)


@law
@given(st.data())
def test_rules_of_one_name_lead_back(data):
    given = data.draw(arrays())
    rules = []
    for i in range(data.draw(st.integers(1, 3))):
        rule = data.draw(renames(migrate(given, rules)))
        new = rule.new.replace("new", f"new{i}")
        rules += [rename(rule.old, new), transpose(f"{new.split('.')[0]}.**")]
    assert_same(migrate(migrate(given, rules), reverse(rules)), given)


@law
@given(st.data())
def test_two_renames_are_one(data):
    given = data.draw(arrays())
    first = data.draw(renames(given))
    last = "end" + ".*" * first.new.count("*")
    assert_same(
        migrate(given, [first, rename(first.new, last)]), migrate(given, rename(first.old, last))
    )


@law
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), SHAPES, st.data())
def test_parts_lead_back(sizes, others, data):
    axis = data.draw(st.integers(0, len(others)))
    shape = [*others[:axis], sum(sizes), *others[axis:]]
    whole = {"a.0.w": np.arange(np.prod(shape)).reshape(shape), "x": np.ones(2)}
    rule = split("a.*", [f"p{i}.*" for i in range(len(sizes))], axis=axis, sizes=sizes)
    parts = migrate(whole, rule)
    assert [parts[f"p{i}.0.w"].shape[axis] for i in range(len(sizes))] == sizes
    assert_same(migrate(parts, reverse(rule)), whole)
    back = join(rule.new, "a.*", axis=axis, sizes=sizes)
    assert_same(migrate(parts, back), whole)


@law
@given(st.integers(1, 4), arrays())
def test_numbered_nodes_lead_back(count, node):
    many = {f"m.{i}.{name}": array + i for i in range(count) for name, array in node.items()}
    rule = stack("m.*", "m")
    one = migrate(many, rule)
    assert {array.shape[0] for array in one.values()} == {count}
    assert_same(migrate(one, reverse(rule)), many)
    assert_same(migrate(one, unstack("m", "m.*")), many)


@law
@given(st.data())
def test_an_old_file_loads_into_a_new_tree_with_equal_values(tmp_path_factory, data):
    old = data.draw(arrays())
    rules = [data.draw(renames(old)), transpose("**")]
    new = migrate(old, rules)
    assume(all(name for name in new))
    path = tmp_path_factory.getbasetemp() / "law.safetensors"
    save(path, _tree(old), durable=False)
    like = _tree({name: np.zeros_like(array) for name, array in new.items()})
    found = load(path, like, migrations=rules)
    assert_same(tree_paths(found), new)
    assert tree_equal(found, from_paths(like, new))


def _tree(leaves):
    tree = {}
    for name, array in leaves.items():
        *nodes, last = name.split(".")
        node = tree
        for part in nodes:
            node = node.setdefault(part, {})
        node[last] = array
    return tree
