"""`maybe_set` against `jnp.where` and `.at[].set`: values, tangents, and its transpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.loops import maybe_set_p
from eqx_filter.loops._maybe_set import maybe_set

PLACES = {
    "index": (2,),
    "negative": (-1,),
    "beyond": (7,),
    "slice": (slice(1, 3),),
    "slice and index": (slice(None), 1),
    "array": (jnp.array([0, 3]), 2),
    "ellipsis": (..., 0),
}
ARRAY = jnp.arange(12.0).reshape(4, 3)


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def place(request):
    return request.param


def expected(pred, array, x, place):
    return jnp.where(pred, array.at[place].set(x), array)


@pytest.mark.parametrize("pred", [True, False])
def test_it_writes_where_the_condition_holds(place, pred):
    x = -ARRAY[place]
    wanted = expected(pred, ARRAY, x, place)
    np.testing.assert_array_equal(maybe_set(pred, ARRAY, x, place, {}), wanted)
    compiled = jax.jit(lambda pred, array, x: maybe_set(pred, array, x, place, {}))
    np.testing.assert_array_equal(compiled(pred, ARRAY, x), wanted)


@pytest.mark.parametrize("pred", [True, False])
def test_tangents_are_written_as_values_are(place, pred):
    x = -ARRAY[place]
    primals, tangents = (ARRAY, x), (jnp.cos(ARRAY), jnp.sin(x))
    _, found = jax.jvp(lambda a, x: maybe_set(pred, a, x, place, {}), primals, tangents)
    _, wanted = jax.jvp(lambda a, x: expected(pred, a, x, place), primals, tangents)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("pred", [True, False])
def test_what_is_written_gets_its_cotangent_and_the_array_keeps_all(place, pred):
    x, cotangent = -ARRAY[place], jnp.cos(ARRAY)
    _, pullback = jax.vjp(lambda a, x: maybe_set(pred, a, x, place, {}), ARRAY, x)
    by_array, by_x = pullback(cotangent)
    _, wanted = jax.vjp(lambda x: expected(pred, ARRAY, x, place), x)
    np.testing.assert_array_equal(by_array, cotangent)
    np.testing.assert_array_equal(by_x, wanted(cotangent)[0])


def test_each_member_of_a_batch_writes_its_own():
    preds, places = jnp.array([True, False, True]), jnp.array([0, 1, 3])
    xs = -jnp.arange(9.0).reshape(3, 3)

    def over(function):
        return jax.vmap(function)(preds, places, xs)

    def weighted(set_):
        return lambda p, i, x: jax.grad(lambda x: (set_(p, i, x) * ARRAY).sum())(x)

    def ours(p, i, x):
        return maybe_set(p, ARRAY, x, i, {})

    def plain(p, i, x):
        return expected(p, ARRAY, x, i)

    np.testing.assert_array_equal(over(ours), over(plain))
    np.testing.assert_array_equal(over(weighted(ours)), over(weighted(plain)))


def test_it_is_one_equation():
    jaxpr = jax.make_jaxpr(lambda x: maybe_set(True, ARRAY, x, (0,), {}))(jnp.ones(3)).jaxpr
    assert maybe_set_p in [equation.primitive for equation in jaxpr.eqns]
