"""`ContainerMeta`, `TreeWLCustom`, `doc_repr` and `doc_remove_args`."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import wadler_lindig as wl
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx
import equinox.internal as eqxi

KEY = jax.random.key(0)


class Listed(metaclass=eqxi.ContainerMeta):
    """Some values."""

    x = 1
    y = "b"
    _z = None


class Inherits(Listed):
    w = 5


class Nothing(metaclass=eqxi.ContainerMeta):
    pass


@over({"listed": Listed, "inherits": Inherits, "nothing": Nothing})
def case_container(cls):
    return list(cls), len(cls), bool(cls), cls.reverse_lookup


def case_container_attributes():
    return Listed.x, Listed.y, Listed._z, Inherits.w, Inherits.y, Listed.__doc__


@over(
    {
        "int": 1,
        "negative": -1,
        "slice": slice(2),
        "numpy": np.int32(1),
        "jax": jnp.array(1),
        "float": 1.0,
        "name": "x",
        "too large": 3,
        "True": True,
    }
)
def case_container_item(item):
    return Listed[item]


@over(LEAVES)
def case_container_instance(leaf):
    return isinstance(leaf, Listed)


@over({"jax int": jnp.array(1), "uint8": jnp.uint8(3), "numpy int": np.array(1), "own": Listed()})
def case_container_instance_of_number(number):
    return isinstance(number, Listed)


def case_container_contains():
    return 1 in Listed, "b" in Listed, "q" in Listed, [1] in Listed


def case_container_members():
    class Mixed(metaclass=eqxi.ContainerMeta):
        annotated: int = 5
        bare: str

        def function(self):
            return 1

        @property
        def prop(self):
            return 2

    return Mixed.annotated, Mixed.function, Mixed.prop, len(Mixed)


def case_container_made_by_call():
    return eqxi.ContainerMeta("Made", (), {"a": 2})[0]


@over(LEAVES)
def case_doc_repr(leaf):
    return eqxi.doc_repr(leaf, "text") is leaf


def function(a, b, *, c=3):
    """Documented."""


def case_doc_remove_args():
    shown = eqxi.doc_remove_args("a", "unknown")(function)
    return shown is function, str(inspect.signature(shown)), shown.__doc__


@eqx.filter_jit
def jitted(x):
    return x


OBJECTS = {
    **LEAVES,
    "Module": Pair(jnp.ones(2), 1),
    "method": Pair(1).method,
    "magic method": Pair(1).__repr__,
    "struct": jax.ShapeDtypeStruct((2,), jnp.int32),
    "partial": jax.tree_util.Partial(max, jnp.ones(2), key=1),
    "custom rule": jax.custom_jvp(function),
    "custom rule of a Module": jax.custom_vjp(Pair(jnp.ones(1))),
    "treedef": jax.tree_util.tree_structure([1]),
    "nested": {"a": [jnp.ones(1), jax.tree_util.Partial(min, Pair(np.ones(1)))]},
}


@over(OBJECTS)
def case_custom(obj):
    shown = []
    for short in (True, False):
        for struct in (True, False):
            custom = eqxi.TreeWLCustom(lambda node: isinstance(node, int), short, struct)
            shown.append(custom(obj) is None)
            shown.append(wl.pformat(obj, custom=custom))
    return shown


@over(OBJECTS)
def case_pformat(obj):
    return [
        eqx.tree_pformat(obj, width=20, indent=3),
        eqx.tree_pformat(obj, struct_as_array=True),
        eqx.tree_pformat(obj, struct_as_array=True, short_arrays=False),
    ]


def case_custom_fields():
    custom = eqxi.TreeWLCustom(len, True, False)
    custom.short_arrays = False
    return custom.truncate_leaf, custom.short_arrays, custom == eqxi.TreeWLCustom(len, False, False)


def case_custom_arguments():
    return list(inspect.signature(eqxi.TreeWLCustom).parameters)
