"""What `filter_jit` refuses, and errors that pass through it; and its use from many threads."""

import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from eqx_filter import filter_jit
from eqx_pytree import Module


class Unhashable:
    __hash__ = None


class TestRefused:
    @pytest.mark.parametrize("fun", [3, "text", [len]])
    def test_what_cannot_be_called(self, fun):
        with pytest.raises(TypeError, match=r"`filter_jit` wraps a function; .* is not a callable"):
            filter_jit(fun)

    def test_an_unknown_donation(self):
        with pytest.raises(ValueError, match=r"`donate='some'` is unknown .* `all-except-first`"):
            filter_jit(len, donate="some")

    @pytest.mark.parametrize(
        "name", ["static_argnums", "static_argnames", "donate_argnums", "donate_argnames"]
    )
    def test_arguments_of_jit_that_are_decided_leaf_by_leaf(self, name):
        with pytest.raises(ValueError, match=f"`{name}` cannot be passed to `filter_jit`"):
            filter_jit(len, **{name: 0})

    def test_a_keyword_that_jit_does_not_have(self):
        with pytest.raises(
            TypeError, match=r"unexpected keyword argument `foo`; it takes .*inline"
        ):
            filter_jit(len, foo=1)

    @pytest.mark.parametrize(
        ("call", "name"),
        [
            (lambda f: f({1, 2}), r"x"),
            (lambda f: f({"a": [0, Unhashable()]}), r"x\['a'\]\[1\]"),
            (lambda f: f(1, 2, bytearray()), r"rest\[1\]"),
            (lambda f: f(1, option={1}), r"option"),
            (lambda f: f(1, extra=[{1}]), r"extra\[0\]"),
        ],
    )
    def test_a_leaf_that_can_be_neither_traced_nor_hashed_is_named(self, call, name):
        def fun(x, *rest, option=None, **more):
            return x

        expected = rf"`{name}`, a `\w+` .*passed to `fun`, can be neither traced nor hashed"
        with pytest.raises(ValueError, match=expected):
            call(filter_jit(fun))

    def test_such_a_leaf_in_a_module_that_is_called_is_named(self):
        class Bad(Module):
            options: Any

            def __call__(self, x):
                return x

        with pytest.raises(
            ValueError, match=r"Bad\.options`, a `set` .* neither traced nor hashed"
        ):
            filter_jit(Bad({1}))(1.0)

    @pytest.mark.parametrize(
        "array", [np.array(["a"]), np.array([None]), np.datetime64("2020")], ids=str
    )
    def test_an_array_that_jax_does_not_have_is_named(self, array):
        with pytest.raises(TypeError, match=r"`x\['a'\]`, a `\w+` of dtype `.*JAX has no such arr"):
            filter_jit(lambda x: 1)({"a": array, "b": jnp.ones(2)})

    @pytest.mark.parametrize("call", [lambda f: f(), lambda f: f(1, 2, 3), lambda f: f(1, z=2)])
    def test_a_call_that_does_not_fit_raises_what_the_function_raises(self, call):
        def fun(x, y=1):
            return x

        with pytest.raises(TypeError) as expected:
            call(fun)
        with pytest.raises(TypeError, match=r"fun\(\)") as raised:
            call(filter_jit(fun))
        assert str(raised.value) == str(expected.value)


class TestErrorsInside:
    @pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError, ZeroDivisionError])
    def test_stay_the_error_that_was_raised(self, kind):
        raised = kind("from inside")

        @filter_jit
        def fail(x):
            raise raised

        with pytest.raises(kind, match="from inside") as caught:
            fail(jnp.ones(2))
        assert caught.value is raised

    def test_do_not_spoil_the_next_call(self):
        fails = [True, False]

        @filter_jit
        def sometimes(x):
            if fails.pop(0):
                message = "not yet"
                raise RuntimeError(message)
            return x + 1, x.shape

        with pytest.raises(RuntimeError, match="not yet"):
            sometimes(jnp.ones(2))
        assert sometimes(jnp.ones(2))[1] == (2,)

    def test_of_jax_stay_those_of_jax(self):
        with pytest.raises(jax.errors.TracerBoolConversionError, match="traced array"):
            filter_jit(lambda x: 1 if x else 2)(jnp.array(True))
        with pytest.raises(TypeError, match="incompatible shapes"):
            filter_jit(lambda x, y: x + y)(jnp.ones(2), jnp.ones(3))


class TestOptionsOfJit:
    def test_are_passed_on(self):
        assert filter_jit(lambda x: x + 1, inline=True, keep_unused=True)(jnp.array(1.0)) == 2

    def test_inline(self):
        def primitives(jit):
            jaxpr = jax.make_jaxpr(jit(lax.sin, inline=True))(1.0)
            return [equation.primitive.name for equation in jaxpr.eqns]

        assert primitives(filter_jit) == primitives(jax.jit)

    def test_compiler_options(self):
        run = filter_jit(lambda x: x + 1, compiler_options={"xla_embed_ir_in_constants": True})
        with pytest.raises(Exception, match="xla_embed_ir_in_constants"):
            run(jnp.array(1.0))

    def test_decorator_with_arguments(self):
        @filter_jit(donate="none", keep_unused=True)
        def add(x):
            return x + 1

        assert add(jnp.array(1.0)) == 2
        assert add.__name__ == "add"


def test_a_call_does_not_wait_for_its_result():
    def work(x):
        return jax.lax.fori_loop(0, 200, lambda _, y: jnp.tanh(y @ y), x)

    x = jnp.ones((300, 300))
    plain, ours = jax.jit(work), filter_jit(work)
    jax.block_until_ready((plain(x), ours(x)))
    out = plain(x)
    if out.is_ready():
        pytest.skip("plain JAX waits here, too")
    out.block_until_ready()
    out = ours(x)
    assert not out.is_ready()
    out.block_until_ready()


def test_threads_call_one_function_at_the_same_time():
    class Scale(Module):
        weight: Any

        def __call__(self, x):
            return self.weight * x

    traces = []

    @filter_jit
    def run(model, x, name):
        traces.append(name)
        return model(x), name, x.shape

    start = threading.Barrier(8)
    failures = []

    def call(i):
        start.wait()
        for step in range(20):
            size = 1 + (i + step) % 3
            out, name, shape = run(Scale(jnp.full((), float(i))), jnp.ones(size), f"n{step % 2}")
            if (name, shape) != (f"n{step % 2}", (size,)) or not bool(jnp.all(out == i)):
                failures.append((i, step, out, name, shape))

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
