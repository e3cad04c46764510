"""`filter_vjp`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_jit, filter_vjp, tree_equal
from eqx_pytree import Module, field


class Affine(Module):
    weight: Any
    bias: Any = None
    name: Any = field(static=True, default="affine")

    def __call__(self, x):
        return self.weight @ x + self.bias


W, B, X = jnp.arange(6.0).reshape(2, 3), jnp.ones(2), jnp.arange(3.0)


class TestValues:
    def test_agree_with_jax(self):
        def plain(w, b, x):
            return jnp.tanh(w @ x + b)

        out, pullback = filter_vjp(plain, W, B, X)
        expected_out, expected = jax.vjp(plain, W, B, X)
        assert tree_equal(out, expected_out, rtol=1e-6)
        assert tree_equal(pullback(B), expected(B), rtol=1e-6)

    def test_of_a_module(self):
        out, pullback = filter_vjp(lambda model, x: model(x), Affine(W, B), X)
        model, x = pullback(B)
        assert tree_equal(out, W @ X + B)
        assert tree_equal(model, Affine(jnp.outer(B, X), B))
        assert tree_equal(x, W.T @ B)

    def test_a_module_as_the_function(self):
        assert tree_equal(filter_vjp(Affine(W, B), X)[1](B), (W.T @ B,))

    def test_complex_and_numpy(self):
        z = jnp.array(1j)
        assert tree_equal(filter_vjp(jnp.square, z)[1](z), jax.vjp(jnp.square, z)[1](z))
        assert filter_vjp(lambda x: x * x, np.float32(3.0))[1](jnp.float32(1.0)) == (6,)

    def test_the_traced_program_is_that_of_jax(self):
        def pull(transform):
            return lambda w, x: transform(lambda w, x: jnp.tanh(w @ x), w, x)[1](B)

        ours, theirs = (jax.make_jaxpr(pull(vjp))(W, X) for vjp in (filter_vjp, jax.vjp))
        assert len(ours.eqns) == len(theirs.eqns)


class TestNone:
    def test_stands_for_arguments_without_cotangent(self):
        _, pullback = filter_vjp(lambda x, n, s, i: x * n * i, X, 3, "s", jnp.array(2))
        assert tree_equal(pullback(jnp.ones(3)), (jnp.full(3, 6.0), None, None, None))

    def test_stands_for_outputs_without_cotangent(self):
        out, pullback = filter_vjp(lambda x: (x * 2, "a", 3, jnp.array(1), None), X)
        assert tree_equal(out, (X * 2, "a", 3, jnp.array(1), None))
        assert tree_equal(pullback((X, None, None, None, None)), (X * 2,))

    def test_no_arguments(self):
        out, pullback = filter_vjp(lambda: X)
        assert tree_equal((out, pullback(X)), (X, ()))


class TestAux:
    def test_may_be_anything(self):
        out, pullback, aux = filter_vjp(lambda x: (x * 2, ("a", x, None, len)), X, has_aux=True)
        assert tree_equal((out, aux), (X * 2, ("a", X, None, len)))
        assert tree_equal(pullback(X), (X * 2,))

    @pytest.mark.parametrize(
        ("out", "kind", "told"),
        [(X, TypeError, "an array of shape"), ((X, X, X), ValueError, "a `tuple` of 3")],
    )
    def test_must_be_there(self, out, kind, told):
        with pytest.raises(kind, match=rf"must return a pair `\(out, aux\)`; it returned {told}"):
            filter_vjp(lambda x: out, X, has_aux=True)


class TestPullback:
    def test_is_a_tree_that_passes_through_jit(self):
        _, pullback = filter_vjp(jnp.sin, X)
        assert jtu.tree_leaves(pullback)
        pulled = filter_jit(lambda pull, *g: pull(*g))(pullback, X)
        assert tree_equal(pulled, pullback(X))

    def test_comes_out_of_jit(self):
        _, pullback = filter_jit(filter_vjp)(Affine(W, B), X)
        assert tree_equal(pullback(B), (W.T @ B,))

    @pytest.mark.parametrize("cotangent", [(X, X), None, jnp.ones(2), jnp.arange(3)])
    def test_refuses_another_structure_shape_or_dtype(self, cotangent):
        def loss(x):
            return x * 2

        with pytest.raises(ValueError, match=r"unexpected|must match|does not match"):
            filter_vjp(loss, X)[1](cotangent)

    @pytest.mark.skipif(jax.__version_info__ < (0, 7), reason="older JAX names no function")
    def test_messages_name_the_function(self):
        def loss(x):
            return x * 2

        with pytest.raises(ValueError, match="loss"):
            filter_vjp(loss, X)[1]((X, X))


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="`filter_vjp` takes a function as `fun`; 3 cannot be"):
        filter_vjp(3, X)


def test_keyword_arguments_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        filter_vjp(lambda x, y: x * y, X, y=X)
