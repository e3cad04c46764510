"""Nothing keeps a tracer past its trace: everything passes `jax.checking_leaks()`."""

import functools

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import (
    error_if,
    filter_checkpoint,
    filter_closure_convert,
    filter_cond,
    filter_eval_shape,
    filter_grad,
    filter_hessian,
    filter_jit,
    filter_jvp,
    filter_make_jaxpr,
    filter_pure_callback,
    filter_scan,
    filter_vjp,
    filter_vmap,
    filter_while_loop,
)
from eqx_filter.debug import backward_nan, store_dce
from eqx_filter.loops import scan, while_loop
from eqx_filter.primitives import create_vprim, noinline, nondifferentiable_backward
from eqx_pytree import Module

from .custom_rules import doubled, product

X = jnp.ones(3)
KINDS = {
    "lax": {"kind": "lax"},
    "bounded": {"kind": "bounded"},
    "checkpointed": {"kind": "checkpointed"},
    "few": {"kind": "checkpointed", "checkpoints": 2},
}


def scanned(options):
    return lambda x: scan(lambda c, y: (jnp.sin(c) * y * x, c), x, jnp.ones((4, 3)), **options)[0]


def looped(options):
    def function(x):
        def body(state):
            i, y, ys = state
            return i + 1, jnp.sin(y) * x, ys.at[i].set(y)

        init = (0, x, jnp.zeros((4, 3)))
        loop = while_loop(
            lambda s: s[0] < 3, body, init, buffers=lambda s: s[2], max_steps=4, **options
        )
        return loop[1] + loop[2].sum(0)

    return function


sine_p = create_vprim(
    "sine",
    lambda x: [jnp.sin(x)],
    lambda x: [x],
    lambda primals, tangents: (sine_p.bind(*primals), [jnp.cos(primals[0]) * tangents[0]]),
    None,
)

SMOOTH = {
    **{f"scan {name}": scanned(options) for name, options in KINDS.items()},
    **{f"while_loop {name}": looped(KINDS[name]) for name in KINDS if name != "lax"},
    "filter_scan": lambda x: filter_scan(lambda c, _: (c * x, None), x, None, length=3)[0],
    "filter_cond": lambda x: filter_cond(x.sum() > 1, lambda y: y * x, lambda y: y, x),
    "custom_vjp": lambda x: product(x, 2.0),
    "custom_jvp": doubled,
    "checkpoint": lambda x: filter_checkpoint(lambda y: jnp.sin(y) * x)(x),
    "error_if": lambda x: error_if(x, x.sum() > 100, "large"),
    "noinline": noinline(jnp.sin),
    "noinline by number": noinline(jnp.sin, lambda _, y: y),
    "vprim": lambda x: sine_p.bind(x)[0],
    "backward_nan": backward_nan,
    "nondifferentiable_backward": lambda x: jax.lax.stop_gradient(nondifferentiable_backward(x)),
    "filter_jit": lambda x: filter_jit(lambda y: y * x)(x),
    "filter_vmap": lambda x: filter_vmap(lambda y: y * x)(x).sum(0),
    "closure_convert": lambda x: filter_closure_convert(lambda y: x * y, x)(x),
    "filter_grad": lambda x: filter_grad(lambda y: (y * x).sum())(x),
    "filter_jvp": lambda x: filter_jvp(lambda y: y * x, (x,), (x,))[1],
    "filter_vjp": lambda x: filter_vjp(lambda y: y * x, x)[1](x)[0],
    "filter_hessian": lambda x: filter_hessian(lambda y: (y * x).sum())(x).sum(0),
}
OTHERS = {
    "lax loop": looped(KINDS["lax"]),
    "filter_while_loop": lambda x: filter_while_loop(lambda y: y.sum() < 9, lambda y: y + x, x),
    "eval_shape": lambda x: filter_eval_shape(lambda y: y * x, x) and x,
    "make_jaxpr": lambda x: filter_make_jaxpr(lambda y: 2 * y)(x) and x,
    "callback": lambda x: filter_pure_callback(
        lambda y: y, x, result_shape_dtypes=x, vmap_method="expand_dims"
    ),
    "store_dce": store_dce,
}


def summed(function):
    return lambda x: function(x).sum()


def batched(function):
    return lambda x: jax.vmap(function)(jnp.stack([x, x]))


VALUES = {"jit": lambda f: f, "jit vmap": batched}
GRADIENTS = {
    "jit grad": lambda f: jax.grad(summed(f)),
    "jit vmap grad": lambda f: batched(jax.grad(summed(f))),
}


@pytest.mark.parametrize("way", VALUES)
@pytest.mark.parametrize("name", {**SMOOTH, **OTHERS})
def test_values(name, way):
    """It is traced and lowered; to compile it would trace nothing more."""
    function = {**SMOOTH, **OTHERS}[name]
    with jax.checking_leaks():
        jax.jit(VALUES[way](function)).lower(X)


@pytest.mark.parametrize("way", GRADIENTS)
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name, way):
    with jax.checking_leaks():
        jax.jit(GRADIENTS[way](SMOOTH[name])).lower(X)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_step_by_step(name):
    with jax.checking_leaks():
        jax.grad(summed(SMOOTH[name]))(X)


@filter_jit
def called(fn, x):
    """A function that outlives each trace, of one that does not."""
    return fn(x)


class Scaled(Module):
    factor: object

    def __call__(self, x):
        return self.factor * x


def over_a_function(x):
    def inner(y):
        return y * x

    def outer(y):
        return inner(y)

    return outer


def over_a_tree(x):
    held = {"x": x}
    return lambda y: y * held["x"]


CLOSURES = {
    "over an array": lambda x: lambda y: y * x,
    "over a function": over_a_function,
    "over a PyTree": over_a_tree,
    "a partial": lambda x: functools.partial(lambda x, y: x * y, x),
    "a method": lambda x: Scaled(x).__call__,
}


@pytest.mark.filterwarnings("ignore:`Scaled.__call__` is a method")
@pytest.mark.parametrize("kind", CLOSURES)
def test_a_closure_that_is_passed_to_a_compiled_function(kind):
    with jax.checking_leaks():
        jax.jit(lambda x: called(CLOSURES[kind](x), 2 * x))(3.0)


def test_a_closure_that_is_passed_twice_is_traced_once():
    traces = []

    @jax.jit
    def twice(x):
        def scaled(y):
            traces.append(1)
            return y * x

        return called(scaled, called(scaled, x))

    with jax.checking_leaks():
        assert twice(2.0) == 8
    assert traces == [1]
