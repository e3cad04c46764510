"""`tree_at` on parts of leaves: rows of an array, and subtrees of such rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import tree_at, tree_mask

ROW = jnp.array([1.0, 2, 3])
TREE = {"a": jnp.arange(6.0).reshape(2, 3), "b": np.arange(4), "f": jnp.sin}


def test_a_part_is_replaced_as_by_at():
    new = tree_at(lambda t: t["a"][1], TREE, jnp.ones(3))
    np.testing.assert_array_equal(new["a"], TREE["a"].at[1].set(1))
    assert new["f"] is TREE["f"]
    new = tree_at(lambda t: t["a"][:, 1:][0], TREE, replace_fn=lambda x: -x)
    np.testing.assert_array_equal(new["a"], TREE["a"].at[0, 1:].multiply(-1))
    new = tree_at(
        lambda t: (t["a"][0, 0], t["b"][1:3], t["a"][0]), TREE, (7, np.array([5, 6]), ROW)
    )
    np.testing.assert_array_equal(new["a"], TREE["a"].at[0].set(ROW))
    assert isinstance(new["b"], np.ndarray)
    assert new["b"].tolist() == [0, 5, 6, 3]
    assert TREE["b"].tolist() == [0, 1, 2, 3]


def test_a_subtree_of_parts_is_replaced_whole():
    def first(t):
        return jax.tree.map(lambda leaf: leaf[0], t)

    new = tree_at(first, TREE, {"a": jnp.zeros(3), "b": 9, "f": jnp.sin})
    assert new["a"][0].tolist() == [0, 0, 0]
    assert new["b"].tolist() == [9, 1, 2, 3]
    doubled = tree_at(first, TREE, replace_fn=lambda t: {**t, "a": 2 * t["a"]})
    np.testing.assert_array_equal(doubled["a"], TREE["a"].at[0].multiply(2))


def test_keys_have_parts():
    keys = jax.random.split(jax.random.key(0), 3)
    new = tree_at(lambda t: t[1], keys, keys[0])
    assert jnp.all(new[1] == keys[0])
    with pytest.raises(TypeError, match="does not hold"):
        tree_at(lambda t: t[1], keys, 3)


def test_under_jit_and_grad():
    @jax.jit
    def loss(x):
        return jnp.sum(tree_at(lambda t: t["a"][0], {"a": jnp.ones((2, 3))}, x)["a"] ** 2)

    np.testing.assert_array_equal(jax.grad(loss)(jnp.arange(3.0)), [0, 2, 4])


@pytest.mark.parametrize(
    ("where", "new", "error", "told"),
    [
        (
            lambda t: t["a"][0],
            jnp.ones(2),
            ValueError,
            r"`pytree\['a'\]` has a part of shape \(3,\)",
        ),
        (
            lambda t: t["b"][0],
            1.5,
            TypeError,
            r"`pytree\['b'\]` is of dtype `int64`, which does not",
        ),
        (lambda t: t["a"][0], np.ones(3, complex), TypeError, "which does not hold the `complex"),
        (lambda t: t["f"][0], jnp.cos, TypeError, r"`pytree\['f'\]` is no array, and has no part"),
        (lambda t: [t["a"][0]], [ROW, 4], ValueError, "same length as `replace`"),
        (lambda t: {"x": t["a"][0]}, 1, ValueError, "something of the same structure"),
    ],
)
def test_what_does_not_fit_is_told_by_path(where, new, error, told):
    with pytest.raises(error, match=told):
        tree_at(where, TREE, new)


def test_others_take_whole_leaves():
    with pytest.raises(TypeError, match="no part of a leaf, such as `weight"):
        tree_mask(TREE, lambda t: t["a"][0])
