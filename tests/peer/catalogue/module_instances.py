"""How an instance is made, checked, frozen, copied and changed."""

import copy
import dataclasses
import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx


def fresh():
    """Make a class like `Pair` that has not warned yet."""

    class Fresh(eqx.Module):
        leaf: Any
        tag: Any = eqx.field(static=True, default="tag")

    return Fresh


class Set(eqx.Module):
    """Assigns what its constructor is told."""

    x: Any
    y: Any = 2

    def __init__(self, **kwargs):
        for name, value in kwargs.items():
            setattr(self, name, value)


def case_missing_argument():
    return Pair()


def case_too_many_arguments():
    return Pair(1, 2, 3)


def case_unknown_argument():
    return Pair(1, unknown=2)


def case_not_initialised():
    return Set()


def case_default_of_own_init():
    return vars(Set(x=1))


def case_unknown_attribute_in_init():
    return Set(x=1, unknown=2)


def case_wrapper_attributes_in_init():
    return sorted(vars(Set(x=1, __name__="a", __doc__="b", __qualname__="c", __module__="d")))


def case_assignment():
    Pair(1).leaf = 2


def case_assignment_of_unknown():
    Pair(1).unknown = 2


def case_assignment_of_wrapper_attribute():
    Pair(1).__doc__ = "new"


def case_deletion():
    del Pair(1).leaf


def case_deletion_in_init():
    class Deletes(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1
            del self.x
            self.x = 2

    return Deletes()


def case_method_that_assigns():
    class Assigns(eqx.Module):
        x: Any

        def assign(self):
            self.x = 2

    Assigns(1).assign()


def case_init_calls_a_method():
    class Calls(eqx.Module):
        x: Any

        def __init__(self):
            self.assign()

        def assign(self):
            self.x = 2

    return Calls()


def case_method_assigned_in_init():
    class Assigns(eqx.Module):
        x: Any

        def __init__(self):
            self.x = self.method

        def method(self): ...

    return Assigns()


def case_method_of_another_assigned():
    return Set(x=Pair(1).method).x


def case_instance_flattened_in_init():
    found = []

    class Looks(eqx.Module):
        x: Any
        y: Any

        def __init__(self):
            self.x = 1
            found.append(jax.tree.leaves(self))
            self.y = 2

    return Looks(), found


def case_type_in_init():
    found = []

    class Looks(eqx.Module):
        x: Any

        def __init__(self):
            found.append(isinstance(self, Looks))
            self.x = 1

    return Looks(), found


def case_check_init_order():
    calls = []

    class Top(eqx.Module):
        def __check_init__(self):
            calls.append("top")

    class Mixin:
        def __check_init__(self):
            calls.append("mixin")

    class Bottom(Top, Mixin):
        x: Any = eqx.field(converter=lambda x: (calls.append("converter"), x)[1])

        def __post_init__(self):
            calls.append("post")

        def __check_init__(self):
            calls.append("bottom")

    Bottom(1)
    return calls


def case_check_init_raises():
    class Checked(eqx.Module):
        x: Any

        def __check_init__(self):
            raise KeyError(self.x)

    return Checked(1)


def case_check_init_assigns():
    class Checked(eqx.Module):
        x: Any

        def __check_init__(self):
            self.x = 2

    return Checked(1)


def case_check_init_does_not_run_on_unflatten():
    calls = []

    class Checked(eqx.Module):
        x: Any

        def __check_init__(self):
            calls.append(1)

    jax.tree.map(lambda x: x, Checked(1))
    return calls


CONVERTED = {"int": 1, "string": "2", "array": jnp.ones(1), "None": None}


@over(CONVERTED)
def case_converter(value):
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str)

    return Converted(value)


def case_converter_of_default():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=jnp.asarray, default=1)

    return Converted(), Converted(2.0)


def case_converter_of_default_factory():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=tuple, default_factory=list)

    return Converted()


def case_converter_in_own_init():
    found = []

    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str)

        def __init__(self):
            self.x = 1
            found.append(self.x)

    return Converted(), found


def case_converter_in_post_init():
    found = []

    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str)

        def __post_init__(self):
            found.append(self.x)
            self.x = 5

    return Converted(1), found


def case_converter_inherited():
    class Parent(eqx.Module):
        x: Any = eqx.field(converter=str)

    class Own(Parent):
        def __init__(self):
            self.x = 5

    class Redeclared(Parent):
        x: Any

    return Own(), Redeclared(5)


def case_converter_raises():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=int)

    return Converted("no number")


def case_converter_static():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=tuple, static=True)

    return Converted([1, 2])


def case_converter_without_init():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str, init=False)

        def __post_init__(self):
            self.x = 3

    return Converted()


def case_converter_annotations():
    def convert(value: float) -> int:
        return int(value)

    class Converted(eqx.Module):
        x: int = eqx.field(converter=convert)
        y: int = eqx.field(converter=lambda value: value)

    return Converted.__init__.__annotations__, Converted.__annotations__


def case_converter_under_replace():
    class Converted(eqx.Module):
        x: Any = eqx.field(converter=str)
        y: Any = 1

    return dataclasses.replace(Converted(1), y=2), dataclasses.replace(Converted(1), x=2)


@over(LEAVES)
def case_static_leaf(leaf):
    return fresh()(1, leaf)


@over(LEAVES)
def case_static_leaf_flattened(leaf):
    return jax.tree.flatten(fresh()(1, leaf))


def case_static_array_warns_for_each_class():
    class One(eqx.Module):
        x: Any = eqx.field(static=True)

    class Two(One):
        pass

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        One(jnp.ones(1)), Two(jnp.ones(1))
    return len(caught)


def case_static_array_in_list():
    return fresh()(1, [jnp.ones(1)])


def case_static_tracer():
    return jax.jit(lambda x: fresh()(1, x).leaf)(1.0)


TRANSFORMED = {
    "jit": jax.jit(len),
    "grad": jax.grad(len),
    "vmap": jax.vmap(len),
    "custom_jvp": jax.custom_jvp(len),
    "custom_vjp": jax.custom_vjp(len),
    "checkpoint": jax.checkpoint(len),
    "filter_jit": eqx.filter_jit(len),
    "filter_grad": eqx.filter_grad(len),
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "numpy function": np.add,
    "jit of method": jax.jit(Pair(1).method),
    "list of jit": [jax.jit(len)],
    "vmap of Module": jax.vmap(Pair(len).method),
}


@over(TRANSFORMED)
def case_transformed_field(function):
    return type(fresh()(function).leaf) is type(function)


@over(TRANSFORMED)
def case_transformed_field_of_own_init(function):
    class Assigns(eqx.Module):
        x: Any

        def __init__(self):
            self.x = function

    return type(Assigns().x) is type(function)


@over(TRANSFORMED)
def case_transformed_static(function):
    return type(fresh()(1, function).tag) is type(function)


@over({"jit": jax.jit, "filter_jit": eqx.filter_jit, "vmap": jax.vmap, "grad": jax.grad})
def case_transformed_own_method(transform):
    class Assigns(eqx.Module):
        x: Any

        def __init__(self):
            self.x = transform(self.method)

        def method(self, y): ...

    return type(Assigns()) is Assigns


@over({"copy": copy.copy, "deepcopy": copy.deepcopy, "replace": dataclasses.replace})
def case_copied(function):
    return function(Pair(jnp.ones(2), tag=[1]))


def case_pickled():
    return pickle.loads(pickle.dumps(Pair(jnp.ones(2))))


def case_pickled_method():
    return pickle.loads(pickle.dumps(Pair(jnp.ones(2)).method))


def case_replaced():
    return dataclasses.replace(Pair(1), leaf=2), dataclasses.replace(Pair(1), tag=2)


def case_replaced_unknown():
    return dataclasses.replace(Pair(1), unknown=2)


def case_as_dict():
    return dataclasses.asdict(Pair([1, Pair(2)])), dataclasses.astuple(Pair(1))


def case_made_without_init():
    return object.__new__(Pair)


def case_made_without_init_is_frozen():
    object.__new__(Pair).leaf = 1


def case_made_without_init_flattened():
    return jax.tree.leaves(object.__new__(Pair))


def case_object_setattr():
    pair = Pair(1)
    object.__setattr__(pair, "leaf", 2)
    return pair


def case_static_field():
    class Old(eqx.Module):
        x: Any = eqx.static_field()

    return jax.tree.leaves(Old(1))


FIELDS = {
    "static": {"static": True},
    "static with metadata": {"static": True, "metadata": {"a": 1}},
    "static in metadata": {"static": True, "metadata": {"static": 1}},
    "converter in metadata": {"converter": int, "metadata": {"converter": 1}},
    "unknown": {"unknown": 1},
    "two defaults": {"default": 1, "default_factory": list},
    "not in repr": {"repr": False},
    "not in init": {"init": False, "default": 4},
    "static that is no bool": {"static": 1},
}


@over(FIELDS)
def case_field(kwargs):
    field = eqx.field(**kwargs)
    return sorted(field.metadata), field.init, field.repr
