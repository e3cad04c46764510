"""`filter_jacfwd`, `filter_jacrev` and `filter_hessian`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_hessian, filter_jacfwd, filter_jacrev, filter_jit, tree_equal
from eqx_pytree import Module, field

V = jnp.arange(3.0)
JACOBIANS = pytest.mark.parametrize("jacobian", [filter_jacfwd, filter_jacrev])
ALL = pytest.mark.parametrize("transform", [filter_jacfwd, filter_jacrev, filter_hessian])


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def __call__(self, x):
        return self.weight**2 * x


def tree_function(x):
    return {"sine": jnp.sin(x["a"]), "product": x["a"] * x["b"].sum()}


class TestValues:
    @pytest.mark.parametrize(
        ("transform", "plain"),
        [
            (filter_jacfwd, jax.jacfwd),
            (filter_jacrev, jax.jacrev),
            (filter_hessian, jax.hessian),
        ],
    )
    def test_agree_with_jax(self, transform, plain):
        x = {"a": V, "b": jnp.ones((2, 2))}
        expected = jax.jit(plain(tree_function))(x)
        assert tree_equal(transform(tree_function)(x), expected, rtol=1e-6)
        assert tree_equal(filter_jit(transform(tree_function))(x), expected, rtol=1e-6)

    @JACOBIANS
    def test_of_a_module(self, jacobian):
        out = jacobian(lambda model, x: model(x))(Scale(V), V)
        assert tree_equal(out, Scale(jnp.diag(2 * V * V)))

    def test_hessian_of_a_module(self):
        out = filter_hessian(lambda model, x: model(x).sum())(Scale(V), V)
        assert tree_equal(out, Scale(Scale(jnp.diag(2 * V))))

    @JACOBIANS
    def test_a_module_as_the_function(self, jacobian):
        assert tree_equal(jacobian(Scale(V))(V), jnp.diag(V**2))

    @JACOBIANS
    def test_other_leaves_have_none(self, jacobian):
        x = {"a": V, "n": 3, "i": jnp.array(2), "s": "text", "np": np.ones(3, np.float32)}
        out = jacobian(lambda x: x["a"] * x["n"] * x["i"] * x["np"])(x)
        assert tree_equal(out["a"], jnp.diag(jnp.full(3, 6.0)))
        assert tree_equal(out["np"], jnp.diag(6 * V))
        assert (out["n"], out["i"], out["s"]) == (None, None, None)

    @JACOBIANS
    def test_other_arguments_are_held(self, jacobian):
        assert tree_equal(jacobian(lambda x, y, *, k: x * y * k)(V, V, k=2), jnp.diag(2 * V))

    @JACOBIANS
    def test_keep_the_dtype(self, jacobian):
        assert jacobian(jnp.sin)(V.astype(jnp.float16)).dtype == jnp.float16

    @JACOBIANS
    def test_the_traced_program_is_that_of_jax(self, jacobian):
        plain = jax.jacfwd if jacobian is filter_jacfwd else jax.jacrev
        ours, theirs = (jax.make_jaxpr(t(jnp.tanh))(V) for t in (jacobian, plain))
        assert len(ours.eqns) == len(theirs.eqns)


class TestAux:
    @ALL
    def test_may_be_anything(self, transform):
        out, aux = transform(lambda x: ((x**2).sum(), ("a", x, None)), has_aux=True)(V)
        assert tree_equal(aux, ("a", V, None))
        assert tree_equal(out, transform(lambda x: (x**2).sum())(V))

    @ALL
    def test_must_be_there(self, transform):
        with pytest.raises(ValueError, match=r"must return a pair .* it returned a `tuple` of 3"):
            transform(lambda x: (x, x, x), has_aux=True)(V)


class TestErrors:
    @ALL
    @pytest.mark.parametrize("x", [2.0, jnp.arange(2), (), "text"], ids=repr)
    def test_nothing_to_differentiate_by(self, transform, x):
        def square(x):
            return x

        with pytest.raises(ValueError, match=r"of `.*square` holds no floating array"):
            transform(square)(x)

    @ALL
    def test_output_that_is_no_array(self, transform):
        with pytest.raises(TypeError, match=r"`out\[1\]` is a `str`. Return it as auxiliary"):
            transform(lambda x: (x, "text"))(V)

    @ALL
    def test_what_cannot_be_called(self, transform):
        with pytest.raises(TypeError, match=rf"`{transform.__name__}` wraps a function; 3 is not"):
            transform(3)

    @JACOBIANS
    def test_complex_numbers(self, jacobian):
        with pytest.raises(TypeError, match="holomorphic"):
            jacobian(jnp.square)(V + 1j)


@JACOBIANS
def test_as_a_method(jacobian):
    class Layer(Module):
        weight: Any

        @jacobian
        def derivative(self, x):
            return self.weight * x

    assert tree_equal(Layer(V).derivative(V), Layer(jnp.diag(V)))
