"""Leaves, paths and structures: in which order, and under which names."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx


class Mixed(eqx.Module):
    """Static and dynamic fields in turn."""

    z: Any
    s: Any = eqx.field(static=True)
    a: Any
    t: Any = eqx.field(static=True, default="t")


class Child(Mixed):
    """Adds a field, and declares one again."""

    b: Any = 4
    a: Any = 5


class Late(eqx.Module):
    """Sets its fields in another order than it declares them."""

    x: Any
    y: Any

    def __init__(self):
        self.y = "set first"
        self.x = "set last"


class Absent(eqx.Module):
    """May leave a field unset while it is made."""

    x: Any
    y: Any = eqx.field(static=True)


TREES = {
    "mixed": Mixed(1, 2, 3),
    "child": Child(1, 2, 3),
    "child of defaults": Child(1, 2, b=6),
    "late": Late(),
    "nested": Mixed(Late(), 2, [Pair(1), {"k": Pair((2, None))}]),
    "None": Pair(None),
    "empty": Pair(()),
    "method": Mixed(1, 2, 3).__repr__,
    "pair method": Pair(1).method,
    "partial": eqx.Partial(Pair.method, Pair(1), 2, key=3),
    "partial of Module": eqx.Partial(Pair(len).method, jnp.ones(1)),
    "linear": eqx.nn.Linear(2, 3, key=jax.random.PRNGKey(0)),
    "linear without bias": eqx.nn.Linear(2, 3, use_bias=False, key=jax.random.PRNGKey(0)),
    "mlp": eqx.nn.MLP(2, 2, 2, 1, key=jax.random.PRNGKey(0)),
    "gru": eqx.nn.GRUCell(2, 2, key=jax.random.PRNGKey(0)),
    "lstm": eqx.nn.LSTMCell(2, 2, key=jax.random.PRNGKey(0)),
    "dropout": eqx.nn.Dropout(0.3),
    "sequential": eqx.nn.Sequential([eqx.nn.Identity(), eqx.nn.Lambda(jnp.tanh)]),
}


@over(TREES)
def case_leaves(tree):
    return jax.tree.leaves(tree)


@over(TREES)
def case_paths(tree):
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


@over(TREES)
def case_path_keys(tree):
    return [list(map(repr, path)) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


@over(TREES)
def case_structure(tree):
    structure = jax.tree.structure(tree)
    return structure.num_leaves, structure.num_nodes, structure


@over(TREES)
def case_round_trip(tree):
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten(leaves)


@over(TREES)
def case_mapped_with_paths(tree):
    return jax.tree_util.tree_map_with_path(lambda path, x: jax.tree_util.keystr(path), tree)


@over(LEAVES)
def case_round_trip_leaf(leaf):
    return jax.tree.map(lambda x: x, Pair(leaf, ("static",)))


def case_fields_of_mapped():
    return list(vars(jax.tree.map(lambda x: x, Child(1, 2, 3))))


def case_default_is_no_leaf_of_the_class():
    class Default(eqx.Module):
        x: Any = 1
        y: Any = dataclasses.field(default=2, init=False)

    return jax.tree.leaves(Default())


def case_map_two():
    return jax.tree.map(lambda x, y: (x, y), Mixed(1, 2, 3), Mixed(4, 2, 5))


def case_map_two_of_other_statics():
    return jax.tree.map(lambda x, y: (x, y), Mixed(1, 2, 3), Mixed(4, 3, 5))


def case_map_two_of_other_types():
    return jax.tree.map(lambda x, y: (x, y), Pair(1), Late())


def case_structures_equal():
    one = jax.tree.structure(Mixed(1, 2, 3))
    others = [Mixed(4, 2, 5), Mixed(1, 3, 3), Mixed(1, 2, (3,)), Child(1, 2, 3)]
    return [one == jax.tree.structure(other) for other in others]


def case_structure_hashes():
    return hash(jax.tree.structure(Pair(1))) == hash(jax.tree.structure(Pair(2)))


def case_unhashable_static():
    one, other = (jax.tree.structure(Pair(1, [1])) for _ in range(2))
    return one == other


def case_attribute_that_is_no_field():
    pair = Pair(1)
    object.__setattr__(pair, "extra", 3)
    return "extra" in vars(jax.tree.map(lambda x: x, pair))


def case_absent_field():
    absent = object.__new__(Absent)
    object.__setattr__(absent, "x", 1)
    return jax.tree.leaves(absent), jax.tree.map(lambda x: x + 1, absent)


def case_transpose():
    pairs = jax.tree.map(lambda x: [x, x], Pair((1, 2)))
    outer, inner = jax.tree.structure(Pair((1, 2))), jax.tree.structure([1, 1])
    return jax.tree.transpose(outer, inner, pairs)


def case_as_scan_carry():
    def step(carry, x):
        return Pair(carry.leaf + x), carry.leaf

    return jax.lax.scan(step, Pair(jnp.zeros(())), jnp.arange(3.0))


def case_in_axes():
    model = Mixed(jnp.ones((2, 3)), None, jnp.zeros(3))
    return jax.vmap(lambda m: m.z + m.a, in_axes=(Mixed(0, None, None),))(model)


def case_stacked():
    return jax.vmap(Pair)(jnp.arange(3))
