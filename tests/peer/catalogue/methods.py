"""Methods, looked up on an instance or on its class."""

import functools
import weakref
from typing import Any

import jax
import jax.numpy as jnp
from marks import over

import equinox as eqx


class Model(eqx.Module):
    """Has a method of every kind."""

    x: Any

    def method(self, y=1):
        """Multiply."""
        return self.x * y

    def __call__(self, y):
        """Add."""
        return self.x + y

    @classmethod
    def made(cls, y):
        return cls(y)

    @staticmethod
    def free(y):
        return y

    @property
    def doubled(self):
        return self.x * 2

    @jax.jit
    def jitted(self, y):
        return self.x * y

    @eqx.filter_jit
    def filter_jitted(self, y, name="name"):
        return self.x * y, name

    @eqx.filter_grad
    def gradient(self, y):
        return jnp.sum(self.x**2 * y)

    @eqx.filter_value_and_grad
    def value_and_gradient(self, y):
        return jnp.sum(self.x**2 * y)

    @functools.partial(jax.jit, static_argnums=1)
    def jitted_static(self, y):
        return self.x * y

    @functools.lru_cache  # noqa: B019
    def cached(self):
        return 3

    anonymous = lambda self: self.x  # noqa: E731

    def __getitem__(self, i):
        return self.x, i

    def __len__(self):
        return 3

    def __add__(self, other):
        return Model(self.x + other)


MODEL = Model(jnp.arange(2.0))
LOOKUPS = {
    "method": lambda m: m.method,
    "class": lambda m: type(m).method,
    "__call__": lambda m: m.__call__,
    "classmethod": lambda m: m.made,
    "staticmethod": lambda m: m.free,
    "property": lambda m: m.doubled,
    "lambda": lambda m: m.anonymous,
    "__getitem__": lambda m: m.__getitem__,
    "missing": lambda m: m.missing,
}


@over(LOOKUPS)
def case_lookup(look):
    return look(MODEL)


@over(LOOKUPS)
def case_repr(look):
    return repr(look(MODEL))


@over(LOOKUPS)
def case_leaves(look):
    return jax.tree.leaves(look(MODEL)) if look is not LOOKUPS["missing"] else None


ATTRIBUTES = ["__name__", "__qualname__", "__doc__", "__module__", "__self__", "__func__"]


@over({name: name for name in [*ATTRIBUTES, "__wrapped__", "missing", "x"]})
def case_attribute(name):
    return getattr(MODEL.method, name)


def case_called():
    return MODEL.method(3), MODEL.method(y=3), MODEL(1), Model.method(MODEL, 2), Model.made(1)


def case_called_wrongly():
    return MODEL.method(1, 2)


def case_jitted():
    return MODEL.jitted(2.0), Model.jitted(MODEL, 2.0)


def case_filter_jitted():
    return MODEL.filter_jitted(2.0), Model.filter_jitted(MODEL, 2.0, name=len)


def case_jitted_static():
    return MODEL.jitted_static(2)


def case_lru_cached():
    return MODEL.cached()


def case_lru_cached_hashable():
    return Model(1).cached()


def case_gradient():
    return MODEL.gradient(2.0), Model.gradient(MODEL, 2.0)


def case_value_and_gradient():
    return MODEL.value_and_gradient(2.0)


def case_operators():
    return MODEL[3], len(MODEL), MODEL + 1


def case_equal():
    one = Model(1)
    return [one.method == other for other in (one.method, Model(1).method, Model(2).method, one)]


def case_hash():
    return hash(Model(1).method) == hash(Model(1).method), {Model(1).method: 2}[Model(1).method]


def case_hash_of_array():
    return hash(MODEL.method)


def case_mapped():
    return jax.tree.map(lambda x: x + 1, MODEL.method)()


def case_mapped_is_a_method():
    mapped = jax.tree.map(lambda x: x + 1, MODEL.method)
    return mapped, jax.tree.structure(mapped) == jax.tree.structure(MODEL.method)


def case_structure():
    return jax.tree.structure(MODEL.method)


def case_path():
    return [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(MODEL.method)
    ]


def case_isinstance():
    return isinstance(MODEL.method, eqx.Module), callable(MODEL.method)


def case_frozen():
    MODEL.method.x = 1


def case_weak_reference():
    return weakref.ref(MODEL)() is MODEL


def case_jax_jit():
    return jax.jit(MODEL.method)(2.0), jax.jit(MODEL)(1.0)


def case_jax_vmap():
    return jax.vmap(MODEL)(jnp.ones(3)), jax.vmap(MODEL.method)(jnp.ones(3))


def case_jax_grad():
    return jax.grad(lambda m: jnp.sum(m()))(MODEL.method)


def case_jax_jit_inside_jit():
    return jax.jit(lambda m: jax.jit(m.method)(2.0))(MODEL)


def case_partial():
    return functools.partial(MODEL.method, 3)(), eqx.Partial(MODEL.method, 3)()


def case_super():
    class Child(Model):
        def method(self, y=1):
            return super().method(y) + 100

    return Child(1).method(2)


def case_super_without_arguments_in_jit():
    class Child(Model):
        @eqx.filter_jit
        def filter_jitted(self, y):
            return super().filter_jitted(y)[0] + 100

    return Child(1.0).filter_jitted(2.0)


def case_method_of_parent_looked_up_on_child():
    class Child(Model):
        y: Any = 2

    return Child(1).method


def case_method_as_leaf_of_module():
    return Model(MODEL.method).x()


def case_method_set_on_class():
    class Child(Model):
        pass

    Child.late = lambda self: self.x
    return Child(4).late()


def case_property_that_raises():
    class Child(Model):
        @property
        def broken(self):
            raise AttributeError("inner")

    return Child(1).broken


def case_async_and_generator():
    class Child(Model):
        def numbers(self):
            yield self.x

    return list(Child(3).numbers())
