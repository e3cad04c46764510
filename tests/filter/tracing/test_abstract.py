"""`filter_eval_shape`, `cached_filter_eval_shape` and `filter_make_jaxpr`."""

import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    cached_filter_eval_shape,
    filter_eval_shape,
    filter_grad,
    filter_make_jaxpr,
    tree_equal,
)
from eqx_pytree import Module, field

X = jnp.arange(3.0)
STRUCT = jax.ShapeDtypeStruct((3,), jnp.float32)


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def __call__(self, x):
        return self.weight * x


class TestEvalShape:
    def test_gives_structs_for_arrays_and_other_leaves_as_they_are(self):
        out = filter_eval_shape(lambda x, n, *, s: (x * n, n, s, None, X), X, 3, s="text")
        assert tree_equal(out, (STRUCT, 3, "text", None, STRUCT))

    @pytest.mark.parametrize(
        "x", [X, STRUCT, np.ones(3, np.float32)], ids=["jax", "struct", "numpy"]
    )
    def test_takes_arrays_and_structs(self, x):
        assert tree_equal(filter_eval_shape(Scale(x), x), STRUCT)
        assert tree_equal(filter_eval_shape(lambda model: model(X), Scale(x)), STRUCT)

    def test_describes_a_model_without_memory(self):
        def make(size):
            return Scale(jnp.zeros((size, size)))

        model = filter_eval_shape(make, 10**6)
        assert model.weight.shape == (10**6, 10**6)

    def test_agrees_with_jax(self):
        assert filter_eval_shape(jnp.outer, X, X) == jax.eval_shape(jnp.outer, X, X)
        weak = filter_eval_shape(lambda x: x, jnp.asarray(1.0))
        assert weak.weak_type

    def test_of_typed_keys(self):
        key = jax.random.key(0)
        out = filter_eval_shape(jax.random.split, key)
        assert (out.shape, out.dtype) == ((2,), key.dtype)


class TestCachedEvalShape:
    def test_runs_a_function_once_for_each_kind_of_arguments(self):
        runs = []

        def function(x, s):
            runs.append(s)
            return x * 2, s

        for x in (X, X + 1, STRUCT):
            assert tree_equal(cached_filter_eval_shape(function, x, "a"), (STRUCT, "a"))
        assert runs == ["a"]
        cached_filter_eval_shape(function, X, "b")
        cached_filter_eval_shape(function, jnp.ones(2), "b")
        cached_filter_eval_shape(function, X.astype(jnp.int32), "b")
        assert runs == ["a", "b", "b", "b"]

    def test_tells_static_values_apart(self):
        out = [cached_filter_eval_shape(lambda n: n, n) for n in (1, True, 1.0)]
        assert list(map(type, out)) == [int, bool, float]

    def test_of_modules(self):
        for size in (2, 3):
            model = Scale(jnp.ones(size))
            assert cached_filter_eval_shape(model, model.weight).shape == (size,)
        named = [cached_filter_eval_shape(lambda m: m.name, Scale(X, name)) for name in "ab"]
        assert named == ["a", "b"]

    def test_lets_the_function_go(self):
        def run():
            def function(x):
                return x

            cached_filter_eval_shape(function, X)
            return weakref.ref(function)

        reference = run()
        gc.collect()
        assert reference() is None

    def test_a_leaf_without_a_hash_is_refused(self):
        with pytest.raises(TypeError, match="unhashable"):
            cached_filter_eval_shape(lambda x, s: x, X, {1})


class TestMakeJaxpr:
    def test_gives_jaxpr_structs_and_other_leaves(self):
        jaxpr, struct, static = filter_make_jaxpr(lambda x, n, *, s: (x * n, n, s))(X, 3, s="text")
        assert [equation.primitive.name for equation in jaxpr.eqns] == ["mul"]
        assert tree_equal(struct, (STRUCT, None, None))
        assert static == (None, 3, "text")

    def test_agrees_with_jax(self):
        assert str(filter_make_jaxpr(jnp.tanh)(X)[0]) == str(jax.make_jaxpr(jnp.tanh)(X))
        assert str(filter_make_jaxpr(jnp.tanh)(STRUCT)[0]) == str(jax.make_jaxpr(jnp.tanh)(X))

    def test_arrays_of_the_function_are_constants(self):
        jaxpr, *_ = filter_make_jaxpr(Scale(X))(X)
        assert tree_equal(jaxpr.consts, [X])

    def test_of_a_gradient_of_a_module(self):
        jaxpr, struct, _ = filter_make_jaxpr(filter_grad(lambda m, x: m(x).sum()))(Scale(X), X)
        assert len(jaxpr.in_avals) == 2
        assert tree_equal(struct, Scale(STRUCT))

    def test_runs(self):
        jaxpr, *_ = filter_make_jaxpr(jnp.outer)(X, X)
        [out] = jax.core.eval_jaxpr(jaxpr.jaxpr, jaxpr.consts, X, X)
        assert tree_equal(out, jnp.outer(X, X))


@pytest.mark.parametrize(
    "call",
    [filter_make_jaxpr, filter_eval_shape, cached_filter_eval_shape],
    ids=lambda call: call.__name__,
)
def test_what_cannot_be_called_is_refused(call):
    with pytest.raises(TypeError, match=rf"`{call.__name__}` .* a function.*; 3 (cannot|is not)"):
        call(3)


def test_an_output_that_is_itself_a_struct_is_no_output_of_the_jaxpr():
    struct = jax.ShapeDtypeStruct((2,), jnp.float32)
    jaxpr, out_struct, out_static = filter_make_jaxpr(lambda x: (x, struct, 1))(jnp.ones(3))
    assert len(jaxpr.out_avals) == len(jax.tree.leaves(out_struct)) == 1
    assert out_struct[1:] == (None, None)
    assert out_static == (None, struct, 1)
