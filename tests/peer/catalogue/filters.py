"""`filter`, `partition` and `combine`."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx
import equinox.internal as eqxi

TREE = [1, jnp.ones(2), {"a": None, "b": (2.0, Pair(jnp.zeros(1)))}]


def is_tuple(x):
    return isinstance(x, tuple)


def is_none(x):
    return x is None


@over(LEAVES)
def case_filter_leaf(leaf):
    return eqx.filter([leaf, 7], eqx.is_array)


@over(LEAVES)
def case_partition_and_combine_leaf(leaf):
    traced, rest = eqx.partition({"x": leaf}, eqx.is_inexact_array_like)
    return jax.tree.structure(traced), rest, eqx.combine(traced, rest)


SPECS = {
    "function": eqx.is_array,
    "True": True,
    "False": False,
    "prefix": [True, False, True],
    "prefix of functions": [True, eqx.is_array, False],
    "deep": [True, False, {"a": True, "b": (False, eqx.is_array)}],
    "too short": [True, False],
    "another container": (True, False, True),
    "number": 3,
    "string": [True, "a", True],
    "None": None,
    "None inside": [True, None, True],
    "numpy bool": np.bool_(True),
    "0": 0,
    "1": 1,
    "array": jnp.array(True),
    "answers an array": lambda x: jnp.array(True),
    "answers a numpy bool": lambda x: np.bool_(True),
    "answers a number": lambda x: 1,
    "answers None": lambda x: None,
    "raises": lambda x: 1 / 0,
    "deeper than the tree": [(True, False), True, True],
}


@over(SPECS)
def case_filter_spec(spec):
    return eqx.filter(TREE, spec)


@over(SPECS)
def case_filter_spec_inverse(spec):
    return eqx.filter(TREE, spec, inverse=True)


@over(SPECS)
def case_partition_spec(spec):
    return eqx.partition(TREE, spec, replace="gone")


@over({"None": None, "0": 0, "tuple": (1, 2), "array": jnp.ones(1)})
def case_filter_replace(replace):
    return eqx.filter(TREE, eqx.is_array, replace=replace)


def case_filter_is_leaf():
    return eqx.filter([1, 2, (3, 4)], is_tuple, is_leaf=is_tuple)


def case_filter_none_as_leaf():
    return eqx.filter([1, None], is_none, replace=5, is_leaf=is_none)


@over({"None": None, "list": [], "leaf": 3, "array": jnp.ones(1), "function": len, "tuple": ()})
def case_filter_whole(tree):
    return eqx.filter(tree, eqx.is_array), eqx.filter(tree, True), eqx.partition(tree, False)


def case_filter_spec_is_a_module():
    return eqx.filter(Pair(1), Pair(True)), eqx.filter(Pair(1), Pair(False))


def case_filter_spec_module_of_another_static():
    return eqx.filter(Pair(1), Pair(True, tag="other"))


def case_filter_module_is_leaf():
    return eqx.filter([Pair(1), 2], lambda x: isinstance(x, Pair), is_leaf=lambda x: x == Pair(1))


def case_partition_is_leaf():
    return eqx.partition([1, (2, 3), None], is_tuple, is_leaf=is_tuple)


def case_partition_replace_that_matches():
    return eqx.partition([1, None, 2], lambda x: x == 1, replace=7)


COMBINED = {
    "nothing": (),
    "one": ([1, None],),
    "two": ([1, None], [None, 2]),
    "three": ([1, None, None], [None, 2, None], [None, None, 3]),
    "first wins": ([1, None], [3, 2], [4, 5]),
    "all None": ([None], [None]),
    "None and leaf": (None, 3),
    "leaf and None": (3, None),
    "Nones": (None, None),
    "another length": ([1, None], [None, 2, 3]),
    "deeper second": ([1, None], [None, (2, 3)]),
    "deeper first": ([None, (2, 3)], [1, None]),
    "another container": ([None], (1,)),
    "other keys": ({"a": None}, {"b": 1}),
    "Modules": (Pair(None), Pair(1)),
    "Modules of another static": (Pair(None), Pair(1, tag="other")),
    "key order": ({"a": None, "b": 2}, {"b": None, "a": 1}),
}


@over(COMBINED)
def case_combine(trees):
    return eqx.combine(*trees)


def case_combine_is_leaf():
    return eqx.combine([(1, 2), None], [(5, 6), (2, 3)], is_leaf=is_tuple)


def case_combine_filtered_module():
    model = Pair(jnp.ones(2))
    return eqx.combine(model, eqx.filter(model, False))


def case_hashable_partition():
    leaves, static = eqxi.hashable_partition(TREE, eqx.is_array)
    return leaves, hash(static) == hash(static), eqxi.hashable_combine(leaves, static)


def case_hashable_partition_equal():
    first = eqxi.hashable_partition([1.0, jnp.ones(2)], eqx.is_array)[1]
    return first == eqxi.hashable_partition([1.0, jnp.zeros(3)], eqx.is_array)[1]


def case_hashable_partition_of_unhashable():
    leaves, static = eqxi.hashable_partition([{1}, jnp.ones(2)], eqx.is_array)
    return leaves, eqxi.hashable_combine(leaves, static)


def case_hashable_partition_of_unhashable_is_hashed():
    return hash(eqxi.hashable_partition([{1}], eqx.is_array)[1])
