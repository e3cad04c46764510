"""`unvmap_any`, `unvmap_all`, `unvmap_max`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.primitives import unvmap_all, unvmap_any, unvmap_max

REDUCTIONS = [(unvmap_any, np.any), (unvmap_all, np.all), (unvmap_max, np.max)]
FLAGS = jnp.array([[False, True, True], [False, False, True]])


@pytest.fixture(params=REDUCTIONS, ids=["any", "all", "max"])
def pair(request):
    return request.param


@pytest.mark.parametrize("jit", [jax.jit, lambda fun: fun], ids=["jit", "eager"])
@pytest.mark.parametrize(
    "values", [FLAGS, FLAGS[0, 0], FLAGS.astype(float)], ids=["matrix", "scalar", "floats"]
)
def test_without_a_batch_it_is_the_reduction(pair, jit, values):
    unvmap, reduction = pair
    out = jit(unvmap)(values)
    assert out.shape == ()
    assert out == reduction(np.asarray(values))


@pytest.mark.parametrize("jit", [jax.jit, lambda fun: fun], ids=["jit", "eager"])
def test_it_is_the_same_for_the_whole_batch(pair, jit):
    unvmap, reduction = pair
    out = jit(jax.vmap(unvmap, out_axes=None))(FLAGS)
    assert out == reduction(np.asarray(FLAGS))
    out = jit(jax.vmap(jax.vmap(unvmap, out_axes=None), out_axes=None))(FLAGS)
    assert out == reduction(np.asarray(FLAGS))


def test_a_branch_stays_a_branch():
    def choose(flag):
        return jax.lax.cond(unvmap_any(flag), lambda: 1.0, lambda: 0.0)

    assert "cond" in str(jax.make_jaxpr(jax.vmap(choose, out_axes=None))(FLAGS[0]))


def test_it_has_no_derivative():
    assert jax.grad(lambda x: unvmap_max(x) + x.sum())(jnp.arange(2.0)).tolist() == [1, 1]
