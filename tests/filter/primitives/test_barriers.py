"""Barriers: identity, and a refusal under some transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import EquinoxRuntimeError, filter_jit
from eqx_filter.primitives import (
    nonbatchable,
    nondifferentiable,
    nondifferentiable_backward,
    nontraceable,
)

X = jnp.arange(3.0)
BARRIERS = [nontraceable, nondifferentiable, nondifferentiable_backward, nonbatchable]


@pytest.fixture(params=BARRIERS, ids=lambda barrier: barrier.__name__)
def barrier(request):
    return request.param


@pytest.mark.parametrize("jit", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
def test_a_tree_passes(barrier, jit):
    tree = {
        "a": X,
        "b": None,
        "c": ("s", 1.5, np.arange(2, dtype=np.int32), jnp.float16(1), 1j * X),
    }
    out = jit(barrier)(tree)
    assert jax.tree.structure(out) == jax.tree.structure(tree)
    for mine, given in zip(jax.tree.leaves(out), jax.tree.leaves(tree), strict=True):
        assert getattr(mine, "dtype", None) == getattr(given, "dtype", None)
        assert np.all(np.asarray(mine) == np.asarray(given))


def test_keys_and_empty_trees_pass(barrier):
    key = jax.random.key(0)
    assert jax.random.key_data(barrier(key)).tolist() == jax.random.key_data(key).tolist()
    assert barrier(()) == ()


def test_what_is_not_transformed_passes(barrier):
    assert jax.vmap(lambda x: barrier(X) + x)(X).shape == (3, 3)
    assert jax.grad(lambda x: (barrier(X) * x).sum())(X).tolist() == X.tolist()
    stopped = jax.jvp(lambda x: barrier(jax.lax.stop_gradient(x)), (X,), (X,))
    assert stopped[1].tolist() == [0, 0, 0]


def test_nontraceable_refuses_every_transformation():
    with pytest.raises(RuntimeError, match=r"differentiation of the lookup \(at `x\['a'\]`\)"):
        jax.jvp(lambda x: nontraceable({"a": x}, name="the lookup"), (X,), (X,))
    with pytest.raises(RuntimeError, match=r"batching of nontraceable operation"):
        jax.vmap(nontraceable)(X)
    with pytest.raises(RuntimeError, match=r"transposition of nontraceable operation"):
        jax.linear_transpose(nontraceable, X)(X)


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_nondifferentiable_refuses_both_modes(mode):
    with pytest.raises(RuntimeError, match=r"^f \(at `x\[1\]`\) cannot be autodifferentiated"):
        mode(lambda x: nondifferentiable((X, x), name="f")[1])(X)
    with pytest.raises(RuntimeError, match=r"^mine"):
        mode(lambda x: nondifferentiable(x, name="f", msg="mine"))(X)


def test_nondifferentiable_refuses_a_tangent_whose_output_is_not_used():
    with pytest.raises(RuntimeError, match=r"^This operation cannot be autodifferentiated"):
        jax.grad(lambda x: (nondifferentiable(x), x.sum())[1])(X)


def test_nondifferentiable_is_batched_and_transposed():
    assert jax.vmap(nondifferentiable, in_axes=1, out_axes=1)(jnp.ones((2, 3))).shape == (2, 3)
    assert jax.linear_transpose(nondifferentiable, X)(2 * X)[0].tolist() == [0, 2, 4]


def test_backward_lets_forward_mode_through():
    out, tangent = jax.jvp(lambda x: 2 * nondifferentiable_backward(x), (X,), (X + 1,))
    assert out.tolist() == [0, 2, 4]
    assert tangent.tolist() == [2, 4, 6]
    with pytest.raises(RuntimeError, match=r"^f cannot be reverse-mode autodifferentiated"):
        jax.grad(lambda x: nondifferentiable_backward(x, "f").sum())(X)


def test_backward_lets_symbolic_zeros_through():
    def fun(x):
        return nondifferentiable_backward((jax.lax.stop_gradient(x), x))[0].sum() + x.sum()

    assert jax.grad(fun)(X).tolist() == [1, 1, 1]


def test_backward_by_value_lets_zeros_through():
    def pull(cotangent):
        fun = lambda x: nondifferentiable_backward(x, msg="mine", symbolic=False)  # noqa: E731
        return jax.vjp(fun, X)[1](cotangent)[0]

    assert filter_jit(pull)(jnp.zeros(3)).tolist() == [0, 0, 0]
    with pytest.raises(EquinoxRuntimeError, match=r"^mine"):
        filter_jit(pull)(jnp.array([0.0, jnp.nan, 0.0]))
    with pytest.raises(EquinoxRuntimeError, match=r"^mine"):
        pull(X)


def test_nonbatchable_refuses_a_batch():
    with pytest.raises(ValueError, match=r"^f \(at `x\[0\]`\) cannot be vmap'd"):
        jax.vmap(lambda x: nonbatchable((x, X), name="f"))(X)
    with pytest.raises(ValueError, match=r"^mine"):
        jax.jit(jax.vmap(lambda x: nonbatchable(x, msg="mine")))(X)
    with pytest.raises(NotImplementedError, match=r"nonbatchable"):
        jax.grad(nonbatchable)(1.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_nonbatchable_takes_the_member_of_a_constant_batch(axis):
    batch = jnp.stack([X, X], axis)
    unbatch = jax.vmap(
        lambda x: nonbatchable(x, allow_constant_across_batch=True), in_axes=axis, out_axes=None
    )
    assert filter_jit(unbatch)(batch).tolist() == X.tolist()
    with pytest.raises(EquinoxRuntimeError, match=r"This operation met a batch whose members"):
        filter_jit(unbatch)(batch.at[1, 1].set(7))


def test_nonbatchable_takes_a_constant_batch_of_keys():
    key = jax.random.key(1)
    unbatch = jax.vmap(lambda k: nonbatchable(k, allow_constant_across_batch=True), out_axes=None)
    assert unbatch(jnp.stack([key, key])) == key
    with pytest.raises(EquinoxRuntimeError, match=r"members differ"):
        unbatch(jax.random.split(key))


@pytest.mark.parametrize("number", [2.0, 3, True, 1j])
@pytest.mark.parametrize("barrier", [nondifferentiable_backward, nonbatchable, nontraceable])
def test_a_number_stays_a_number(barrier, number):
    assert type(barrier(number)) is type(number)
    value, tangent = jax.jvp(nondifferentiable_backward, (2.0,), (1.0,))
    assert (type(value), value, type(tangent), tangent) == (float, 2.0, float, 1.0)
