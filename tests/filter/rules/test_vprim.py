"""`create_vprim`: a primitive against the function that it stands for, under every nesting."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.interpreters import ad

from eqx_filter.primitives import create_vprim

X = jnp.arange(1.0, 4.0)
M = jnp.arange(1.0, 7.0).reshape(2, 3)


def no_zero(tangent, primal):
    return jnp.zeros_like(primal) if type(tangent) is ad.Zero else tangent


def make_product():
    """`x * y * scale`, with a rule that is linear in each tangent."""

    def jvp(primals, tangents, *, scale):
        x, y = primals
        tx, ty = map(no_zero, tangents, primals)
        bind = functools.partial(product.bind, scale=scale)
        return bind(x, y), [bind(tx, y)[0] + bind(x, ty)[0]]

    def transpose(cotangents, x, y, *, scale):
        [ct] = cotangents
        if ad.is_undefined_primal(x):
            return [product.bind(ct, y, scale=scale)[0], None]
        return [None, product.bind(x, ct, scale=scale)[0]]

    product = create_vprim(
        "product",
        lambda x, y, *, scale: [scale * x * y],
        lambda x, y, *, scale: [x],
        jvp,
        transpose,
    )
    return product


PRODUCT = make_product()


def mine(x, y):
    return PRODUCT.bind(x, y, scale=3.0)[0]


def plain(x, y):
    return 3.0 * x * y


def total(fun):
    return lambda x, y: (fun(x, y) ** 2).sum()


WAYS = {
    "eager": lambda fun: fun(X, X),
    "vmap": lambda fun: jax.vmap(fun)(X, X + 1),
    "vmap one": lambda fun: jax.vmap(lambda x: fun(x, jnp.ones_like(x)), in_axes=1)(M),
    "vmap vmap": lambda fun: jax.vmap(jax.vmap(fun), in_axes=1, out_axes=1)(M, M),
    "vmap jit": lambda fun: jax.vmap(jax.jit(fun))(X, X),
    "jvp": lambda fun: jax.jvp(fun, (X, X), (X, 2 * X)),
    "jvp vmap": lambda fun: jax.jvp(jax.vmap(fun), (M, M), (M, 2 * M)),
    "vmap jvp": lambda fun: jax.vmap(lambda x: jax.jvp(fun, (x, x), (x, 2 * x)))(M),
    "grad": lambda fun: jax.grad(total(fun), (0, 1))(X, X),
    "grad vmap": lambda fun: jax.grad(total(jax.vmap(fun)), (0, 1))(M, M),
    "grad vmap vmap": lambda fun: jax.grad(total(jax.vmap(jax.vmap(fun))), (0, 1))(M, M),
    "vmap grad": lambda fun: jax.vmap(jax.grad(total(fun), (0, 1)))(M, M),
    "hessian": lambda fun: jax.hessian(total(fun))(X, X),
    "vmap hessian": lambda fun: jax.vmap(jax.hessian(total(fun)))(M, M),
    "jacfwd jacrev": lambda fun: jax.jacfwd(jax.jacrev(fun))(X, X),
    "linearize": lambda fun: jax.linearize(fun, X, X)[1](X, 2 * X),
    "scan": lambda fun: jax.lax.scan(lambda c, x: (fun(c, x), None), X, M)[0],
    "vmap scan": lambda fun: jax.vmap(
        lambda c: jax.lax.scan(lambda c, x: (fun(c, x), None), c, X)[0]
    )(X),
    "complex": lambda fun: jax.vmap(fun)(1j * X, X),
    "half": lambda fun: jax.vmap(fun)(X.astype(jnp.float16), X.astype(jnp.float16)),
}


@pytest.mark.parametrize("jit", [pytest.param(False, marks=pytest.mark.again), True])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_function(way, jit):
    use = WAYS[way]
    got = jax.jit(lambda: use(mine))() if jit else use(mine)
    want = use(plain)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_an_operand_that_a_batch_shares_gets_the_sum():
    def fun(of):
        return lambda x: jax.vmap(of, in_axes=(None, 0))(x, M).sum()

    assert jax.grad(fun(mine))(X).tolist() == jax.grad(fun(plain))(X).tolist()


AXES = [pair for pair in itertools.product((None, 0, 1), repeat=2) if pair != (None, None)]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(AXES), st.integers(0, 1))
def test_axes_are_those_of_vmap(axes, out_axis):
    square = jnp.arange(9.0).reshape(3, 3)
    operands = [square[0] if axis is None else square for axis in axes]
    got, want = (jax.vmap(f, in_axes=axes, out_axes=out_axis)(*operands) for f in (mine, plain))
    assert got.tolist() == want.tolist()


def test_rules_see_one_member():
    shapes = []

    def note(x):
        shapes.append(x.shape)
        return [x]

    noting = create_vprim("noting", note, note, None, None)
    jax.jit(jax.vmap(noting.bind))(M)
    assert set(shapes) == {(3,)}


def test_names_of_axes_are_known_inside():
    summed = create_vprim("s", lambda x: [jax.lax.psum(x, "i")], lambda x: [x], None, None)
    assert jax.vmap(summed.bind, axis_name="i")(X)[0].tolist() == [6, 6, 6]


def test_another_implementation_is_for_eager_calls_alone():
    product = make_product()
    product.def_impl(lambda x, y, *, scale: [x - 100])
    call = functools.partial(product.bind, scale=1.0)
    assert call(X, X)[0].tolist() == [-99, -98, -97]
    for run in (jax.jit(call), jax.vmap(call), jax.jit(jax.vmap(call))):
        assert run(X, X)[0].tolist() == [1, 4, 9]


def test_what_it_lacks_it_says():
    bare = create_vprim("bare", lambda x: [x], lambda x: [x], None, None)
    assert jax.vmap(bare.bind)(X)[0].tolist() == X.tolist()
    with pytest.raises(NotImplementedError, match=r"bare"):
        jax.jvp(bare.bind, (X,), (X,))
    with pytest.raises(NotImplementedError, match=r"`bare` was created .* without a `jvp` rule"):
        jax.jvp(jax.vmap(bare.bind), (X,), (X,))
    with pytest.raises(NotImplementedError, match=r"without a `transpose` rule"):
        jax.linear_transpose(lambda x: jax.vmap(bare.bind)(x)[0], X)(X)
    with pytest.raises(TypeError, match=r"`create_vprim` takes a function as `impl`; 3"):
        create_vprim("bad", 3, len, None, None)
