"""Loops on a mesh of explicit axes, where how an array is laid out is a part of its type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter.loops import scan, while_loop

pytestmark = [
    pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices"),
    pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="this JAX lays out less by itself"),
]

KINDS = {
    "bounded": {"kind": "bounded"},
    "checkpointed": {"kind": "checkpointed"},
    "few": {"kind": "checkpointed", "checkpoints": 2},
}
EACH_KIND = [*[*KINDS][:-1], pytest.param("few", marks=pytest.mark.again)]
X = jnp.arange(8.0)


def looped(x, kind):
    def body(state):
        i, y = state
        return i + 1, jnp.sin(y) + x

    return while_loop(lambda state: state[0] < 3, body, (0, x), max_steps=4, **KINDS[kind])[1]


def last(x, kind):
    return scan(lambda c, _: (jnp.sin(c) + x, c), x, None, 3, **KINDS[kind])[0]


def rows(x, kind):
    return scan(lambda c, _: (jnp.sin(c) + x, c), x, None, 3, **KINDS[kind])[1]


def within(function):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        return jax.jit(function)(jax.device_put(X, NamedSharding(mesh, P("d"))))


@pytest.mark.parametrize("kind", EACH_KIND)
@pytest.mark.parametrize("loop", [looped, last, rows])
def test_values_and_gradients(loop, kind):
    found = within(lambda x: loop(x, kind))
    np.testing.assert_allclose(found, loop(X, kind), rtol=1e-5)
    gradient = jax.grad(lambda x: (loop(x, kind) ** 2).sum())
    found = within(gradient)
    np.testing.assert_allclose(found, gradient(X), rtol=1e-5)
    assert found.sharding.spec == P("d")


@pytest.mark.parametrize("kind", EACH_KIND)
def test_gradients_of_a_batch(kind):
    def member(x):
        return while_loop(lambda c: c < 30, lambda c: 2 * c + 1, x, max_steps=5, **KINDS[kind])

    gradients = jax.vmap(jax.grad(member))
    np.testing.assert_allclose(within(gradients), gradients(X))
