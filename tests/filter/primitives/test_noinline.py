"""`noinline`: values are those of the function, and it is traced once."""

import copy
import functools
import inspect
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_checkpoint, filter_jit
from eqx_filter.primitives import finalise_fn, noinline
from eqx_pytree import Module, field

X = jnp.arange(3.0)


class Scaled(Module):
    weight: jax.Array
    label: str = "s"

    def __call__(self, x):
        return jnp.sin(self.weight * x)


class Counted(Module):
    weight: jax.Array
    static: object = field(static=True)

    def __call__(self, x):
        return self.weight * x * len(self.static)


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


TWICE = noinline(lambda x: 2 * x, same)
AS_A_FUNCTION = {
    "vmap": lambda f: jax.vmap(f)(X),
    "filter_jit": lambda f: filter_jit(f)(X),
    "vjp": lambda f: jax.vjp(f, X)[0],
    "linearize": lambda f: jax.linearize(f, X)[0],
    "eval_shape": lambda f: jnp.ones(jax.eval_shape(f, X).shape) * f(X),
    "make_jaxpr": lambda f: jax.make_jaxpr(f)(X) and f(X),
    "filter_checkpoint": lambda f: filter_checkpoint(f)(X),
    "partial": lambda f: jax.vmap(functools.partial(f))(X),
    "wraps": lambda f: functools.wraps(f)(jnp.negative)(-2 * X),
    "noinline": lambda f: noinline(f)(X),
    "gradient of noinline": lambda f: jax.grad(lambda x: noinline(f)(x) @ X)(X),
    "noinline by number": lambda f: noinline(f, same)(X),
    "deepcopy": lambda f: copy.deepcopy(copy.copy(f))(X),
}


class TestAnArgumentOfAProgram:
    """Which function it is, the program does not know."""

    @pytest.mark.parametrize("jit", [jax.jit, filter_jit])
    @pytest.mark.parametrize("name", AS_A_FUNCTION)
    def test_it_is_taken_as_a_function(self, name, jit):
        np.testing.assert_allclose(jit(AS_A_FUNCTION[name])(TWICE), 2 * X)

    def test_it_does_not_say_what_it_wraps(self):
        @jax.jit
        def ask(f):
            assert not hasattr(f, "__wrapped__")
            with pytest.raises(AttributeError, match=r"will be known when the program runs"):
                f.fun.value()
            return len(inspect.signature(f).parameters)

        assert ask(TWICE) == 2

    def test_a_batch_does_not_either(self):
        several = jax.tree.map(lambda *n: jnp.stack(n), TWICE, COS)
        assert not hasattr(several, "__wrapped__")

    def test_it_may_be_its_own_argument(self):
        applied = noinline(lambda f, x: 3 * x, lambda _, f, x: x)
        assert jax.jit(lambda f: f(f, X))(applied).tolist() == [0, 3, 6]

    def test_it_cannot_be_pickled(self):
        with pytest.raises(pickle.PicklingError, match=r"cannot be pickled while it is traced"):
            jax.jit(pickle.dumps)(TWICE)


@jax.jit
def applied(fn, x):
    return fn(x)


@pytest.mark.parametrize("call", [applied, lambda fn, x: fn(x)], ids=["jit", "eager"])
@pytest.mark.parametrize("make", [list, lambda xs: {"xs": list(xs)}], ids=["list", "dict"])
def test_static_values_may_be_changed_in_place(make, call):
    """A function is found by what its values were; those of another must not come for them."""

    class Summed(Module):
        weight: jax.Array
        static: object = field(static=True)

        def __call__(self, x):
            return self.weight * x * sum(jtu.tree_leaves(self.static))

    def fresh():
        static = make([5, 5])
        return static, noinline(Summed(jnp.ones(3), static), same)

    first, changed = fresh()
    assert call(changed, X).tolist() == [0, 10, 20]
    jtu.tree_map(lambda xs: xs.append(1), first, is_leaf=lambda xs: isinstance(xs, list))
    assert call(fresh()[1], X).tolist() == [0, 10, 20]
    assert call(changed, X).tolist() == [0, 11, 22]
    assert call(noinline(changed.__wrapped__, same), X).tolist() == [0, 11, 22]


def test_static_values_of_arguments_may_be_changed_in_place():
    call = jax.jit(lambda fn, module: fn(module, X))
    by = noinline(lambda module, x: module(x), lambda _, module, x: x)
    static = [1, 2]
    assert call(by, Counted(X, static)).tolist() == [0, 2, 8]
    static.append(3)
    assert call(by, Counted(X, [1, 2])).tolist() == [0, 2, 8]
    assert call(by, Counted(X, static)).tolist() == [0, 3, 12]


SAVED = """
import pickle, sys, threading
import jax
from eqx_filter.primitives import noinline

def same(_, x):
    return x

def negative(x):
    return -x

def double(x):
    return 2 * x

def of_this_process():
    return noinline(lambda x, lock=threading.Lock(): x, same)
"""
SAVES = """
from saved import *
f, g = noinline(negative, same), noinline(double, same)
several = jax.tree.map(lambda *n: jax.numpy.stack(n), f, g)
sys.stdout.buffer.write(pickle.dumps((f, several)) + pickle.dumps(of_this_process()))
"""
LOADS = """
from saved import *
others = [noinline(f, same) for f in (jax.numpy.exp, jax.numpy.log, jax.numpy.tan)]
f, several = pickle.load(sys.stdin.buffer)
assert f.__wrapped__ is negative
assert jax.jit(lambda f: f(jax.numpy.ones(2)))(f).tolist() == [-1, -1]
assert jax.vmap(lambda f: f(jax.numpy.ones(2)))(several).tolist() == [[-1, -1], [2, 2]]
try:
    pickle.load(sys.stdin.buffer)
except pickle.UnpicklingError as error:
    print(error)
"""


def test_another_process_loads_the_function_and_not_its_number(tmp_path):
    (tmp_path / "saved.py").write_text(SAVED)
    run = functools.partial(subprocess.run, check=True, cwd=tmp_path, stdout=subprocess.PIPE)
    kept = run([sys.executable, "-c", SAVES]).stdout
    told = run([sys.executable, "-c", LOADS], input=kept).stdout
    assert b"can be loaded in the process alone that pickled it" in told


@pytest.mark.parametrize("function", [Counted(X, [1]), lambda x: X * x])
def test_the_process_itself_loads_any(function):
    again = pickle.loads(pickle.dumps(noinline(function, same)))
    assert again(X).tolist() == jax.jit(lambda f: f(X))(again).tolist() == [0, 1, 4]


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
