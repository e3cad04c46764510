"""`tree_check`, `tree_flatten_one_level`, `apply_updates`, and flattening with JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx


def loop():
    tree: list[Any] = [1]
    tree.append(tree)
    return tree


SHARED_LIST = [1]
EMPTY_LIST: list[Any] = []
SHARED_PAIR = Pair(1)
WHOLES = {
    "plain": [1, [2, 3], (4,)],
    "equal leaves": [1, 1],
    "shared array": [jnp.ones(1)] * 2,
    "empty tuples": ((), ()),
    "Nones": [None, None],
    "shared list": [SHARED_LIST, SHARED_LIST],
    "shared empty list": [EMPTY_LIST, EMPTY_LIST],
    "shared deep": {"a": SHARED_LIST, "b": (SHARED_LIST,)},
    "shared Module": [SHARED_PAIR, {"a": SHARED_PAIR}],
    "Module and its method": [SHARED_PAIR, SHARED_PAIR.method],
    "leaf": 3,
    "None": None,
    "list": [],
    "Module": Pair(jnp.ones(2)),
    "dict": {"b": (1, 2), "a": None},
}


@over(WHOLES)
def case_tree_check(tree):
    return eqx.tree_check(tree)


def case_tree_check_loop():
    return eqx.tree_check(loop())


@over(WHOLES)
def case_flatten_one_level(tree):
    return eqx.tree_flatten_one_level(tree)


@over(LEAVES)
def case_flatten_one_level_of(leaf):
    return eqx.tree_flatten_one_level(leaf)


def case_flatten_one_level_loop():
    return eqx.tree_flatten_one_level(loop())


UPDATES = {
    "ints": ([1, 2], [3, 4]),
    "None": ([1, jnp.ones(2), None, "a"], [1, None, None, None]),
    "Modules": (Pair(jnp.ones(2)), Pair(jnp.ones(2))),
    "too short": ([1, 2], [1]),
    "too long": ([1], [1, 2]),
    "update where None is": ([1, None], [1, 2]),
    "None for a subtree": ([1, (2, 3)], [1, None]),
    "leaf for a subtree": ([1, (2, 3)], [1, 2]),
    "subtree for a leaf": ([1, 2], [1, (2, 3)]),
    "bfloat16 and float32": ([jnp.ones(2, jnp.bfloat16)], [jnp.ones(2)]),
    "float16 and float": ([jnp.ones(2, jnp.float16)], [1.0]),
    "int array and float": ([jnp.arange(2)], [0.5]),
    "numpy and jax": ([np.ones(2, np.float32)], [jnp.ones(2)]),
    "numpy and numpy": ([np.ones(2)], [np.ones(2)]),
    "strings": (["a"], ["b"]),
    "Nones": (None, None),
    "broadcast": (jnp.ones(2), 1),
    "wider": (jnp.ones(2), jnp.ones((3, 2))),
    "shapes that do not fit": (jnp.ones(2), jnp.ones(3)),
    "other keys": ({"a": 1}, {"b": 1}),
    "opaque": ([object()], [1]),
    "bools": ([True], [True]),
    "complex": ([1.0], [1j]),
    "function": ([len], [None]),
}


@over(UPDATES)
def case_apply_updates(pair):
    return eqx.apply_updates(*pair)


def case_apply_updates_under_jit():
    return jax.jit(eqx.apply_updates)([jnp.ones(2), 1.0], [jnp.ones(2), None])


def case_apply_updates_of_filtered():
    model = Pair((jnp.ones(2), 3, "name"))
    return eqx.apply_updates(model, eqx.filter(model, eqx.is_inexact_array))
