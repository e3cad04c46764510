"""`linear_recurrence` against the loop that it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_nn import linear_recurrence

KEY = jax.random.key(0)


def by_hand(a, b, state, reverse):
    a = np.broadcast_to(a, b.shape)
    states = np.zeros(b.shape, np.result_type(a, b, state))
    for t in reversed(range(len(b))) if reverse else range(len(b)):
        state = states[t] = a[t] * state + b[t]
    return states


def draw(shape, seed, dtype=np.float64):
    numbers = np.random.default_rng(seed).uniform(-1, 1, (2, *shape))
    return (
        numbers[0] + (1j * numbers[1] if np.issubdtype(dtype, np.complexfloating) else 0)
    ).astype(dtype)


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(0, 9),
    shape=st.sampled_from([(), (3,), (2, 1)]),
    of_each=st.booleans(),
    with_state=st.booleans(),
    reverse=st.booleans(),
    parallel=st.booleans(),
    dtype=st.sampled_from([np.float32, np.complex64]),
)
def test_is_the_loop(length, shape, of_each, with_state, reverse, parallel, dtype):
    a = draw((length, *shape) if of_each else shape, 1, dtype)
    b, state = draw((length, *shape), 2, dtype), draw(shape, 3, dtype)
    found = linear_recurrence(
        a, b, state if with_state else None, reverse=reverse, parallel=parallel
    )
    expected = by_hand(a, b, state if with_state else np.zeros_like(state), reverse)
    assert (found.shape, found.dtype) == (b.shape, dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("of_each", [False, True])
def test_derivatives(parallel, reverse, of_each):
    a, b = draw((5, 2) if of_each else (2,), 1, np.float32), draw((5, 2), 2, np.float32)
    state = draw((2,), 3, np.float32)

    def plain(a, b, state):
        def step(h, at):
            return (at[0] * h + at[1],) * 2

        return jax.lax.scan(step, state, (jnp.broadcast_to(a, b.shape), b), reverse=reverse)[1]

    def ours(a, b, state):
        return linear_recurrence(a, b, state, reverse=reverse, parallel=parallel)

    for derive in (jax.jacrev, jax.jacfwd, jax.hessian):
        found, expected = (
            jax.jit(derive(lambda *args, f=f: jnp.sum(jnp.sin(f(*args))), (0, 1, 2)))(a, b, state)
            for f in (ours, plain)
        )
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_integers_become_floats():
    found = linear_recurrence(2, jnp.arange(4))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, [0, 1, 4, 11])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0), r"`b` of shape `\(length, \*shape\)`; got shape \(\)"),
        ((jnp.ones(3), jnp.ones((4, 2))), r"`a` of shape \(4, 2\) or.*\(2,\); got shape \(3,\)"),
        ((jnp.ones(2), jnp.ones((4, 2)), 1.0), r"`state` of shape \(2,\); got shape \(\)"),
    ],
)
def test_other_shapes(arguments, message):
    with pytest.raises(ValueError, match=f"`linear_recurrence` expects {message}"):
        linear_recurrence(*arguments)
