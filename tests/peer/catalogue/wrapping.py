"""`Partial`, `module_update_wrapper` and `Static`."""

import dataclasses
import functools
import inspect
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx
import equinox.internal as eqxi


class Wrapper(eqx.Module):
    """Wraps a function."""

    fn: Any

    @property
    def __wrapped__(self):
        return self.fn

    def __call__(self, *args):
        """Call it."""
        return self.fn(*args)


class Bare(eqx.Module):
    """Wraps a function, and does not say which."""

    fn: Any

    def __call__(self, *args):
        return self.fn(*args)


def add(x: int, y: float = 2.0) -> float:
    """Add."""
    return x + y


WRAPPED = {
    "function": add,
    "lambda": lambda x: x,
    "builtin": len,
    "partial": functools.partial(add, 1),
    "jitted": jax.jit(add),
    "filter_jit": eqx.filter_jit(add),
    "Module": Pair(1),
    "method": Pair(1).method,
    "wrapper": Wrapper(add),
    "class": Pair,
    "number": 3,
}
NAMES = ["__name__", "__qualname__", "__module__", "__doc__", "__annotations__"]


def told(wrapper):
    return {name: getattr(wrapper, name, "no such attribute") for name in NAMES}


@over(WRAPPED)
def case_update(wrapped):
    return told(eqx.module_update_wrapper(Wrapper(wrapped)))


@over(WRAPPED)
def case_update_given(wrapped):
    return told(eqx.module_update_wrapper(Bare(3), wrapped))


@over(WRAPPED)
def case_update_is_a_tree(wrapped):
    wrapper = eqx.module_update_wrapper(Wrapper(wrapped))
    mapped = jax.tree.map(lambda x: x, wrapper)
    return told(mapped), jax.tree.leaves(wrapper), repr(wrapper)


def case_update_without_wrapped():
    return eqx.module_update_wrapper(Bare(add))


def case_update_of_no_module():
    return eqx.module_update_wrapper(3)


def case_update_equal():
    one, other = (eqx.module_update_wrapper(Wrapper(add)) for _ in range(2))
    return one == other, hash(one) == hash(other), one == Wrapper(add)


def case_update_replaced():
    return told(dataclasses.replace(eqx.module_update_wrapper(Wrapper(add)), fn=len))


def case_update_signature():
    return str(inspect.signature(eqx.module_update_wrapper(Wrapper(add))))


def case_update_called():
    return eqx.module_update_wrapper(Wrapper(add))(1)


def case_update_leaves_the_wrapper():
    wrapper = Wrapper(add)
    return eqx.module_update_wrapper(wrapper) is wrapper, sorted(vars(wrapper))


def case_update_in_init():
    class Own(eqx.Module):
        fn: Any

        def __init__(self, fn):
            self.fn = fn
            functools.update_wrapper(self, fn)

    return told(jax.tree.map(lambda x: x, Own(add)))


PARTIALS = {
    "plain": eqx.Partial(add, 1),
    "keyword": eqx.Partial(add, y=jnp.ones(1)),
    "nothing": eqx.Partial(add),
    "of a Module": eqx.Partial(Pair(len).method),
    "of a Partial": eqx.Partial(eqx.Partial(max, 1), 2),
}


@over(PARTIALS)
def case_partial(partial):
    return partial.func, partial.args, partial.keywords, isinstance(partial, functools.partial)


@over(PARTIALS)
def case_partial_tree(partial):
    return jax.tree.leaves(partial), repr(partial), [f.name for f in dataclasses.fields(partial)]


@over(PARTIALS)
def case_partial_mapped(partial):
    return jax.tree.map(lambda x: x, partial)


def case_partial_called():
    def both(*args, **kwargs):
        return args, kwargs

    partial = eqx.Partial(both, 1, a=2)
    return partial(3, b=4), partial(a=5)


def case_partial_of_number():
    return eqx.Partial(3)()


def case_partial_of_nothing():
    return eqx.Partial()


def case_partial_jitted():
    return jax.jit(lambda p: p(2.0))(jax.tree_util.Partial(add, 1.0)), eqx.filter_jit(
        PARTIALS["plain"]
    )()


@over(LEAVES)
def case_static(leaf):
    with (
        warnings.catch_warnings()
    ):  # one class has all the arrays: which warns depends on the order
        warnings.simplefilter("ignore")
        static = eqxi.Static(leaf)
    return static.value, jax.tree.leaves(static), isinstance(static, eqx.Module)


STATICS = {"int": (1, 1), "other": (1, 2), "float": (1, 1.0), "list": ([1], [1])}


@over(STATICS)
def case_static_equal(pair):
    return eqxi.Static(pair[0]) == eqxi.Static(pair[1])


def case_static_of_array_equal():
    warnings.simplefilter("ignore")
    array = np.ones(2)
    return eqxi.Static(array) == eqxi.Static(array)


def case_static_of_arrays_equal():
    warnings.simplefilter("ignore")
    return eqxi.Static(np.ones(2)) == eqxi.Static(np.ones(2))


def case_static_hash():
    return hash(eqxi.Static(1)) == hash(eqxi.Static(1))


def case_static_frozen():
    eqxi.Static(1).value = 2


def case_static_repr():
    return repr(eqxi.Static(1))


def case_static_mapped():
    return jax.tree.map(lambda x: x, [eqxi.Static("a"), 1])[0].value
