"""The finalising functions: same values, and no primitive of ours in what they return."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from eqx_filter import EquinoxRuntimeError, error_if
from eqx_filter.debug import announce_transform
from eqx_filter.primitives import (
    create_vprim,
    filter_primitive_bind,
    filter_primitive_def,
    finalise_eval_jaxpr,
    finalise_fn,
    finalise_jaxpr,
    finalise_jaxpr_as_fn,
    finalise_make_jaxpr,
    noinline,
    nonbatchable,
    nondifferentiable,
    nondifferentiable_backward,
    nontraceable,
    primitive_finalisations,
    register_impl_finalisation,
    unvmap_any,
    unvmap_max,
)

X = jnp.arange(3.0)
WORDS = ("nontraceable", "nondiff", "nonbatch", "unvmap", "vprim", "announce", "noinline", "check[")


@jax.custom_jvp
def with_jvp(x):
    return nontraceable(x) * 2


with_jvp.defjvp(lambda p, t: (with_jvp(*p), t[0] * 3))


@jax.custom_vjp
def with_vjp(x):
    return nontraceable(x) * 2


with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda r, g: (g * 3,))

SQUARE = create_vprim("square", lambda x: [nontraceable(x * x)], lambda x: [x], None, None)
BATCHED = create_vprim("batched", lambda x: [x + 1], lambda x: [x], None, None)

PROGRAMS = {
    "barriers": lambda x: nonbatchable(nondifferentiable_backward(nondifferentiable(x))),
    "unvmap": lambda x: (unvmap_any(x > 1), unvmap_max(x)),
    "closed over": lambda x: nontraceable(x) + X,
    "jit": jax.jit(lambda y: jax.jit(nontraceable)(y) + 1),
    "scan": lambda x: lax.scan(lambda c, y: (nontraceable(c) + y, c), x, X),
    "weak carry": lambda x: lax.scan(lambda c, y: (nontraceable(c) * 2, y), 1.0, x),
    "while": lambda x: lax.while_loop(
        lambda c: unvmap_any(c < 2), lambda c: nontraceable(c) + 1, x
    ),
    "cond": lambda x: lax.cond(x[0] > 0, nontraceable, lambda x: x, x),
    "checkpoint": jax.checkpoint(lambda x: nontraceable(x) * 2),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "linear solve": lambda x: lax.custom_linear_solve(
        lambda y: 2 * nontraceable(y), x, lambda _, y: nontraceable(y) / 2
    ),
    "announce": functools.partial(announce_transform, announce=lambda text: None),
    "noinline": noinline(lambda y: nontraceable(y) + 1),
    "batch": lambda x: jax.vmap(jax.vmap(BATCHED.bind))(x[None])[0],
    "check": lambda x: error_if(x, x.sum() > 9, "m"),
    "batched check": jax.vmap(lambda y: error_if(y, y > 9, "m")),
    "nothing of ours": jnp.sort,
}


def same(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_the_same(name):
    program = PROGRAMS[name]
    want = program(X)
    same(finalise_fn(program)(X), want)
    same(jax.jit(finalise_fn(program))(X), want)
    closed = jax.make_jaxpr(program)(X)
    same(finalise_jaxpr_as_fn(closed)(X), jax.tree.leaves(want))
    final = finalise_jaxpr(closed)
    same(jax.core.eval_jaxpr(final.jaxpr, final.consts, X), jax.tree.leaves(want))


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_primitive_of_ours_is_left(name):
    program = PROGRAMS[name]
    for text in (
        str(finalise_make_jaxpr(program)(X)),
        str(finalise_jaxpr(jax.make_jaxpr(program)(X))),
        jax.jit(finalise_fn(program)).lower(X).as_text(),
    ):
        assert not [word for word in WORDS if f" {word}" in text]


def test_what_is_finalised_can_be_transformed():
    fun = finalise_fn(lambda x: nontraceable(x) ** 2)
    assert jax.vmap(jax.grad(fun))(X).tolist() == [0, 2, 4]
    assert jax.grad(lambda x: finalise_fn(with_vjp)(x).sum())(X).tolist() == [3, 3, 3]
    assert jax.grad(lambda x: finalise_fn(with_jvp)(x).sum())(X).tolist() == [2, 2, 2]


def test_a_check_still_fails():
    fun = finalise_fn(lambda x: error_if(x, x > 1, "too large"))
    with pytest.raises(EquinoxRuntimeError, match=r"^too large"):
        fun(jnp.float32(2))
    with pytest.raises(Exception, match=r"too large"):
        jax.jit(fun)(jnp.float32(2))
    with pytest.raises(Exception, match=r"Batch index \(2,\) had error:\ntoo large"):
        jax.jit(jax.vmap(fun))(X)
    assert jax.jit(jax.vmap(fun))(X / 2).tolist() == [0, 0.5, 1]


def test_a_registered_primitive_is_replaced_by_its_last_implementation():
    made = create_vprim("made", lambda x: [x], lambda x: [x], None, None)
    assert "made" in str(finalise_make_jaxpr(made.bind)(X))
    made.def_impl(lambda x: [nontraceable(x * 10)])
    register_impl_finalisation(made)
    assert made in primitive_finalisations
    for program in (made.bind, jax.jit(made.bind), jax.vmap(made.bind)):
        text = str(finalise_make_jaxpr(program)(X))
        assert "made" not in text
        assert "nontraceable" not in text
        assert finalise_fn(program)(X)[0].tolist() == [0, 10, 20]
    del primitive_finalisations[made]


def test_a_batch_of_another_primitive_is_replaced_too():
    assert "nontraceable" not in str(finalise_make_jaxpr(jax.vmap(SQUARE.bind))(X))
    assert finalise_fn(jax.vmap(SQUARE.bind))(X)[0].tolist() == [0, 1, 4]


def test_a_primitive_for_trees_is_replaced():
    made = create_vprim(
        "tree",
        filter_primitive_def(lambda x, label: ({"a": 2 * x}, label)),
        filter_primitive_def(lambda x, label: ({"a": x}, label)),
        None,
        None,
    )
    register_impl_finalisation(made)
    fun = finalise_fn(jax.jit(lambda x: filter_primitive_bind(made, x, "s")[0]["a"]))
    assert fun(X).tolist() == [0, 2, 4]
    del primitive_finalisations[made]


def test_shapes_are_returned():
    jaxpr, out = finalise_make_jaxpr(lambda x: {"a": nontraceable(x)}, return_shape=True)(
        jax.ShapeDtypeStruct((2,), jnp.int32)
    )
    assert out["a"].shape == (2,)
    assert [v.aval.dtype for v in jaxpr.jaxpr.outvars] == [jnp.int32]


def test_arguments_are_counted():
    closed = jax.make_jaxpr(lambda x: x + X)(X)
    with pytest.raises(ValueError, match=r"`args` must be 1 values, as the jaxpr has; got 0"):
        finalise_eval_jaxpr(closed.jaxpr, closed.consts)
    with pytest.raises(ValueError, match=r"`consts` must be \d values, as the jaxpr has; got 7"):
        finalise_eval_jaxpr(closed.jaxpr, [0] * 7, X)


def test_what_is_no_function_or_program_is_refused():
    with pytest.raises(TypeError, match=r"`finalise_fn` takes a function as `fn`; 3"):
        finalise_fn(3)
    with pytest.raises(TypeError, match=r"`finalise_make_jaxpr` takes a function as `fn`; 3"):
        finalise_make_jaxpr(3)
    with pytest.raises(TypeError, match=r"`jaxpr` must be a `ClosedJaxpr`.*; it is a `int`"):
        finalise_jaxpr(3)
