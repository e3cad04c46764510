"""Derivatives by what a buffer held before the loop: where it is written there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.loops import buffer_at_set, while_loop

KINDS = {
    "bounded": {"kind": "bounded", "max_steps": 4},
    "checkpointed": {"kind": "checkpointed", "max_steps": 4},
    "few": {"kind": "checkpointed", "checkpoints": 1},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


def written(buffer, x, steps=4, **options):
    """Write `x buffer[3]` at 0, nothing at 1, and `x^2` at 2; a place more for each step."""

    def body(state):
        i, held = state
        new = jnp.stack([x * held[3], x, x**2, x])[i]
        return i + 1, buffer_at_set(held, i, new, pred=(i == 0) | (i == 2))

    start = (jnp.array(0), buffer)
    loop = while_loop(lambda s: s[0] < steps, body, start, buffers=lambda s: s[1], **options)
    return loop[1]


def plain(buffer, x, steps=4):
    news = jnp.stack([x * buffer[3], buffer[1], x**2, buffer[3]])
    return jnp.where(jnp.arange(4) < steps, news, buffer)


BUFFER = jnp.array([1.0, 2.0, 3.0, 4.0])
WEIGHTS = jnp.array([1.0, 10.0, 100.0, 1000.0])


def test_values_and_gradients_are_those_without_a_loop(kind):
    np.testing.assert_allclose(written(BUFFER, 2.0, **kind), plain(BUFFER, 2.0))
    gradients = jax.grad(lambda b, x: (written(b, x, **kind) * WEIGHTS).sum(), (0, 1))
    found = jax.jit(gradients)(BUFFER, 2.0)
    wanted = jax.grad(lambda b, x: (plain(b, x) * WEIGHTS).sum(), (0, 1))(BUFFER, 2.0)
    jax.tree.map(np.testing.assert_allclose, found, wanted)


def test_members_of_a_batch_write_their_own_places(kind):
    steps, buffers = jnp.array([0, 1, 4]), BUFFER * jnp.arange(1.0, 4)[:, None]

    def gradient(run):
        by_buffer = jax.grad(lambda b, n: (run(b, 2.0, n) * WEIGHTS).sum())
        return jax.jit(jax.vmap(by_buffer))(buffers, steps)

    np.testing.assert_allclose(gradient(lambda b, x, n: written(b, x, n, **kind)), gradient(plain))


def test_a_second_derivative_by_the_buffer_is_right_where_the_first_is_by_another():
    def mixed(run):
        by_x = jax.grad(lambda x, b: (run(b, x) ** 2 * WEIGHTS).sum())
        return [jax.jit(way(lambda b: by_x(2.0, b)))(BUFFER) for way in (jax.grad, jax.jacfwd)]

    found = mixed(lambda b, x: written(b, x, **KINDS["bounded"]))
    jax.tree.map(np.testing.assert_allclose, found, mixed(plain))


def test_nothing_is_run_again_where_no_buffer_has_a_derivative(kind):
    def loss(x):
        return written(BUFFER, x, **kind).sum()

    def loops(function, *args):
        return str(jax.make_jaxpr(jax.grad(function))(*args)).count("while[")

    by_buffer = loops(lambda b: written(b, 2.0, **kind).sum(), BUFFER)
    assert loops(loss, 2.0) == by_buffer - 1


def test_memory_of_a_gradient_does_not_hold_a_buffer_for_each_step(kind):
    def loss(x):
        held = jnp.zeros((4, 1000))

        def body(state):
            return state[0] + 1, buffer_at_set(state[1], state[0], jnp.sin(x))

        start = (jnp.array(0), held)
        loop = while_loop(lambda s: s[0] < 4, body, start, buffers=lambda s: s[1], **kind)
        return (loop[1] ** 2).sum()

    compiled = jax.jit(jax.grad(loss)).lower(jnp.ones(1000)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 3 * 4 * 4000
