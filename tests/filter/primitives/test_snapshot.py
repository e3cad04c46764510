"""Layouts as they are now: equal to those they are of, and free of what is changed later."""

from collections import OrderedDict, namedtuple

import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.primitives._snapshot import as_now, own
from eqx_filter.shared._packed import pack
from eqx_pytree import Module, field, static_key

Pair = namedtuple("Pair", "a b")


class Named(list):
    pass


class Held(Module):
    array: object
    static: object = field(static=True)


VALUES = {
    "list": [1, [2.0, "a"]],
    "list of another type": Named([1]),
    "dict": {"a": [1]},
    "ordered dict": OrderedDict(a=[1], b={}),
    "set": {1, 2},
    "array": np.ones(2),
    "tuple": (1, [2]),
    "named tuple": Pair(1, [2]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_copy_has_the_key_and_is_its_own(name):
    value = VALUES[name]
    copied = own(value)
    assert static_key(copied) == static_key(value)
    assert copied is not value


@pytest.mark.parametrize("value", [1, "a", len, (1, (2, "a")), frozenset({1}), None])
def test_what_cannot_be_changed_is_itself(value):
    assert own(value) is value


def test_a_layout_stays_as_it_was():
    value = [1]
    tree = {"a": Held(Held(jnp.ones(2), value), "b"), "c": 3}
    layout = pack(tree).layout
    now = as_now(layout)
    assert now == layout
    value.append(2)
    array = jnp.zeros(2)
    assert now.rebuild([array])["a"].array.static == [1]
    assert now.rebuild([array])["a"].array.array is array
    assert layout.rebuild([array])["a"].array.static == [1, 2]
    assert now == pack({"a": Held(Held(array, [1]), "b"), "c": 3}).layout
