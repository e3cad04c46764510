"""`filter_jit`: what is traced, what is static, what comes out, and how it nests."""

import copy
import functools
import pickle
from typing import Any

import cloudpickle
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, filter_value_and_grad
from eqx_pytree import Module, Partial, field


class Scale(Module):
    weight: Any
    power: Any = field(static=True, default=1)

    def method(self, x):
        return self.weight * x**self.power

    def __call__(self, x):
        return self.method(x)


def importable(x, y=1):
    """Add."""
    return x + y


class TestTracedAndStatic:
    @pytest.mark.parametrize(
        "value",
        [
            *(jnp.ones(2), np.ones(2), np.float32(1), np.float64(1), np.int8(1), np.bool_(True)),
            *(jnp.ones(2, jnp.float16), jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.complex64)),
            jax.random.key(0),
        ],
        ids=lambda value: f"{type(value).__name__} {value.dtype}",
    )
    def test_arrays_are_traced(self, value):
        seen = []
        out = filter_jit(lambda x: seen.append(x) or x)(value)
        assert isinstance(seen[0], jax.core.Tracer)
        assert isinstance(out, jax.Array)
        assert out.dtype == jax.jit(lambda x: x)(value).dtype

    @pytest.mark.parametrize(
        "value", [1, 1.0, True, 1j, "a", b"a", None, len, int, jnp.float32, (), ...], ids=str
    )
    def test_anything_else_is_static_and_comes_back_itself(self, value):
        assert filter_jit(lambda x: x)(value) is value

    def test_leaves_of_one_tree_are_told_apart(self):
        def run(tree):
            assert isinstance(tree["x"], jax.core.Tracer)
            return tree["f"](tree["x"]) * tree["n"]

        assert filter_jit(run)({"f": jnp.sum, "x": jnp.ones(3), "n": 2}) == 6

    def test_results_agree_with_jax_jit(self):
        def fun(x, y):
            return {"sum": x + y, "all": [x * y, (y,)]}

        x, y = jnp.arange(3.0), jnp.ones(3)
        ours, plain = filter_jit(fun)(x, y), jax.jit(fun)(x, y)
        assert jtu.tree_structure(ours) == jtu.tree_structure(plain)
        for one, other in zip(jtu.tree_leaves(ours), jtu.tree_leaves(plain), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_without_arguments(self):
        assert filter_jit(lambda: jnp.ones(2))().shape == (2,)
        assert filter_jit(lambda: "text")() == "text"

    def test_keyword_only_and_variadic_arguments(self):
        run = filter_jit(lambda *args, scale, **kwargs: (sum(args) * scale, kwargs))
        assert run(jnp.array(1.0), 2.0, scale=3, tag="a") == (9, {"tag": "a"})


class TestOutputs:
    def test_may_hold_anything(self):
        def inner():
            return "called"

        def run(x):
            return {"x": x, "f": inner, "s": "text", "none": None, "t": (1, 1.0, True), "e": ()}

        out = filter_jit(run)(jnp.ones(2))
        np.testing.assert_array_equal(out.pop("x"), [1, 1])
        assert out == {"f": inner, "s": "text", "none": None, "t": (1, 1.0, True), "e": ()}
        assert [type(leaf) for leaf in out["t"]] == [int, float, bool]

    def test_a_module_comes_out_as_one(self):
        out = filter_jit(lambda m: jtu.tree_map(lambda leaf: 2 * leaf, m))(Scale(jnp.ones(2), 3))
        assert (type(out), out.power) == (Scale, 3)
        np.testing.assert_array_equal(out.weight, [2, 2])

    def test_static_parts_follow_the_shapes(self):
        run = filter_jit(lambda x: (x, x.shape, str(x.shape), {x.ndim: x}))
        for shape in [(2,), (3,), (2, 1), (2,), (3,), (2, 1)]:
            out, told, text, by_ndim = run(jnp.ones(shape))
            assert (out.shape, told, text, [*by_ndim]) == (shape, shape, str(shape), [len(shape)])

    def test_the_structure_follows_the_shapes(self):
        run = filter_jit(lambda x: x if x.ndim == 1 else {"x": [x]} if x.ndim == 2 else "none")
        for _ in range(2):
            assert run(jnp.ones(2)).shape == (2,)
            assert run(jnp.ones((2, 2)))["x"][0].shape == (2, 2)
            assert run(jnp.ones((2, 2, 2))) == "none"

    def test_static_parts_that_follow_the_shapes_nest(self):
        run = filter_jit(lambda x: (2 * x, x.shape))
        run(jnp.ones(1))
        x = jnp.arange(4.0)
        first = lambda x: run(x)[0]  # noqa: E731
        np.testing.assert_array_equal(jax.jit(first)(x), 2 * x)
        np.testing.assert_array_equal(jax.vmap(first)(x.reshape(2, 2)), 2 * x.reshape(2, 2))
        np.testing.assert_array_equal(jax.checkpoint(first)(x), 2 * x)
        np.testing.assert_array_equal(jax.lax.map(first, x.reshape(2, 2)), 2 * x.reshape(2, 2))
        np.testing.assert_array_equal(jax.grad(lambda x: first(x).sum())(x), np.full(4, 2))
        assert jax.eval_shape(first, x).shape == (4,)


class TestNesting:
    def test_jit_in_vmap_in_grad_of_filter_jit(self):
        inner = jax.jit(lambda x, w: jnp.sin(x) * w)

        def loss(w, x, name):
            assert name == "static"
            return jnp.sum(jax.vmap(inner, in_axes=(0, None))(x, w))

        x = jnp.arange(3.0)
        ours = filter_jit(jax.grad(filter_jit(loss)))(jnp.array(2.0), x, "static")
        np.testing.assert_allclose(ours, jnp.sum(jnp.sin(x)), rtol=1e-6)

    @pytest.mark.parametrize(
        "transform",
        [
            jax.jit,
            jax.grad,
            jax.vmap,
            jax.checkpoint,
            jax.jacfwd,
            jax.jacrev,
            jax.hessian,
            filter_grad,
            filter_jit,
            lambda f: lambda x: jax.jvp(f, (x,), (x,)),
            lambda f: lambda x: jax.vjp(f, x)[1](jnp.ones_like(x)),
            lambda f: lambda x: jax.lax.cond(True, f, f, x),
            lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), f(c)), x, length=3),
            lambda f: lambda x: jax.lax.fori_loop(0, 3, lambda _, c: f(c), x),
        ],
    )
    def test_in_transformations_of_jax(self, transform):
        def fun(x):
            return jnp.sin(x) * 2

        x = jnp.ones(3) if transform is jax.vmap else jnp.array(1.0)
        ours, plain = transform(filter_jit(fun))(x), transform(jax.jit(fun))(x)
        for one, other in zip(jtu.tree_leaves(ours), jtu.tree_leaves(plain), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)

    def test_with_custom_derivatives(self):
        @jax.custom_vjp
        def f(x):
            return x**2

        f.defvjp(lambda x: (x**2, x), lambda x, cotangent: (10 * x * cotangent,))
        assert jax.grad(filter_jit(f))(3.0) == 30

    def test_recursion(self):
        @filter_jit
        def power(x, n):
            return x * power(x, n - 1) if n else jnp.ones_like(x)

        assert power(jnp.array(2.0), 5) == 32

    def test_eval_shape_and_make_jaxpr(self):
        run = filter_jit(lambda x: {"x": x[None], "y": x.sum()})
        shapes = jax.eval_shape(run, jnp.ones((2, 3)))
        assert (shapes["x"].shape, shapes["y"].shape) == ((1, 2, 3), ())
        assert "sum" in str(jax.make_jaxpr(run)(jnp.ones((2, 3))))

    def test_disable_jit(self):
        seen = []
        run = filter_jit(lambda x, s: (seen.append(x), x + 1, s)[1:])
        with jax.disable_jit():
            out, text = run(jnp.array(1.0), "a")
        assert not isinstance(seen[0], jax.core.Tracer)
        assert (out, text) == (2, "a")
        assert run(jnp.array(1.0), "a") == (2, "a")

    def test_x64(self, x64):
        run = filter_jit(lambda x: x * 1)
        x = np.ones(2)
        assert run(x).dtype == jnp.float32
        with x64(True):
            assert run(x).dtype == jnp.float64
        assert run(x).dtype == jnp.float32


class TestCallables:
    def test_a_module_is_an_input(self):
        traces = []

        class Traced(Scale):
            def __call__(self, x):
                traces.append(x)
                return super().__call__(x)

        x = jnp.arange(3.0)
        for weight in (1.0, 2.0, 3.0):
            np.testing.assert_array_equal(
                filter_jit(Traced(jnp.array(weight)))(x), jax.jit(lambda w: w * x)(weight)
            )
        assert len(traces) == 1

    def test_methods_of_modules(self):
        outs = [filter_jit(Scale(jnp.array(w)).method)(jnp.array(2.0)) for w in (1.0, 2.0)]
        assert outs == [2, 4]
        assert filter_jit(Scale(jnp.array(3.0)).__call__)(2.0) == 6
        assert filter_jit(Scale.method)(Scale(jnp.array(3.0)), 2.0) == 6

    def test_methods_of_instances_that_differ_in_type(self):
        methods = [Scale(value).method for value in (1, 1.0, True)]
        outs = [filter_jit(method)(1) for method in methods]
        assert [type(out) for out in outs] == [int, float, int]

    def test_methods_of_classes_that_are_no_pytrees(self):
        class Plain:
            def __init__(self, weight):
                self.weight = weight

            def scaled(self, x):
                return self.weight * x

        one, other = Plain(2.0), Plain(3.0)
        outs = [filter_jit(instance.scaled)(jnp.ones(())) for instance in (one, other, one)]
        assert outs == [2, 3, 2]

    @pytest.mark.parametrize("base", [object, Module], ids=["object", "Module"])
    def test_decorated_methods(self, base):
        class Base(base):
            @filter_jit
            def scaled(self, x, power=1):
                """Scale."""
                return 2 * x**power

        class Derived(Base):
            def scaled(self, x, power=1):
                return 10 * super().scaled(x, power=power)

        x = jnp.array(3.0)
        assert Base().scaled(x) == 6
        assert Base().scaled(x, power=2) == 18
        assert Base.scaled(Base(), x) == 6
        assert Derived().scaled(x) == 60
        assert Base.scaled.__doc__ == "Scale."

    def test_a_decorated_method_traces_the_arrays_of_its_module(self):
        traces = []

        class Counted(Module):
            weight: Any

            @filter_jit
            def scaled(self, x):
                traces.append(x)
                return self.weight * x

        assert [Counted(jnp.array(w)).scaled(2.0) for w in (1.0, 2.0)] == [2, 4]
        assert len(traces) == 1

    def test_class_methods_static_methods_and_properties(self):
        class Rich(Module):
            weight: Any

            @classmethod
            @filter_jit
            def one(cls, x):
                return cls(x)

            @staticmethod
            @filter_jit
            def twice(x):
                return 2 * x

            @property
            @filter_jit
            def double(self):
                return 2 * self.weight

        rich = Rich(jnp.array(3.0))
        assert isinstance(Rich.one(jnp.array(1.0)), Rich)
        assert (rich.twice(jnp.array(1.0)), rich.double) == (2, 6)

    def test_partials(self):
        outs = [filter_jit(Partial(importable, jnp.array(w)))(1) for w in (1.0, 2.0)]
        outs += [filter_jit(functools.partial(importable, jnp.array(w)))(1) for w in (1.0, 2.0)]
        assert outs == [2, 3, 2, 3]

    def test_builtins_ufuncs_and_jitted_functions(self):
        assert filter_jit(jnp.add)(jnp.array(1.0), 2.0) == 3
        assert filter_jit(abs)(jnp.array(-1.0)) == 1
        assert filter_jit(jax.nn.relu)(jnp.array(-1.0)) == 0
        assert filter_jit(jax.jit(lambda x: 2 * x))(jnp.array(2.0)) == 4

    def test_of_filter_value_and_grad(self):
        run = filter_jit(filter_value_and_grad(lambda m, x: m(x)))
        value, gradient = run(Scale(jnp.array(3.0)), 2.0)
        assert (value, gradient.weight) == (6, 2)

    def test_keeps_name_docstring_and_signature(self):
        wrapped = filter_jit(importable)
        assert (wrapped.__name__, wrapped.__doc__) == ("importable", "Add.")
        assert wrapped.__wrapped__ is importable

    def test_is_a_pytree_that_holds_what_it_wraps(self):
        wrapped = filter_jit(Scale(jnp.array(3.0)))
        doubled = jtu.tree_map(lambda leaf: 2 * leaf, wrapped)
        assert (wrapped(1.0), doubled(1.0)) == (3, 6)

    @pytest.mark.parametrize("library", [pickle, cloudpickle])
    def test_pickle_round_trip(self, library):
        for wrapped in (filter_jit(importable, donate="all"), filter_jit(Scale(jnp.array(2.0)))):
            wrapped(jnp.array(1.0))
            assert pickle.loads(library.dumps(wrapped))(jnp.array(1.0)) == 2

    def test_copies_work(self):
        wrapped = filter_jit(importable)
        wrapped(jnp.array(1.0))
        assert copy.copy(wrapped)(jnp.array(2.0)) == 3
        assert copy.deepcopy(wrapped)(jnp.array(2.0)) == 3
