"""`filter_pure_callback`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, filter_pure_callback, tree_equal
from eqx_pytree import Module, field

X = jnp.arange(3.0)
SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")


def doubled(x, *others, **named):
    return np.asarray(x) * 2


def call(x, **options):
    return filter_pure_callback(doubled, x, result_shape_dtypes=SCALAR, **options)


class TestCalls:
    def test_run_python_within_a_program(self):
        assert tree_equal(filter_jit(call)(X[1]), jnp.float32(2))
        assert tree_equal(call(X[1]), jnp.float32(2))

    def test_pass_any_trees(self):
        seen = []

        def callback(model, text, *, n):
            seen.append((model.name, text, n))
            return model, text, {"n": n}

        struct = jax.ShapeDtypeStruct((3,), jnp.float32)
        out = filter_pure_callback(
            callback,
            Scale(X),
            "text",
            n=3,
            result_shape_dtypes=(Scale(struct), "text", {"n": 3}),
        )
        assert tree_equal(out, (Scale(X), "text", {"n": 3}))
        assert seen == [("scale", "text", 3)]

    def test_an_array_may_tell_the_shape(self):
        out = filter_pure_callback(doubled, X, result_shape_dtypes=X)
        assert tree_equal(out, X * 2)

    def test_without_a_result(self):
        assert filter_pure_callback(lambda x: None, X, result_shape_dtypes=None) is None


class TestVmap:
    @pytest.mark.parametrize(
        "options",
        [
            {"vmap_method": "sequential"},
            {"vmap_method": "expand_dims"},
            {"vectorized": True},
            {"vectorized": False},
        ],
        ids=str,
    )
    def test_by_the_given_method(self, options):
        assert tree_equal(jax.vmap(lambda x: call(x, **options))(X), X * 2)

    def test_without_one_is_refused(self):
        with pytest.raises(NotImplementedError, match="vmap_method"):
            jax.vmap(call)(X)

    def test_both_spellings_are_refused(self):
        with pytest.raises(ValueError, match=r"`vectorized` is an older spelling of `vmap_method`"):
            call(X[0], vectorized=True, vmap_method="sequential")


class TestErrors:
    @pytest.mark.parametrize(
        ("result", "expected", "text"),
        [
            ((1, 2), SCALAR, r"`out`: a `tuple` with 2 children instead of an array"),
            (None, SCALAR, r"`out`: None instead of an array"),
            ((1.0, "a"), (SCALAR, "b"), r"`out\[1\]`: `'a'` instead of `'b'`"),
            (np.ones(2, np.float32), SCALAR, r"shape"),
            (np.ones((), np.int32), SCALAR, r"type"),
        ],
        ids=["structure", "None", "static", "shape", "dtype"],
    )
    def test_another_result(self, result, expected, text):
        def run():
            out = filter_pure_callback(lambda x: result, X[0], result_shape_dtypes=expected)
            jax.block_until_ready(out)

        with pytest.raises(Exception, match=text):
            run()

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_pure_callback` calls a function; 3 is not"):
            filter_pure_callback(3, result_shape_dtypes=SCALAR)
