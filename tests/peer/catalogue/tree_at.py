"""`tree_at`: what may be picked, what may be put there, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx

TREE = {"a": [1, 2, jnp.ones(2)], "b": None, "c": (3, 4), "e": ()}
SHARED_LIST = [1]
SHARED_ARRAY = jnp.ones(1)


def is_none(x):
    return x is None


def is_tuple(x):
    return isinstance(x, tuple)


class Derived(eqx.Module):
    """A Module whose property gives its field."""

    held: Any

    @property
    def same(self):
        return self.held

    def method(self):
        return self.held


PLACES = {
    "leaf": lambda t: t["a"][0],
    "array": lambda t: t["a"][2],
    "subtree": lambda t: t["c"],
    "whole": lambda t: t,
    "two": lambda t: (t["a"][0], t["c"]),
    "list of one": lambda t: [t["c"]],
    "dict": lambda t: {"q": t["a"][0]},
    "None": lambda t: t["b"],
    "empty tuple": lambda t: t["e"],
    "nothing": lambda t: (),
    "generator": lambda t: (x for x in t["a"]),
    "same twice": lambda t: (t["a"][0], t["a"][0]),
    "node and its child": lambda t: (t["a"], t["a"][0]),
    "child and its node": lambda t: (t["a"][0], t["a"]),
    "sum": lambda t: t["a"][0] + 1,
    "product of array": lambda t: t["a"][2] * 2,
    "constant": lambda t: 5,
    "equal constant": lambda t: 1,
    "string": lambda t: "a",
    "answers None": lambda t: None,
    "new list": lambda t: [[1, 2]],
    "missing key": lambda t: t["zz"],
    "missing attribute": lambda t: t.zz,
    "missing index": lambda t: t["a"][9],
    "raises": lambda t: 1 / 0,
    "takes two": lambda t, u: t,
}


@over(PLACES)
def case_replace_by_seven(where):
    return eqx.tree_at(where, TREE, 7)


@over(PLACES)
def case_replace_by_pair(where):
    return eqx.tree_at(where, TREE, (7, 8))


@over(PLACES)
def case_replace_fn(where):
    return eqx.tree_at(where, TREE, replace_fn=lambda x: ["was", x])


@over(PLACES)
def case_none_is_leaf(where):
    return eqx.tree_at(where, TREE, 7, is_leaf=is_none)


@over(LEAVES)
def case_pick_leaf(leaf):
    return eqx.tree_at(lambda t: t[1], [0, leaf, 2], "new")


@over(LEAVES)
def case_put_leaf(leaf):
    return eqx.tree_at(lambda t: t[1], [0, 1, 2], leaf)


@over(LEAVES)
def case_pick_leaf_beside_its_like(leaf):
    return eqx.tree_at(lambda t: t[1], [leaf, leaf], "new")


def case_no_replacement():
    return eqx.tree_at(lambda t: t[0], [1, 2])


def case_both_replacements():
    return eqx.tree_at(lambda t: t[0], [1, 2], 3, replace_fn=lambda x: x)


def case_replace_none():
    return eqx.tree_at(lambda t: t[0], [1, 2], replace=None)


def case_replace_fn_none():
    return eqx.tree_at(lambda t: t[0], [1, 2], replace_fn=None)


def case_replace_fn_not_callable():
    return eqx.tree_at(lambda t: t[0], [1, 2], replace_fn=3)


def case_where_not_callable():
    return eqx.tree_at("a", ["a", 2], 3)


@over(
    {"one": (7,), "three": (7, 8, 9), "list": [7, 8], "dict": {"a": 7, "b": 8}, "nested": ((7,), 8)}
)
def case_two_places_and(replace):
    return eqx.tree_at(lambda t: (t["a"][0], t["c"]), TREE, replace)


def case_list_shared():
    return eqx.tree_at(lambda t: t[0], [SHARED_LIST, SHARED_LIST], 7)


def case_array_shared():
    return eqx.tree_at(lambda t: t[0], [SHARED_ARRAY, SHARED_ARRAY], 7)


def case_module_shared():
    layer = Pair(SHARED_ARRAY)
    return eqx.tree_at(lambda t: t[0].leaf, [layer, layer], 7)


def case_equal_leaves():
    return eqx.tree_at(lambda t: t[0], [True, True], 3), eqx.tree_at(lambda t: t[1], [1, 1], 3)


def case_whole_leaf():
    return eqx.tree_at(lambda t: t, 3, 7), eqx.tree_at(lambda t: t, jnp.ones(1), 7)


def case_whole_container():
    return eqx.tree_at(lambda t: t, [1, 2], [3, 4])


def case_whole_none():
    return eqx.tree_at(lambda t: t, None, 7)


def case_whole_none_as_leaf():
    return eqx.tree_at(lambda t: t, None, 7, is_leaf=is_none)


def case_tuple_by_tuple():
    return eqx.tree_at(lambda t: t[0], ((1, 2), 3), (3, 4))


def case_module_field():
    return eqx.tree_at(lambda m: m.leaf, Pair(jnp.ones(2)), 3)


def case_static_field():
    return eqx.tree_at(lambda m: m.tag, Pair(1), "new")


def case_static_field_and_leaf_equal():
    return eqx.tree_at(lambda m: m.tag, Pair("tag", "tag"), "new")


@over({"leaf": 3, "array": jnp.ones(1), "None": None, "tuple": (1, 2), "empty": ()})
def case_property(held):
    return eqx.tree_at(lambda m: m.same, Derived(held), 5)


def case_property_none_as_leaf():
    return eqx.tree_at(lambda m: m.same, Derived(None), 5, is_leaf=is_none)


def case_property_as_none_as_leaf():
    return eqx.tree_at(lambda m: m.same, Derived(3), 5, is_leaf=is_none)


def case_result_of_method():
    return eqx.tree_at(lambda m: m.method(), Derived(3), 5)


def case_method():
    return eqx.tree_at(lambda m: m.method, Derived(3), 5)


def case_inside_method():
    return eqx.tree_at(lambda t: t[0].__self__.held, [Derived(3).method], 5)


def case_two_nones():
    return eqx.tree_at(lambda t: (t[0], t[1]), [None, None], (3, 4), is_leaf=is_none)


def case_one_of_two_nones():
    return eqx.tree_at(lambda t: t[1], [None, None], 4, is_leaf=is_none)


def case_tuple_as_leaf():
    tree = {"a": (1, 2), "b": 3}
    return eqx.tree_at(lambda t: t["a"], tree, replace_fn=len, is_leaf=is_tuple)


def case_inside_tuple_as_leaf():
    return eqx.tree_at(lambda t: t["a"][0], {"a": (1, 2)}, 5, is_leaf=is_tuple)


def case_where_looks_at_values():
    return eqx.tree_at(lambda t: t[0] if t[1] > 0 else t[1], [1, 2], 3)


def case_where_looks_at_truth():
    return eqx.tree_at(lambda t: t[0] if t[1] else t[1], [1, 0], 3)


def case_where_looks_for_none():
    return eqx.tree_at(lambda d: d["q"] if d["r"] is None else d["r"], {"q": 1, "r": None}, 5)


def case_where_looks_at_shape():
    return eqx.tree_at(lambda t: t[0] if t[1].shape == (2,) else t[1], [1, jnp.ones(2)], 5)


def case_where_sorts():
    return eqx.tree_at(sorted, [2, 1], [3, 4])


def case_where_walks():
    return eqx.tree_at(jax.tree.leaves, [1, (2, 3)], [4, 5, 6])


def case_where_filters():
    def arrays(tree):
        return [x for x in jax.tree.leaves(tree) if eqx.is_array(x)]

    return eqx.tree_at(arrays, [1, jnp.ones(2)], [4])


def case_where_isinstance():
    def layers(tree):
        is_pair = lambda x: isinstance(x, Pair)  # noqa: E731
        return [x.leaf for x in jax.tree.leaves(tree, is_leaf=is_pair) if is_pair(x)]

    return eqx.tree_at(layers, [Pair(1), 2, (Pair(3),)], replace_fn=lambda x: -x)


def case_times_called():
    calls = []
    eqx.tree_at(lambda t: (calls.append(t), t[0])[1], [1, 2], 3)
    return len(calls) > 0


def case_input_unchanged():
    tree = [1, [2]]
    return eqx.tree_at(lambda t: t[1][0], tree, 5), tree


def case_identity_of_the_rest():
    tree = [1, [2], jnp.ones(1)]
    new = eqx.tree_at(lambda t: t[0], tree, 5)
    return new[1] is tree[1], new[2] is tree[2]


def case_under_jit():
    where = lambda m: m.leaf  # noqa: E731
    return jax.jit(lambda m: eqx.tree_at(where, m, replace_fn=lambda x: x * 2))(Pair(jnp.ones(2)))


def case_under_grad():
    def loss(x):
        return jnp.sum(eqx.tree_at(lambda t: t[0], [jnp.zeros(2), 3.0], x)[0] ** 2)

    return jax.grad(loss)(jnp.arange(2.0))


def case_subtree_function():
    double = lambda t: jax.tree.map(lambda x: x * 2, t)  # noqa: E731
    return eqx.tree_at(lambda t: t[0], [(1, 2), 3], replace_fn=double)


def case_converter_does_not_run():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str)

    return eqx.tree_at(lambda m: m.x, Converted(1), 2)


def case_check_does_not_run():
    class Checked(eqx.Module):
        x: Any

        def __check_init__(self):
            if self.x < 0:
                raise ValueError

    return eqx.tree_at(lambda m: m.x, Checked(1), -2)


def case_numpy_leaf_by_index():
    return eqx.tree_at(lambda t: t[0][0], [np.arange(2)], 5)


def case_jax_leaf_by_index():
    return eqx.tree_at(lambda t: t[0][0], [jnp.arange(2)], 5)
