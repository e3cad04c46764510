"""`filter_checkpoint`."""

import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

from eqx_filter import filter_checkpoint, filter_grad, filter_jit, tree_equal
from eqx_pytree import Module

X = jnp.arange(3.0)


class Scale(Module):
    weight: Any

    def __call__(self, x):
        return jnp.sin(self.weight * x)


def primitives(function, *args):
    return [equation.primitive.name for equation in jax.make_jaxpr(function)(*args).eqns]


class TestValues:
    def test_are_those_of_the_function(self):
        out = filter_checkpoint(lambda x, n, *, s: (x * n, s, None))(X, 3, s="text")
        assert tree_equal(out, (X * 3, "text", None))

    def test_and_so_are_gradients(self):
        def loss(model):
            return filter_checkpoint(model)(X).sum()

        expected = filter_grad(lambda model: model(X).sum())(Scale(X))
        assert tree_equal(filter_grad(loss)(Scale(X)), expected)
        assert tree_equal(filter_jit(filter_grad(loss))(Scale(X)), expected, rtol=1e-6)

    def test_of_arrays_that_the_function_closes_over(self):
        assert jax.grad(lambda y: filter_checkpoint(lambda x: x * y)(2.0))(3.0) == 2

    def test_vmap(self):
        assert tree_equal(jax.vmap(filter_checkpoint(jnp.sin))(X), jnp.sin(X), rtol=1e-6)


class TestSaving:
    def test_computes_again(self):
        function = filter_checkpoint(lambda x: jnp.sin(jnp.sin(x)))
        names = primitives(jax.grad(function), 1.0)
        assert any("remat" in name or "checkpoint" in name for name in names)

    def test_policy_and_cse(self):
        def names_of(**options):
            function = filter_checkpoint(lambda x: jnp.sin(jnp.sin(x)), **options)
            return str(jax.make_jaxpr(jax.grad(function))(1.0))

        policy = jax.checkpoint_policies.everything_saveable
        assert "prevent_cse=False" in names_of(prevent_cse=False)
        assert "policy=None" in names_of()
        assert "everything_saveable" in names_of(policy=policy)


class TestWrapper:
    def test_decorator_and_name(self):
        @filter_checkpoint(prevent_cse=False)
        def function(x):
            """Documented."""
            return x

        assert (function.__name__, function.__doc__) == ("function", "Documented.")
        assert function(1) == 1

    def test_is_a_tree(self):
        assert tree_equal(jtu.tree_leaves(filter_checkpoint(Scale(X))), [X])

    def test_as_a_method(self):
        class Layer(Module):
            weight: Any

            @filter_checkpoint
            def apply(self, x):
                return self.weight * x

        assert tree_equal(Layer(X).apply(X), X * X)

    def test_what_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="`filter_checkpoint` wraps a function; 3 is not"):
            filter_checkpoint(3)

    def test_a_policy_that_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="takes a function as `policy`; 3 cannot be called"):
            filter_checkpoint(jnp.sin, policy=3)

    def test_unknown_keywords_are_refused(self):
        with pytest.raises(TypeError, match="static_argnums"):
            filter_checkpoint(jnp.sin, static_argnums=0)

    def test_nothing_is_held(self):
        def run():
            model = Scale(X)
            jax.grad(lambda x: filter_checkpoint(model)(x).sum())(X)
            return weakref.ref(model)

        reference = run()
        gc.collect()
        assert reference() is None
