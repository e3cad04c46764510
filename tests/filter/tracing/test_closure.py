"""`filter_closure_convert`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import (
    combine,
    filter,
    filter_closure_convert,
    filter_grad,
    filter_jit,
    is_array,
    partition,
    tree_equal,
)
from eqx_pytree import Module

X, Y = jnp.array(2.0), jnp.array(3.0)
STRUCT = jax.ShapeDtypeStruct((), jnp.float32)


class Scale(Module):
    weight: Any

    def __call__(self, x):
        return self.weight * x


def closing_over(y):
    return lambda x, *args, **kwargs: (x * y, args, kwargs)


class TestConverted:
    def test_has_what_was_closed_over_as_leaves(self):
        converted = filter_closure_convert(closing_over(Y), X)
        assert tree_equal(jtu.tree_leaves(filter(converted, is_array)), [Y])
        assert converted(X)[0] == 6

    def test_a_module_has_its_arrays(self):
        converted = filter_closure_convert(Scale(Y), X)
        assert tree_equal(jtu.tree_leaves(filter(converted, is_array)), [Y])
        assert tree_equal(jtu.tree_leaves(filter_grad(lambda f: f(X))(converted)), [X])

    def test_differentiates_what_was_closed_over(self):
        def loss(y):
            return filter_closure_convert(lambda x: x * y, X)(X)

        assert jax.grad(loss)(Y) == 2

    def test_keeps_static_arguments_and_outputs(self):
        converted = filter_closure_convert(closing_over(Y), X, "text", 3, key=None)
        assert converted(X, "text", 3, key=None) == (6, ("text", 3), {"key": None})

    def test_two_of_one_signature_have_one_structure(self):
        first = filter_closure_convert(lambda x: x * Y, X)
        second = filter_closure_convert(lambda x: x + Y * 2, X)
        arrays, static = partition(first, is_array)[0], partition(second, is_array)[1]
        assert combine(arrays, static)(X) == 8
        assert not tree_equal(first, second)

    def test_may_be_made_anew_at_each_step_of_a_loop(self):
        def step(x):
            return filter_closure_convert(jax.linearize(lambda y: y**2, x)[1], X)

        arrays, static = partition(step(X), is_array)

        def body(arrays, _):
            linear = combine(arrays, static)
            return filter(step(linear(X)), is_array), None

        arrays, _ = jax.lax.scan(body, arrays, length=2)
        assert combine(arrays, static)(X) == 128

    def test_through_transformations(self):
        converted = filter_closure_convert(Scale(Y), X)
        assert filter_jit(lambda f, x: f(x))(converted, X) == 6
        assert tree_equal(jax.vmap(converted)(jnp.arange(3.0)), jnp.arange(3.0) * 3)

    def test_is_traced_once(self):
        traced = []

        def function(x):
            traced.append(x)
            return x * Y

        converted = filter_closure_convert(function, X)
        converted(X)
        assert len(traced) == 1 + (function.__closure__ is None)

    def test_a_function_that_closes_over_nothing_is_itself(self):
        def function(x):
            return x * 2

        converted = filter_closure_convert(function, X)
        assert jtu.tree_leaves(converted) == [function]
        assert converted(X) == 4


class TestStructs:
    @pytest.mark.parametrize("function", [closing_over(Y), lambda x, n: (x, n)])
    def test_tell_of_inputs_and_outputs(self, function):
        converted = filter_closure_convert(function, X, "text")
        assert tree_equal(converted.in_struct, ((STRUCT, "text"), {}))
        out = jtu.tree_map(lambda leaf: getattr(leaf, "shape", leaf), converted.out_struct)
        assert jtu.tree_leaves(out) == ["text"]
        assert jtu.tree_leaves(converted.out_struct)[0].dtype == jnp.float32

    def test_may_be_given(self):
        assert filter_closure_convert(closing_over(Y), STRUCT)(X)[0] == 6
        assert filter_closure_convert(closing_over(Y), STRUCT)(np.float32(2))[0] == 6


class TestErrors:
    @pytest.mark.parametrize("function", [closing_over(Y), lambda *args, **kwargs: args])
    @pytest.mark.parametrize(
        ("args", "kwargs", "told"),
        [
            ((jnp.ones(3), "a"), {}, r"Called with: \(\(f32\[3\], 'a'\), {}\)"),
            ((jnp.array(1), "a"), {}, r"Called with: \(\(i32\[\], 'a'\), {}\)"),
            ((X, "b"), {}, r"Called with: \(\(f32\[\], 'b'\), {}\)"),
            ((2.0, "a"), {}, r"Called with: \(\(2.0, 'a'\), {}\)"),
            ((X,), {}, r"Called with: \(\(f32\[\],\), {}\)"),
            ((), {"x": X}, r"Called with: \(\(\), {'x': f32\[\]}\)"),
        ],
    )
    def test_other_arguments(self, function, args, kwargs, told):
        converted = filter_closure_convert(function, X, "a")
        text = rf"called with different .*\n{told}\nClosure-converted with: \(\(f32\[\], 'a'\)"
        with pytest.raises(ValueError, match=text):
            converted(*args, **kwargs)

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_closure_convert` takes a function; 3 is not"):
            filter_closure_convert(3)
