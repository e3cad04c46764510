"""`noinline`: values are those of the function, and it is traced once."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_jit
from eqx_filter.primitives import noinline
from eqx_pytree import Module

X = jnp.arange(3.0)


class Scaled(Module):
    weight: jax.Array
    label: str = "s"

    def __call__(self, x):
        return jnp.sin(self.weight * x)


def plain(x):
    return jnp.sin(x) * x


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


def test_abstract_fn_stands_for_it_while_tracing():
    traced = []

    def fun(x):
        traced.append(x)
        return jnp.sin(x)

    told = noinline(fun, abstract_fn=lambda x: x)
    assert jax.eval_shape(told, X).shape == (3,)
    assert not traced
    np.testing.assert_allclose(jax.jit(told)(X), jnp.sin(X), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda x: told(x).sum()))(X), jnp.cos(X), rtol=1e-6)


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
