"""`noinline`: values are those of the function, and it is traced once."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_jit
from eqx_filter.primitives import finalise_fn, noinline
from eqx_pytree import Module

X = jnp.arange(3.0)


class Scaled(Module):
    weight: jax.Array
    label: str = "s"

    def __call__(self, x):
        return jnp.sin(self.weight * x)


def plain(x):
    return jnp.sin(x) * x


def same(_, x):
    return x


COS = noinline(jnp.cos, same)


WAYS = {
    "eager": lambda f: f(X),
    "jit": lambda f: jax.jit(lambda x: f(f(x)))(X),
    "vmap": lambda f: jax.vmap(f)(X),
    "jit vmap": lambda f: jax.jit(jax.vmap(f))(X),
    "jvp": lambda f: jax.jvp(f, (X,), (X,)),
    "grad": lambda f: jax.grad(lambda x: f(x).sum())(X),
    "jit grad": lambda f: jax.jit(jax.grad(lambda x: f(x).sum()))(X),
    "vmap grad": lambda f: jax.vmap(jax.grad(f))(X),
    "grad vmap": lambda f: jax.grad(lambda x: jax.vmap(f)(x).sum())(X),
    "jacfwd": lambda f: jax.jacfwd(f)(X),
    "hessian": lambda f: jax.jit(jax.hessian(lambda x: (f(x) ** 2).sum()))(X),
    "grad scan": lambda f: jax.grad(
        lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0].sum()
    )(X),
    "linearize": lambda f: jax.linearize(f, X)[1](X),
    "half": lambda f: f(X.astype(jnp.float16)),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_function(way):
    use = WAYS[way]
    for a, b in zip(
        jax.tree.leaves(use(noinline(plain))), jax.tree.leaves(use(plain)), strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [lambda f: f, jax.vmap, lambda f: jax.grad(lambda x: f(x).sum())],
    ids=["plain", "vmap", "grad"],
)
def test_a_program_has_it_once(transform):
    traced = []

    @noinline
    def fun(x):
        traced.append(x.shape)
        return jnp.sin(x) * x

    def often(times):
        run = transform(fun)

        def program(x):
            for _ in range(times):
                x = run(x)
            return x

        return program

    jax.jit(often(1)).lower(X)
    before = len(traced)
    text = jax.jit(often(5)).lower(X).as_text()
    assert text.count("stablehlo.sine") <= 2
    assert len(traced) <= 2 * before


def test_arguments_may_be_any_trees():
    fun = noinline(lambda x, label, *, times=1: {label: x * times, "other": None})
    assert fun(2.0, "a", times=3) == {"a": 6.0, "other": None}
    out = filter_jit(fun)((X, 1)[0], "b", times=2)
    assert out["b"].tolist() == [0, 2, 4]


def test_arrays_of_the_function_are_differentiated():
    def loss(weight, wrap):
        return wrap(Scaled(weight))(X).sum()

    got = jax.grad(loss)(X, noinline)
    np.testing.assert_allclose(got, jax.grad(loss)(X, lambda f: f), rtol=1e-6)


def test_it_is_a_tree_with_the_name_of_the_function():
    wrapped = noinline(plain)
    assert wrapped.__name__ == "plain"
    assert wrapped.__wrapped__ is plain
    assert [
        leaf.shape for leaf in jtu.tree_leaves(noinline(Scaled(X))) if hasattr(leaf, "shape")
    ] == [(3,)]


class TestAbstractFn:
    def test_it_stands_for_the_function_while_tracing(self):
        traced, told = [], []

        def fun(x):
            traced.append(x)
            return jnp.sin(x)

        def abstract(fn, x, **kwargs):
            told.append((fn, kwargs))
            return x

        wrapped = noinline(fun, abstract_fn=abstract)
        assert jax.eval_shape(wrapped, X).shape == (3,)
        assert not traced
        assert told[0] == (None, {})
        jax.eval_shape(noinline(Scaled(X), abstract), X)
        assert isinstance(told[-1][0], Scaled)
        assert told[-1][0].label is None

    @pytest.mark.parametrize("way", WAYS)
    def test_it_is_the_function(self, way):
        use = WAYS[way]
        for a, b in zip(
            jax.tree.leaves(use(noinline(plain, lambda _, x: x))),
            jax.tree.leaves(use(plain)),
            strict=True,
        ):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("jit", [jax.jit, filter_jit])
    def test_functions_are_exchanged_without_a_new_trace(self, jit):
        traced = []

        @jit
        def call(fn, x):
            traced.append(1)
            return jax.value_and_grad(lambda x: fn(x).sum())(x)

        for fun in (jnp.sin, jnp.cos, plain, jnp.sin):
            got = call(noinline(fun, same), X)
            want = jax.value_and_grad(lambda x, fun=fun: fun(x).sum())(X)
            np.testing.assert_allclose(jnp.hstack(got), jnp.hstack(want), rtol=1e-5, atol=1e-6)
        assert len(traced) == 1

    def test_modules_are_exchanged_with_their_static_leaves(self):
        traced = []

        @jax.jit
        def call(fn, x):
            traced.append(1)
            return fn(x)

        for module in (Scaled(X), Scaled(X + 1, "t")):
            np.testing.assert_allclose(call(noinline(module, same), X), module(X), rtol=1e-6)
        assert len(traced) == 1

    def test_a_batch_of_functions_calls_each(self):
        several = jax.tree.map(lambda *n: jnp.stack(n), noinline(jnp.sin, same), COS)
        got = jax.jit(jax.vmap(lambda fn: fn(X)))(several)
        np.testing.assert_allclose(got, jnp.stack([jnp.sin(X), jnp.cos(X)]), rtol=1e-6)

    def test_a_large_array_goes_through_a_loop(self):
        x = jnp.ones(300_000)
        run = jax.jit(lambda fn, x: jax.lax.fori_loop(0, 5, lambda _, x: fn(x), x))
        want = jax.lax.fori_loop(0, 5, lambda _, x: jnp.cos(x), x)
        np.testing.assert_allclose(run(COS, x), want, rtol=1e-5)

    def test_it_can_be_finalised(self):
        got = jax.jit(finalise_fn(lambda fn, x: fn(x)))(COS, X)
        np.testing.assert_allclose(got, jnp.cos(X), rtol=1e-6)

    def test_it_has_the_function(self):
        assert noinline(plain, same).__wrapped__ is plain

    def test_what_it_told_must_be_true(self):
        wrapped = noinline(lambda x: x[:2], same)
        with pytest.raises(Exception, match=r"shape \(2,\) .* where its `abstract_fn` told shape"):
            jax.block_until_ready(jax.jit(wrapped)(X))


def test_it_refuses_what_is_no_function():
    with pytest.raises(TypeError, match=r"`noinline` takes a function as `fn`; 3 cannot be"):
        noinline(3)
    with pytest.raises(TypeError, match=r"`noinline` takes a function as `abstract_fn`; 3"):
        noinline(plain, 3)


def test_its_errors_come_through():
    def fail(x):
        message = "mine"
        raise KeyError(message)

    for run in (noinline(fail), jax.jit(noinline(fail)), jax.grad(noinline(fail))):
        with pytest.raises(KeyError, match=r"mine"):
            run(1.0)
