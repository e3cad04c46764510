"""`filter_jvp`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, filter_jvp, filter_vjp, tree_equal
from eqx_pytree import Module, field


class Affine(Module):
    weight: Any
    bias: Any = None
    name: Any = field(static=True, default="affine")

    def __call__(self, x):
        return self.weight @ x + self.bias


W, B, X = jnp.arange(6.0).reshape(2, 3), jnp.ones(2), jnp.arange(3.0)


def equation_count(function, *args):
    return len(jax.make_jaxpr(function)(*args).eqns)


class TestValues:
    def test_agree_with_jax(self):
        def plain(w, b, x):
            return jnp.tanh(w @ x + b)

        primals, tangents = (W, B, X), (W + 1, B * 2, X - 1)
        expected = jax.jvp(plain, primals, tangents)
        assert tree_equal(filter_jvp(plain, primals, tangents), expected, rtol=1e-6)
        assert tree_equal(
            filter_jit(filter_jvp)(plain, primals, tangents)[1], expected[1], rtol=1e-6
        )

    def test_of_a_module(self):
        out, tangent = filter_jvp(
            lambda model, x: model(x), (Affine(W, B), X), (Affine(W + 1), None)
        )
        assert tree_equal(out, W @ X + B)
        assert tree_equal(tangent, (W + 1) @ X)

    def test_a_module_as_the_function(self):
        assert tree_equal(filter_jvp(Affine(W, B), (X,), (X + 1,))[1], W @ (X + 1))
        assert tree_equal(filter_jvp(Affine(W, B).__call__, [X], [X + 1])[1], W @ (X + 1))

    def test_complex_and_numpy_and_python_numbers(self):
        z = jnp.array(1j)
        assert tree_equal(
            filter_jvp(lambda z: z * z, (z,), (z + 1,)), jax.jvp(jnp.square, (z,), (z + 1,))
        )
        assert filter_jvp(lambda x: x * x, (np.float32(2.0),), (np.float32(3.0),))[1] == 12
        assert filter_jvp(lambda x: x * x, (2.0,), (3.0,))[1] == 12

    def test_the_traced_program_is_that_of_jax(self):
        def plain(w, x):
            return jnp.tanh(w @ x), w

        ours = equation_count(lambda w, x: filter_jvp(plain, (w, x), (w, None)), W, X)
        theirs = equation_count(lambda w, x: jax.jvp(lambda w: plain(w, x), (w,), (w,)), W, X)
        assert ours == theirs

    def test_of_itself(self):
        def derivative(x):
            return filter_jvp(jnp.sin, (x,), (jnp.ones_like(x),))[1]

        assert tree_equal(filter_jvp(derivative, (X,), (jnp.ones(3),))[1], -jnp.sin(X), rtol=1e-6)
        assert tree_equal(jax.vmap(derivative)(X), jnp.cos(X), rtol=1e-6)


class TestNone:
    def test_stands_for_what_has_no_tangent(self):
        out, tangent = filter_jvp(
            lambda x, n, s, i: (x * n, s, i, None),
            (2.0, 3, "s", jnp.array(1)),
            (1.0, None, None, None),
        )
        assert out == (6.0, "s", 1, None)
        assert tangent == (3.0, None, None, None)

    def test_stands_for_tangents_of_zero(self):
        out, tangent = filter_jvp(lambda x, y: (x * y, y + 1, jnp.ones(2)), (X, X), (X, None))
        assert tree_equal(out, (X * X, X + 1, jnp.ones(2)))
        assert tree_equal(tangent, (X * X, None, None))

    def test_everywhere(self):
        assert filter_jvp(lambda x: (x, 1), (X,), (None,))[1] == (None, None)

    def test_an_integer_may_have_float0(self):
        zero = np.zeros((), jax.dtypes.float0)
        assert filter_jvp(lambda x, n: x * n, (2.0, jnp.array(3)), (1.0, zero))[1] == 3

    def test_tells_zero_from_a_zero_that_was_computed(self):
        assert filter_jvp(lambda x: x * 0, (2.0,), (1.0,))[1] == 0

    def test_no_arguments(self):
        assert tree_equal(filter_jvp(lambda: X, (), ()), (X, None))


def test_keyword_arguments_are_not_perturbed():
    out, tangent = filter_jvp(lambda x, *, y: (x * y, y), (2.0,), (1.0,), y=jnp.array(3.0))
    assert out == (6, 3)
    assert tangent == (3, None)


class TestErrors:
    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_jvp` takes a function as `fn`; 3 cannot be"):
            filter_jvp(3, (X,), (X,))

    @pytest.mark.parametrize(
        ("tangents", "text"),
        [
            ((Affine(W), None, None), r"at `tangents`: a `tuple` with 3 children instead of"),
            (({"a": 1}, None), r"at `tangents\[0\]`: a `dict` with 1 child instead of a `Affine`"),
            ([Affine(W), None], r"at `tangents`: a `list` .* instead of a `tuple`"),
            ((None, None), r"at `tangents\[0\]`: None instead of a `Affine`"),
        ],
    )
    def test_other_structure(self, tangents, text):
        with pytest.raises(ValueError, match=r"must have the same pytree structure.*" + text):
            filter_jvp(lambda model, x: model(x), (Affine(W, B), X), tangents)

    def test_other_shape(self):
        with pytest.raises(ValueError, match=r"`tangents\[0\]\.weight` must be of .* \(2, 3\) and"):
            filter_jvp(lambda m: m.weight, (Affine(W, B),), (Affine(B),))

    def test_other_dtype(self):
        with pytest.raises(TypeError, match=r"`tangents\[0\]` .* dtype float32; it .* float16"):
            filter_jvp(jnp.sin, (X,), (X.astype(jnp.float16),))

    @pytest.mark.parametrize("integer", [3, jnp.array(3), np.int8(3), True], ids=repr)
    def test_tangent_of_an_integer(self, integer):
        with pytest.raises(TypeError, match=r"`tangents\[1\]` must be None, as integers"):
            filter_jvp(lambda x, n: x * n, (2.0, integer), (1.0, 1))

    def test_tangent_of_no_array(self):
        with pytest.raises(TypeError, match=r"\['a'\]` must be None: its primal, a `str`"):
            filter_jvp(lambda d: d, ({"a": "text"},), ({"a": 1.0},))

    def test_tangent_that_is_no_array(self):
        with pytest.raises(TypeError, match=r"\[0\]` must be an array or None, not a `str`"):
            filter_jvp(lambda d: d, (1.0,), ("text",))

    @pytest.mark.parametrize(("primals", "tangents"), [(X, (X,)), ((X,), X)])
    def test_no_sequence(self, primals, tangents):
        with pytest.raises(TypeError, match=r"`(primals|tangents)` must be a tuple or list"):
            filter_jvp(jnp.sin, primals, tangents)

    def test_of_the_function_are_its_own(self):
        def fails(x):
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            filter_jvp(fails, (X,), (X,))


def test_transposes_what_filter_vjp_gives():
    tangent, cotangent = X + 1, B * 3
    pushed = filter_jvp(Affine(W, B), (X,), (tangent,))[1]
    (pulled,) = filter_vjp(Affine(W, B), X)[1](cotangent)
    assert jnp.vdot(pushed, cotangent) == jnp.vdot(tangent, pulled)
