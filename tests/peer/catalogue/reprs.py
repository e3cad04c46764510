"""`repr`, `tree_pformat` and `tree_pprint`."""

import contextlib
import dataclasses
import functools
import io
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx


class Point(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


@dataclasses.dataclass
class Data:
    """A dataclass that is no Module."""

    x: Any
    y: Any = 2


class Hidden(eqx.Module):
    """One of its fields is not shown."""

    x: Any = dataclasses.field(repr=False)
    y: Any = 1.5


class Empty(eqx.Module):
    """Has no fields."""


class Told(eqx.Module):
    """Has a repr of its own."""

    x: Any

    def __repr__(self):
        return "<told>"


def free(x):
    return x


KEY = jax.random.PRNGKey(0)
TREES = {
    "empty Module": Empty(),
    "hidden field": Hidden(1),
    "own repr": Told(1),
    "own repr inside": Pair(Told(1)),
    "nested": Pair(Pair([Pair(1), (Pair(2),)])),
    "long list": list(range(60)),
    "list of Modules": [Pair(jnp.ones((2, 3))), Pair("a" * 60)],
    "deep dict": {"a": {"b": {"c": [1, 2, {"d": jnp.ones(2)}]}}},
    "named tuple": Point(jnp.ones(2), Pair(1)),
    "dataclass": Data(jnp.ones(2)),
    "dataclass class": Data,
    "set and frozenset": [{1}, frozenset({2})],
    "lambda": lambda x: x,
    "local function": free,
    "jitted": jax.jit(free),
    "partial": functools.partial(free, 1, y=2),
    "eqx partial": eqx.Partial(free, jnp.ones(2), y=2),
    "custom_jvp": jax.nn.relu,
    "numpy function": jnp.tanh,
    "Module class": Pair,
    "string with newline": "a\nb",
    "key array": jax.random.split(jax.random.key(0), 3),
    "linear": eqx.nn.Linear(2, 3, key=KEY),
    "linear without bias": eqx.nn.Linear("scalar", 3, use_bias=False, key=KEY),
    "mlp": eqx.nn.MLP(2, 2, 2, 2, key=KEY),
    "gru": eqx.nn.GRUCell(2, 3, key=KEY),
    "lstm": eqx.nn.LSTMCell(2, 3, key=KEY),
    "dropout": eqx.nn.Dropout(0.3),
    "identity": eqx.nn.Identity(),
    "lambda layer": eqx.nn.Lambda(jnp.tanh),
    "sequential": eqx.nn.Sequential([eqx.nn.Identity(), eqx.nn.Dropout()]),
    "Module itself": eqx.Module,
    "first-party function": eqx.field,
}


@over(LEAVES)
def case_module_of(leaf):
    return repr(Pair(leaf, str(leaf)))


@over(LEAVES)
def case_pformat(leaf):
    return eqx.tree_pformat(leaf)


@over(LEAVES)
def case_pformat_long_arrays(leaf):
    return eqx.tree_pformat({"leaf": leaf}, short_arrays=False)


@over(TREES)
def case_repr(tree):
    return repr(tree)


@over(TREES)
def case_pformat_tree(tree):
    return eqx.tree_pformat(tree)


@over(TREES)
def case_pformat_narrow(tree):
    return eqx.tree_pformat(tree, width=20, indent=4)


@over({"0": 0, "1": 1, "10": 10, "1000": 1000})
def case_pformat_width(width):
    return eqx.tree_pformat(TREES["nested"], width=width)


def case_pformat_struct_as_array():
    struct = jax.ShapeDtypeStruct((2,), jnp.float32)
    return eqx.tree_pformat(struct, struct_as_array=True), eqx.tree_pformat([struct])


def case_pformat_truncate():
    return eqx.tree_pformat([1, Pair(2), "a"], truncate_leaf=lambda x: isinstance(x, Pair))


def case_pformat_unknown_keyword():
    return eqx.tree_pformat(1, unknown=1)


def case_pprint():
    with contextlib.redirect_stdout(io.StringIO()) as text:
        answer = eqx.tree_pprint(TREES["nested"], width=30)
    return answer, text.getvalue()


@over({"jit": eqx.filter_jit, "grad": eqx.filter_grad, "value": eqx.filter_value_and_grad})
def case_repr_of_transformed(transform):
    return repr(transform(free))


def case_str():
    return str(Pair(1)), f"{Pair(1)}", f"{Pair(1)!r}"


def case_repr_of_tracer():
    found = []
    jax.jit(lambda pair: found.append(repr(pair)))(Pair(jnp.ones(2)))
    return found


def case_repr_while_made():
    found = []

    class Looks(eqx.Module):
        x: Any
        y: Any

        def __init__(self):
            self.x = 1
            found.append(repr(self))
            self.y = 2

    Looks()
    return found


def case_repr_of_absent_fields():
    return repr(object.__new__(Pair))
