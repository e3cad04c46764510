"""`wrt=`: what is differentiated, chosen by a selector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    by,
    filter_grad,
    filter_hessian,
    filter_jacfwd,
    filter_jacrev,
    filter_jit,
    filter_make_jaxpr,
    filter_value_and_grad,
    filter_vmap,
    tree_equal,
    tree_mask,
    tree_paths,
)
from eqx_pytree import Module


class Linear(Module):
    weight: jax.Array
    bias: jax.Array

    def __call__(self, x):
        return self.weight @ x + self.bias


class Model(Module):
    one: Linear
    other: Linear
    steps: jax.Array
    activation: object

    def __call__(self, x):
        return self.other(self.activation(self.one(x)))


def model():
    one, other = (Linear(jnp.full((3, 3), i), jnp.ones(3)) for i in (0.1, 0.2))
    return Model(one, other, jnp.arange(3), jnp.tanh)


def loss(model, x):
    return jnp.sum(model(x) ** 2)


X = jnp.arange(3.0)


@pytest.mark.parametrize(
    "wrt",
    [
        "other",
        by("other"),
        lambda m: m.other,
        lambda path, node: path.startswith("other."),
        tree_mask(model(), "other"),
        by(Linear) & ~by("one"),
    ],
)
def test_what_is_selected_has_the_gradient_that_it_has_without(wrt):
    full = filter_grad(loss)(model(), X)
    value, gradient = filter_value_and_grad(loss, wrt=wrt)(model(), X)
    assert [*tree_paths(gradient)] == ["other.weight", "other.bias"]
    assert tree_equal(gradient.other, full.other)
    assert value == loss(model(), X)


def test_what_is_not_selected_costs_nothing():
    def count(wrt):
        program, *_ = filter_make_jaxpr(filter_grad(loss, wrt=wrt))(model(), X)
        return str(program).count("dot_general")

    assert count(None) == 2 + 2 + 1  # forward; the weights' gradients; back through `other`
    assert count("other") == 2 + 1
    assert count("one") == 2 + 1 + 1


def test_below_a_node_other_leaves_are_left_out():
    gradient = filter_grad(loss, wrt="**")(model(), X)
    assert tree_equal(gradient, filter_grad(loss)(model(), X))


def test_under_jit_and_vmap():
    grad = filter_grad(loss, wrt="**.bias")
    xs = jnp.stack([X, X + 1])
    batch = filter_vmap(grad, in_axes=(None, 0))(model(), xs)
    expected = [filter_jit(grad)(model(), x) for x in xs]
    got = [jax.tree.map(lambda a, i=i: a[i], batch) for i in range(2)]
    assert tree_equal(got, expected, rtol=1e-5, atol=1e-6)


def test_has_aux_and_decorators():
    @filter_grad(has_aux=True, wrt="a")
    def f(tree):
        return tree["a"] * tree["b"], "aux"

    assert f({"a": jnp.asarray(2.0), "b": jnp.asarray(3.0)}) == ({"a": 3.0, "b": None}, "aux")


@pytest.mark.parametrize("transform", [filter_jacfwd, filter_jacrev, filter_hessian])
def test_jacobians(transform):
    tree = {"a": jnp.ones(2), "b": jnp.full(2, 2.0)}

    def f(tree):
        return jnp.sum(tree["a"] ** 2 * tree["b"])

    only, full = transform(f, wrt="a")(tree), transform(f)(tree)
    if transform is filter_hessian:
        only, full = only["a"], full["a"]
    assert only["b"] is None
    assert tree_equal(only["a"], full["a"])


def test_complex_numpy_and_bfloat16():
    tree = {"c": jnp.ones(2, complex), "n": np.ones(2, np.float32), "h": jnp.ones(2, jnp.bfloat16)}

    def f(tree):
        return sum(jnp.sum(jnp.abs(leaf).astype(jnp.float32)) for leaf in tree.values())

    for key, leaf in tree.items():
        gradient = filter_grad(f, wrt=key)(tree)
        assert [*tree_paths(gradient)] == [key]
        assert gradient[key].dtype == leaf.dtype


def test_what_is_left_may_hold_other_leaves():
    tree = {"a": jnp.ones(2), "b": jnp.ones(2), "k": jax.random.key(0), "n": jnp.arange(2)}
    gradient = filter_grad(lambda t: jnp.sum(t["a"] * t["b"]), wrt=~by("a"))(tree)
    assert [*tree_paths(gradient)] == ["b"]


class TestRefusals:
    def test_an_integer_leaf(self):
        message = (
            r"`wrt='steps'` selects `model\.steps`, an array of shape \(3,\) and dtype int32, "
            "which has no gradient. Select floating or complex arrays"
        )
        for transform in (filter_grad, filter_jacrev):
            with pytest.raises(TypeError, match=message):
                transform(loss, wrt="steps")(model(), X)

    def test_an_integer_leaf_of_a_mask(self):
        mask = tree_mask(model(), by("steps") | "one")
        with pytest.raises(TypeError, match=r"selects `model\.steps`"):
            filter_grad(loss, wrt=mask)(model(), X)

    def test_nothing_to_differentiate(self):
        with pytest.raises(
            ValueError, match="`wrt='activation'` selects nothing of `model` that can"
        ):
            filter_grad(loss, wrt="activation")(model(), X)

    def test_nothing(self):
        with pytest.raises(ValueError, match=r"nearest paths are `one\.weight`"):
            filter_grad(loss, wrt="one.wieght")(model(), X)
