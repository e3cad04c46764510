"""`ω`: arithmetic on PyTrees, against `tree_map`."""

import copy
import operator
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import tree_equal
from eqx_filter.trees import ω  # noqa: PLC2403
from eqx_filter.trees._omega import _Metaω  # noqa: PLC2403
from eqx_pytree import Module, field

FLOATS = {"a": jnp.array([1.5, -2.0, 3.0]), "b": (jnp.array([4.0, 0.5, 1.0]), 2.0), "c": None}
INTS = {"a": jnp.array([1, 2, 3]), "b": (jnp.array([6, 5, 4]), 2), "c": None}
OTHER_INTS = {"a": jnp.array([3, 1, 2]), "b": (jnp.array([1, 1, 2]), 5), "c": None}
ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
BITS = ["lshift", "rshift", "and_", "or_", "xor"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


class Pair(Module):
    x: jax.Array
    name: str = field(static=True)


def is_pair(node):
    return isinstance(node, tuple)


def is_none(node):
    return node is None


@pytest.mark.parametrize("name", ARITHMETIC + BITS + COMPARISONS)
def test_with_another_tree(name):
    operation = getattr(operator, name)
    expected = jtu.tree_map(operation, INTS, OTHER_INTS)
    assert tree_equal(operation(INTS**ω, OTHER_INTS**ω).ω, expected, typematch=True)


@pytest.mark.parametrize(
    "other", [2, True, jnp.array(3), jnp.arange(1, 4)], ids=["int", "bool", "scalar", "vector"]
)
@pytest.mark.parametrize("name", ARITHMETIC + BITS + COMPARISONS)
def test_with_a_number_or_an_array_on_either_side(name, other):
    operation = getattr(operator, name)
    right = jtu.tree_map(lambda x: operation(x, other), INTS)
    left = jtu.tree_map(lambda x: operation(other, x), INTS)
    assert tree_equal(operation(INTS**ω, other).ω, right)
    assert tree_equal(operation(other, INTS**ω).ω, left)


@pytest.mark.parametrize("name", ["neg", "pos", "abs"])
def test_of_one_operand(name):
    operation = getattr(operator, name)
    assert tree_equal(operation(FLOATS**ω).ω, jtu.tree_map(operation, FLOATS))


def test_invert():
    assert tree_equal((~ω([jnp.array([True, False])])).ω, [jnp.array([False, True])])


def test_matmul():
    matrix = jnp.arange(9.0).reshape(3, 3)
    vector = jnp.arange(3.0)
    assert tree_equal((ω([matrix]) @ ω([vector])).ω, [matrix @ vector])
    assert tree_equal((ω([matrix]) @ vector).ω, [matrix @ vector])
    assert tree_equal((matrix @ ω([vector])).ω, [matrix @ vector])


@given(st.recursive(st.floats(-9, 9), st.lists), st.floats(-9, 9))
@settings(max_examples=30, deadline=None)
def test_a_linear_combination_is_that_of_each_leaf(tree, number):
    out = (tree**ω + number * tree**ω - tree**ω / 4).ω
    assert tree_equal(out, jtu.tree_map(lambda x: x + number * x - x / 4, tree))


@pytest.mark.parametrize("value", [np.arange(3.0), np.float32(3), np.array(2.0)], ids=str)
def test_numpy_operands_meet_whole_trees(value):
    assert isinstance(value**ω, ω)
    assert (value**ω).ω is value
    for operation in (operator.sub, operator.lt, operator.pow):
        left, right = operation(value, ω([jnp.ones(3)])), operation(ω([jnp.ones(3)]), value)
        assert tree_equal(left.ω, [operation(jnp.asarray(value), jnp.ones(3))])
        assert tree_equal(right.ω, [operation(jnp.ones(3), jnp.asarray(value))])


@pytest.mark.parametrize("number", [np.float32(2), np.float64(2), np.array(2.0)], ids=repr)
def test_a_numpy_number_on_the_left_keeps_the_dtype(number):
    assert (number * ω(jnp.ones(2, jnp.float16))).ω.dtype == jnp.float16


def test_wrap_and_unwrap():
    assert (FLOATS**ω).ω is FLOATS
    assert ω(FLOATS).ω is FLOATS
    assert ω(value=FLOATS, is_leaf=is_none).is_leaf is is_none
    assert isinstance(ω, _Metaω)
    assert repr(ω([1, 2])) == "ω([1, 2])"


def test_call_and_index():
    tree = [jnp.arange(3.0), jnp.ones(3)]
    assert ω(tree).call(jnp.shape).ω == [(3,), (3,)]
    assert tree_equal(ω(tree)[1:].ω, [leaf[1:] for leaf in tree])
    assert tree_equal(ω(tree)[jnp.array([0, 2])].ω, [leaf[jnp.array([0, 2])] for leaf in tree])


@pytest.mark.parametrize("name", ["set", "add", "multiply", "divide", "power", "min", "max"])
def test_updates(name):
    tree = [jnp.arange(3.0), jnp.ones(3)]

    def update(leaf, other):
        return getattr(leaf.at[1:], name)(other)

    updated = getattr(ω(tree).at[1:], name)
    assert tree_equal(updated(2.5).ω, [update(leaf, 2.5) for leaf in tree])
    assert tree_equal(updated(ω([2.0, 3.0])).ω, list(map(update, tree, [2.0, 3.0])))


def test_is_leaf_chooses_the_leaves_and_stays():
    one, other = ω([(1,), None], is_pair), ω([(2,), None], is_pair)
    assert (one + other).ω == [(1, 2), None]
    results = [one + other, one * 2, 2 * one, one[0], one.call(len), one == other]
    assert all(result.is_leaf is is_pair for result in results)
    arrays = ω([jnp.ones(2)], is_none)
    assert arrays.at[0].set(3).is_leaf is is_none
    assert (-arrays).is_leaf is is_none


def test_is_leaf_made_anew_is_the_same():
    def make():
        return lambda node: node is None

    assert (ω([1], make()) + ω([2], make())).ω == [3]


@pytest.mark.parametrize("other", [None, is_pair], ids=["none", "another"])
def test_is_leaf_must_be_the_same(other):
    with pytest.raises(ValueError, match=r"must have the same `is_leaf`"):
        ω([1], is_none) + ω([1], other)
    with pytest.raises(ValueError, match=r"must have the same `is_leaf`"):
        ω([jnp.ones(2)], is_none).at[0].set(ω([1], other))


def test_structures_must_be_the_same():
    with pytest.raises(ValueError, match=r"at `tree\['b'\]` there is a `tuple` with 1 child inst"):
        ω({"a": 1, "b": (1,)}) + ω({"a": 1, "b": 2})
    with pytest.raises(ValueError, match=r"at `tree\[1\]` there is None instead of a leaf"):
        ω([1, None]) + ω([1, 2])
    with pytest.raises(ValueError, match=r"a `Pair` with other static values"):
        ω(Pair(jnp.ones(2), "one")) + ω(Pair(jnp.ones(2), "other"))


@pytest.mark.parametrize("other", [None, "text", [1], {}, len], ids=repr)
def test_other_operands_are_refused(other):
    message = r"must be another `ω`, a number or an array, not .*: `tree\*\*ω`"
    with pytest.raises(RuntimeError, match=message):
        ω([1]) + other
    with pytest.raises(RuntimeError, match=message):
        ω([jnp.ones(2)]).at[0].set(other)
    with pytest.raises(RuntimeError, match=message):
        ω([1]) == other  # noqa: B015


def test_what_a_leaf_raises_names_the_leaf():
    with pytest.raises(TypeError) as caught:
        ω({"a": [1.0, "text"]}) + 1
    assert "the leaf `tree['a'][1]` of an `ω`: a `str`" in caught.value.__notes__[-1]
    with pytest.raises(TypeError) as caught:
        ω([jnp.ones(3), jnp.ones(2)]) + jnp.ones(3)
    assert "an array of shape (2,)" in caught.value.__notes__[-1]
    with pytest.raises(AttributeError) as caught:
        ω([jnp.ones(3), 2.0]).at[0].set(1)
    assert "`tree[1]`" in caught.value.__notes__[-1]
    with pytest.raises(TypeError) as caught:
        ω([jnp.ones(3), 2.0])[0]
    assert "`tree[1]`" in caught.value.__notes__[-1]


def test_it_has_no_iteration_but_truth_and_hash():
    with pytest.raises(TypeError, match=r"not iterable"):
        list(ω(jnp.ones(3)))
    one = ω([1])
    assert bool(one)
    assert {one: 2}[one] == 2


def test_copies():
    for made in (copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))):
        copied = made(ω([1, 2], is_pair))
        assert copied.ω == [1, 2]
        assert copied.is_leaf is is_pair


def test_transformed():
    tree = [jnp.arange(3.0), jnp.ones(3)]

    def step(scale, x):
        return (x**ω + scale * x**ω * x**ω).ω

    def plain(scale, x):
        return jtu.tree_map(lambda leaf: leaf + scale * leaf * leaf, x)

    def total(fun):
        return lambda scale: sum(leaf.sum() for leaf in fun(scale, tree))

    assert tree_equal(jax.jit(step)(2.0, tree), plain(2.0, tree))
    assert tree_equal(jax.vmap(step)(jnp.arange(3.0), tree), plain(jnp.arange(3.0), tree))
    assert jax.grad(total(step))(2.0) == jax.grad(total(plain))(2.0)


@pytest.mark.parametrize("empty", [(), None, {"a": []}], ids=repr)
def test_empty_trees(empty):
    assert (-(empty**ω) + 1 + empty**ω).ω == empty


def test_nested_and_typed_keys():
    assert (ω([ω(1)]) + 1).ω[0].ω == 2
    keys = jax.random.split(jax.random.key(0), 3)
    assert (keys[0] ** ω == keys[0] ** ω).ω
    assert (ω([keys])[1] == keys[1]).ω == [True]
