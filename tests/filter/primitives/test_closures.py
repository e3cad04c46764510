"""`closure_to_pytree`: the values that functions close over, as leaves."""

import functools

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

from eqx_filter import filter_grad, filter_jit
from eqx_filter.primitives import closure_to_pytree

X = jnp.arange(3.0)


def scaled(a, inner=lambda x: x):
    def fun(x, *, shift=0.0):
        return a * inner(x) + shift

    return fun


def arrays(tree):
    return [leaf.tolist() for leaf in jtu.tree_leaves(tree) if isinstance(leaf, jax.Array)]


def test_it_is_called_as_the_function():
    tree = closure_to_pytree(scaled(X))
    assert tree(X).tolist() == [0, 1, 4]
    assert tree(x=X, shift=1.0).tolist() == [1, 2, 5]


def test_what_is_closed_over_is_leaves():
    tree = closure_to_pytree(scaled(X, scaled({"a": 2 * X, "b": "s"}["a"])))
    assert arrays(tree) == [[0, 1, 2], [0, 2, 4]]
    assert tree(X).tolist() == [0, 2, 16]
    is_array = lambda leaf: isinstance(leaf, jax.Array)  # noqa: E731
    doubled = jtu.tree_map(lambda leaf: 2 * leaf if is_array(leaf) else leaf, tree)
    assert doubled(X).tolist() == [0, 8, 64]


def test_two_of_one_definition_are_equal_but_for_their_arrays():
    one, two = (jtu.tree_flatten(closure_to_pytree(scaled(a))) for a in (X, 2 * X))
    other = jtu.tree_flatten(closure_to_pytree(lambda x: x))
    assert one[1] == two[1]
    assert one[0][0] == two[0][0]
    assert hash(one[0][0]) == hash(two[0][0])
    assert one[0][0] != other[0][0]
    assert "scaled.<locals>.fun" in repr(one[0][0])


def test_other_defaults_are_another_function():
    def make(default):
        def fun(x=default):
            return x

        return fun

    one, two = (jtu.tree_leaves(closure_to_pytree(make(d))) for d in (object(), object()))
    assert one != two


def test_a_program_is_traced_once_for_all_of_one_definition():
    traced = []

    @filter_jit
    def run(fun, x):
        traced.append(x)
        return fun(x)

    for i in range(3):
        run(closure_to_pytree(scaled(i * X)), X)
    assert len(traced) == 1


def test_it_is_differentiated():
    gradient = filter_grad(lambda fun: fun(X).sum())(closure_to_pytree(scaled(X)))
    assert arrays(gradient) == [[0, 1, 2]]


def test_other_leaves_stay():
    partial, jitted = functools.partial(scaled(X), X), jax.jit(scaled(X))
    tree = {"a": 1, "b": X, "c": len, "d": dict, "e": partial, "f": jitted, "g": None}
    out = closure_to_pytree(tree)
    assert out is not tree
    assert all(out[name] is value for name, value in tree.items())


def test_it_changes_nothing_twice():
    once = closure_to_pytree(scaled(X))
    twice = closure_to_pytree(once)
    assert jtu.tree_structure(once) == jtu.tree_structure(twice)
    assert twice(X).tolist() == once(X).tolist()


def test_a_function_that_calls_itself():
    def make():
        def factorial(n):
            return 1 if n == 0 else n * factorial(n - 1)

        return factorial

    assert closure_to_pytree(make())(4) == 24


def test_assignments_last_for_one_call():
    def make():
        count = 0

        def step():
            nonlocal count
            count += 1
            return count

        return step

    step = make()
    tree = closure_to_pytree(step)
    assert (tree(), tree(), step()) == (1, 1, 1)


def test_a_variable_without_a_value_is_named():
    def make():
        def fun():
            return later

        tree = closure_to_pytree(fun)
        later = 1
        return tree, later

    with pytest.raises(ValueError, match=r"fun` closes over `later`, which has no value yet"):
        make()
