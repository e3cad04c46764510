"""`filter_jit`: what goes in, what comes out, and what is refused."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded
from zoo import LEAVES, Pair

import equinox as eqx

# A NumPy dtype warns when it is compared with some strings, as keys of one dictionary may be.
ARGUMENTS = {name: leaf for name, leaf in LEAVES.items() if name != "dtype"}


@over(ARGUMENTS)
def case_identity(leaf):
    return eqx.filter_jit(lambda x: x)(leaf)


@over(ARGUMENTS)
def case_seen_inside(leaf):
    seen = []

    def look(x):
        seen.append(x)
        return x

    eqx.filter_jit(look)([leaf])
    return seen


@over(ARGUMENTS)
def case_constant_out(leaf):
    return eqx.filter_jit(lambda: [leaf, jnp.ones(1)])()


@over(ARGUMENTS)
def case_nested(leaf):
    inner = eqx.filter_jit(lambda x, y: (x, y))
    return eqx.filter_jit(lambda x: inner(x, 1.0))(leaf)


@over(ARGUMENTS)
def case_closed_over(leaf):
    return eqx.filter_jit(lambda x: (x, leaf))(1)


def f(x, y=2, *rest, k=3, **others):
    return x, y, rest, k, others


CALLS = {
    "positional": ((1,), {}),
    "keyword": ((), {"x": 1}),
    "all": ((1, 2, 3, 4), {"k": 5, "other": 6}),
    "default by keyword": ((1,), {"y": 4}),
    "missing": ((), {}),
    "twice": ((1,), {"x": 2}),
    "static keyword": ((1,), {"k": "name"}),
    "array keyword": ((1,), {"other": jnp.ones(2)}),
}


@over(CALLS)
def case_call(call):
    return eqx.filter_jit(f)(*call[0], **call[1])


OPTIONS = {
    "donate": {"donate": "unknown"},
    "static_argnums": {"static_argnums": 1},
    "static_argnames": {"static_argnames": "x"},
    "donate_argnums": {"donate_argnums": 1},
    "donate_argnames": {"donate_argnames": "x"},
    "inline": {"inline": True},
    "keep_unused": {"keep_unused": True},
    "unknown": {"unknown": 1},
}


@over(OPTIONS)
def case_option(options):
    return eqx.filter_jit(lambda x: x, **options)(1)


@over(OPTIONS)
def case_option_of_decorator(options):
    return eqx.filter_jit(**options)(lambda x: x)(1)


WRAPPED = {
    "function": f,
    "method": Pair(len).method,
    "partial": functools.partial(f, jnp.ones(1)),
    "builtin": max,
    "jitted": jax.jit(lambda x: x + 1),
    "filter_jit": eqx.filter_jit(lambda x: x + 1),
    "eqx partial": eqx.Partial(f, 1.0),
    "class": Pair,
    "grad": jax.grad(lambda x: x**2),
}


@over(WRAPPED)
def case_wrapped(function):
    return eqx.filter_jit(function)(2.0)


@over({name: function for name, function in WRAPPED.items() if name != "eqx partial"})
def case_attributes(function):
    wrapper = eqx.filter_jit(function)
    names = ("__name__", "__qualname__", "__doc__", "__module__")
    return [getattr(wrapper, name, "no such attribute") for name in names]


def case_wrapped_attribute():
    return eqx.filter_jit(f).__wrapped__


def case_wraps_a_number():
    return eqx.filter_jit(3)


def case_calls_a_number():
    return eqx.filter_jit(3)(4)


def case_nothing():
    return eqx.filter_jit()(f)(1)


def case_raises():
    def fails(x):
        raise KeyError(x)

    return eqx.filter_jit(fails)(1)


def case_raises_value_error():
    def fails(x):
        raise ValueError("inner message")

    return eqx.filter_jit(fails)(jnp.ones(1))


def case_python_truth_of_a_tracer():
    return eqx.filter_jit(lambda x: 1 if x > 0 else 2)(jnp.ones(()))


def case_python_truth_of_a_float():
    return eqx.filter_jit(lambda x: 1 if x > 0 else 2)(1.0)


def case_leaked_tracer():
    leaked = []
    eqx.filter_jit(lambda x: leaked.extend([x]))(jnp.ones(1))
    return leaked[0] + 1


def case_unhashable_static():
    return eqx.filter_jit(lambda x: x)({3})


def case_unhashable_static_field():
    return eqx.filter_jit(lambda m: m.leaf)(Pair(jnp.ones(1), [1]))


def case_array_in_static_field():
    return eqx.filter_jit(lambda m: m.leaf)(Pair(jnp.ones(1), np.ones(2)))


def case_string_array():
    return eqx.filter_jit(lambda x: x)(np.array(["a"]))


def case_function_out():
    inner = eqx.filter_jit(lambda x: lambda: x)(jnp.ones(2))
    return callable(inner)


def case_module_out():
    return eqx.filter_jit(lambda x: Pair(x, "new"))(jnp.ones(2))


def case_method_out():
    return eqx.filter_jit(lambda m: m.method)(Pair(jnp.ones(2)))


def case_partial_out():
    return eqx.filter_jit(lambda x: eqx.Partial(max, x))(jnp.ones(2))


def case_jit_of_wrapper():
    return jax.jit(eqx.filter_jit(lambda x: x * 2))(1.0)


def case_grad_of_wrapper():
    return jax.grad(eqx.filter_jit(lambda x: x**2))(3.0)


def case_vmap_of_wrapper():
    return jax.vmap(eqx.filter_jit(lambda x, s="s": x**2))(jnp.ones(2))


def case_disable_jit():
    with jax.disable_jit():
        return eqx.filter_jit(lambda x, y: (x + 1, y))(np.float32(3), 3)


def case_eval_shape_of_wrapper():
    return jax.eval_shape(eqx.filter_jit(lambda x: x * 2), jnp.ones(2))


def case_x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        return eqx.filter_jit(lambda x, y: (x, y + 1))(np.ones(1), jnp.ones(1))
    finally:
        jax.config.update("jax_enable_x64", before)


def case_wrapper_leaves():
    return jax.tree.leaves(eqx.filter_jit(Pair(jnp.ones(2)).method))


def case_wrapper_equal():
    wrapper = eqx.filter_jit(f)
    return wrapper == eqx.filter_jit(f), hash(wrapper) == hash(wrapper)


def case_lowered_and_compiled():
    compiled = eqx.filter_jit(lambda x, y: (x + 1, y)).lower(1.0, "a").compile()
    return compiled(1.0, "a")


def case_compiled_with_another_static():
    return (
        eqx.filter_jit(lambda x, y: (x + 1, y)).lower(jnp.ones(1), "a").compile()(jnp.ones(1), "b")
    )


def case_compiled_with_another_shape():
    return eqx.filter_jit(lambda x: x + 1).lower(jnp.ones(1)).compile()(jnp.ones(2))


def case_compiled_with_another_structure():
    return eqx.filter_jit(lambda x: x).lower([jnp.ones(1)]).compile()((jnp.ones(1),))


def case_lowered_text():
    return "func.func public @main" in eqx.filter_jit(lambda x: x + 1).lower(jnp.ones(1)).as_text()


class Layer(eqx.Module):
    """Has jitted methods."""

    weight: Any
    name: str = "layer"

    @eqx.filter_jit
    def __call__(self, x):
        return self.weight @ x, self.name

    @eqx.filter_jit(donate="none")
    def other(self, x):
        return self.weight.T @ x


@rounded
def case_jitted_call():
    layer = Layer(jnp.arange(6.0).reshape(2, 3))
    return layer(jnp.arange(3.0)), layer.other(jnp.arange(2.0))


def case_jitted_method():
    return callable(Layer(jnp.ones((2, 2))).other)


DONATIONS = ["none", "all", "all-except-first", "warn", "warn-except-first"]


@over({name: name for name in DONATIONS})
def case_donation(donate):
    x, y = jnp.ones(3), jnp.ones(4)
    answer = eqx.filter_jit(lambda x, y: (x + 1, y + 1), donate=donate)(x, y)
    return answer, x.is_deleted(), y.is_deleted()


@over({name: name for name in DONATIONS})
def case_donation_of_module(donate):
    layer = Layer(jnp.ones((2, 2)))
    eqx.filter_jit(lambda m: m, donate=donate)(layer)
    return layer.weight.is_deleted()


@over({name: name for name in DONATIONS})
def case_donation_that_is_not_used(donate):
    x = jnp.ones((3, 4))
    return eqx.filter_jit(lambda x: x[0].sum(), donate=donate)(x)


@over({name: name for name in DONATIONS})
def case_donation_of_callable(donate):
    layer = Layer(jnp.ones((2, 2)))
    eqx.filter_jit(eqx.Partial(lambda w, x: (w, x), layer.weight), donate=donate)(1.0)
    return layer.weight.is_deleted()


def case_donation_twice():
    x = jnp.ones((3, 4))
    return eqx.filter_jit(lambda x, y: x + y, donate="all")(x, x)


def case_donation_of_donated():
    x = jnp.ones(3)
    wrapper = eqx.filter_jit(lambda x: x + 1, donate="all")
    wrapper(x)
    return wrapper(x)
