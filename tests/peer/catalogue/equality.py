"""`tree_equal`, `==` and `hash`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx

NAN = float("nan")
PAIRS = {
    "int": (1, 1),
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "list and tuple": ([1], (1,)),
    "jax and numpy": (jnp.ones(2), np.ones(2, np.float32)),
    "numpy and jax": (np.ones(2, np.float32), jnp.ones(2)),
    "numpy": (np.ones(2), np.ones(2)),
    "numpy dtypes": (np.ones(2), np.ones(2, np.float32)),
    "jax dtypes": (jnp.ones(2), jnp.ones(2, jnp.int32)),
    "jax shapes": (jnp.ones(2), jnp.ones((2, 1))),
    "weak and strong": (jnp.asarray(1.0), jnp.asarray(1.0, jnp.float32)),
    "nan": (NAN, NAN),
    "nan arrays": (jnp.array(NAN), jnp.array(NAN)),
    "nan numpy arrays": (np.array(NAN), np.array(NAN)),
    "signed zeros": (0.0, -0.0),
    "signed zero arrays": (jnp.array(0.0), jnp.array(-0.0)),
    "keys": (jax.random.key(0), jax.random.key(0)),
    "other keys": (jax.random.key(0), jax.random.key(1)),
    "key and raw key": (jax.random.key(0), jax.random.PRNGKey(0)),
    "key implementations": (jax.random.key(0, impl="rbg"), jax.random.key(0)),
    "near arrays": (jnp.ones(2), jnp.ones(2) + 1e-3),
    "near floats": (1.0, 1.001),
    "near complex": (jnp.ones(1, jnp.complex64), jnp.ones(1, jnp.complex64) + 1e-3j),
    "near bfloat16": (jnp.ones(1, jnp.bfloat16), jnp.ones(1, jnp.bfloat16) * 1.01),
    "near ints": (jnp.arange(2), jnp.arange(2) + 1),
    "bool arrays": (jnp.ones(2, bool), jnp.zeros(2, bool)),
    "int and numpy int": (1, np.int64(1)),
    "int and jax array": (1, jnp.array(1)),
    "float and jax array": (1.0, jnp.array(1.0)),
    "numpy scalar and numpy array": (np.float32(1), np.array(1, np.float32)),
    "numpy scalar and jax array": (np.float32(1), jnp.float32(1)),
    "numpy scalar and float": (np.float32(1), 1.0),
    "numpy scalar and int": (np.float64(1), 1),
    "numpy scalars": (np.float32(1), np.float32(1)),
    "numpy scalars of other dtypes": (np.float32(1), np.float64(1)),
    "numpy bool and bool": (np.bool_(True), True),
    "numpy bool and jax bool": (np.bool_(True), jnp.array(True)),
    "complex and float": (1 + 0j, 1.0),
    "key order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "empty arrays": (jnp.zeros(0), jnp.zeros(0)),
    "empty arrays of other shapes": (jnp.zeros(0), jnp.zeros((0, 1))),
    "Nones": (None, None),
    "None and 0": (None, 0),
    "strings": ("a", "a"),
    "array and int": (jnp.ones(2), 1),
    "string arrays": (np.array(["a"]), np.array(["a"])),
    "object arrays": (np.array([None, 1]), np.array([None, 1])),
    "functions": (len, len),
    "other functions": (len, max),
    "structs": (jax.ShapeDtypeStruct((1,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32)),
    "Modules": (Pair(1), Pair(1)),
    "Modules of arrays": (Pair(jnp.ones(2)), Pair(jnp.ones(2))),
    "Modules of other arrays": (Pair(jnp.ones(2)), Pair(jnp.zeros(2))),
    "Modules of other leaves": (Pair(1), Pair(2)),
    "Modules of other statics": (Pair(1, 1), Pair(1, 2)),
    "Modules of static 1 and 1.0": (Pair(1, 1), Pair(1, 1.0)),
    "Modules of static 1 and True": (Pair(1, 1), Pair(1, True)),
    "Modules of static 0.0 and -0.0": (Pair(1, 0.0), Pair(1, -0.0)),
    "Modules of static nan": (Pair(1, NAN), Pair(1, NAN)),
    "Modules of leaves 1 and 1.0": (Pair(1), Pair(1.0)),
    "Modules of leaves 1 and True": (Pair(1), Pair(True)),
    "Modules, JAX and NumPy": (Pair(jnp.ones(2)), Pair(np.ones(2, np.float32))),
    "Module and its leaf": (Pair(1), 1),
    "methods": (Pair(1).method, Pair(1).method),
    "methods of other leaves": (Pair(1).method, Pair(2).method),
    "partials": (eqx.Partial(max, 1), eqx.Partial(max, 1)),
}


@over(PAIRS)
def case_tree_equal(pair):
    return eqx.tree_equal(*pair)


@over(PAIRS)
def case_tree_equal_typematch(pair):
    return eqx.tree_equal(*pair, typematch=True)


@over(PAIRS)
def case_tree_equal_no_typematch(pair):
    return eqx.tree_equal(*pair, typematch=False)


@over(PAIRS)
def case_tree_equal_atol(pair):
    return eqx.tree_equal(*pair, typematch=False, atol=1e-2)


@over(PAIRS)
def case_tree_equal_rtol(pair):
    return eqx.tree_equal(*pair, typematch=True, rtol=1e-2)


@over({name: pair for name, pair in PAIRS.items() if "Module" in name or "method" in name})
def case_operators(pair):
    first, second = pair
    return first == second, first != second


@over({name: pair for name, pair in PAIRS.items() if "Module" in name or "method" in name})
def case_hashes_agree(pair):
    return hash(pair[0]) == hash(pair[1]) or pair[0] != pair[1]


@over(LEAVES)
def case_hash_of_module_of(leaf):
    return hash(Pair(leaf)) == hash(Pair(leaf))


@over(LEAVES)
def case_equal_module_of(leaf):
    return Pair(leaf) == Pair(leaf)


@over({"none": (), "one": (1,), "three": (1, 1, 1), "last differs": (1, 1, 2)})
def case_tree_equal_of_several(trees):
    return eqx.tree_equal(*trees)


def case_tree_equal_under_jit():
    return jax.jit(eqx.tree_equal)(jnp.ones(2), jnp.ones(2))


def case_tree_equal_of_tracer_and_float():
    return jax.jit(lambda x: eqx.tree_equal(x, 1.0))(1.0)


def case_tree_equal_of_tracer_and_numpy():
    return jax.jit(lambda x: eqx.tree_equal(x, np.float32(1)))(1.0)


def case_tree_equal_of_tracers_and_leaf():
    return jax.jit(lambda x, y: eqx.tree_equal([x, 1], [y, 2]))(1.0, 2.0)


def case_operator_under_jit():
    return jax.jit(lambda one, other: one == other)(Pair(jnp.ones(2)), Pair(jnp.ones(2)))


def case_result_types():
    pairs = [(jnp.ones(2), jnp.ones(2)), (jnp.ones(2), jnp.zeros(2)), (jnp.ones(2), jnp.ones(3))]
    return [type(eqx.tree_equal(*pair)) for pair in [*pairs, (1, 1), (np.ones(2), np.ones(2))]]


def case_tree_equal_where_eq_raises():
    class Raises:
        def __eq__(self, other):
            raise ValueError

        __hash__ = None

    return eqx.tree_equal(Raises(), Raises())


def case_tree_equal_where_eq_is_no_bool():
    class Arrays:
        def __eq__(self, other):
            return np.array([True, False])

        __hash__ = None

    return eqx.tree_equal(Arrays(), Arrays())


def case_own_eq():
    class Same(eqx.Module):  # noqa: PLW1641
        x: Any

        def __eq__(self, other):
            return True

    return Same(1) == Same(2)


def case_own_eq_hash():
    class Same(eqx.Module):  # noqa: PLW1641
        x: Any

        def __eq__(self, other):
            return True

    return hash(Same(1)) == hash(Same(1))


def case_own_hash():
    class Hashed(eqx.Module):
        x: Any

        def __hash__(self):
            return 7

    return hash(Hashed(jnp.ones(1)))


def case_subclass_is_not_equal():
    class Other(Pair):
        pass

    return Pair(1) == Other(1), Other(1) == Pair(1)


def case_set_of_modules():
    return len({Pair(1), Pair(1), Pair(2)})


def case_treedef_of_other_static():
    structures = [jax.tree.structure(Pair(0, tag)) for tag in (1, 1.0, True, 2)]
    return [structures[0] == other for other in structures]
