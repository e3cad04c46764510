"""Methods looked up on an instance: PyTrees with the instance inside."""

import abc
import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import weakref
from typing import Any

import cloudpickle
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_pytree import BoundMethod, Module, field, tree_equal


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def scaled(self, x, *, power=1):
        """Scale `x`."""
        return self.weight * x**power

    def as_array(self):
        return jnp.asarray(self.weight)

    def times_half(self):
        return self.weight * jnp.ones(2, jnp.bfloat16)

    def __call__(self, x):
        return self.scaled(x)


class TestPyTree:
    def test_the_instance_is_the_one_child(self):
        method = Scale(3).scaled
        assert jtu.tree_leaves(method) == [3]
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(method)[0]]
        assert paths == [".__self__.weight"]

    def test_a_changed_copy_is_a_method_of_a_changed_instance(self):
        changed = jtu.tree_map(lambda leaf: 10 * leaf, Scale(3).scaled)
        assert isinstance(changed, BoundMethod)
        assert changed(2) == 60

    def test_is_held_in_another_tree(self):
        total = jax.jit(lambda tree: tree["f"](2.0))({"f": Scale(jnp.array(3.0)).scaled})
        assert total == 6

    def test_is_no_reference_cycle(self):
        instance = Scale(object())
        method, reference = instance.scaled, weakref.ref(instance)
        gc.disable()
        try:
            del instance, method
            assert reference() is None
        finally:
            gc.enable()


class TestCalls:
    def test_takes_arguments_and_keywords(self):
        assert Scale(3).scaled(2) == 6
        assert Scale(3).scaled(2, power=2) == 12

    def test_on_the_class_it_is_the_plain_function(self):
        assert inspect.isfunction(Scale.scaled)
        assert Scale.scaled(Scale(3), 2) == 6

    def test_magic_methods_stay_plain(self):
        assert inspect.ismethod(Scale(3).__call__)

    def test_super_finds_the_method_of_the_base(self):
        class Twice(Scale):
            def scaled(self, x, *, power=1):
                return 2 * super().scaled(x, power=power)

        assert Twice(3).scaled(2) == 12
        assert isinstance(Twice(3).scaled, BoundMethod)

    def test_a_method_assigned_to_the_class_body_by_lambda(self):
        class Short(Module):
            weight: Any
            double = lambda self: 2 * self.weight  # noqa: E731

        assert Short(3).double() == 6
        assert isinstance(Short(3).double, BoundMethod)

    def test_a_decorated_method_that_keeps_its_function_type(self):
        def logged(function):
            @functools.wraps(function)
            def wrapper(self, *args):
                return ("logged", function(self, *args))

            return wrapper

        class Logged(Module):
            weight: Any

            @logged
            def scaled(self, x):
                return self.weight * x

        assert Logged(3).scaled(2) == ("logged", 6)
        assert Logged(3).scaled.__name__ == "scaled"

    def test_an_abstract_method_stays_abstract(self):
        class Base(Module):
            @abc.abstractmethod
            def step(self):
                """Take a step."""

        assert Base.__abstractmethods__ == {"step"}
        assert Base.__dict__["step"].__doc__ == "Take a step."

    def test_a_wrong_call_raises_what_the_function_raises(self):
        with pytest.raises(TypeError, match=r"scaled\(\) missing 1 required positional argument"):
            Scale(3).scaled()


class TestAttributes:
    def test_are_those_of_a_bound_method(self):
        scale = Scale(3)
        method = scale.scaled
        assert method.__self__ is scale
        assert method.__func__ is Scale.scaled
        assert (method.__name__, method.__doc__) == ("scaled", "Scale `x`.")
        assert method.__qualname__ == "Scale.scaled"
        assert method.__wrapped__(2) == 6
        assert list(inspect.signature(method).parameters) == ["x", "power"]

    def test_a_missing_one_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            Scale(3).scaled.nothing  # noqa: B018

    def test_repr_shows_function_and_instance(self):
        shown = repr(Scale(jnp.ones(2)).scaled)
        assert shown.startswith("BoundMethod(")
        assert "Scale.scaled" in shown
        assert "Scale(weight=f32[2])" in shown

    def test_can_be_referred_to_weakly(self):
        method = Scale(3).scaled
        assert weakref.ref(method)() is method


class TestComparison:
    def test_by_function_and_value(self):
        assert Scale(1).scaled == Scale(1).scaled
        assert Scale(1).scaled != Scale(2).scaled
        assert Scale(1).scaled != Scale(1).as_array
        assert Scale(1).scaled != Scale(1, "other").scaled
        assert Scale(1).scaled != Scale.scaled

    def test_arrays_compare_by_value_and_give_a_bool(self):
        equal = Scale(jnp.ones(2)).scaled == Scale(jnp.ones(2)).scaled
        unequal = Scale(jnp.ones(2)).scaled == Scale(jnp.zeros(2)).scaled
        assert (bool(equal), bool(unequal)) == (True, False)
        assert Scale(jnp.ones(2)).scaled != Scale(np.ones(2, np.float32)).scaled

    def test_hash_comes_from_function_structure_and_static_leaves(self):
        assert hash(Scale(1).scaled) == hash(Scale(1).scaled)
        assert hash(Scale(jnp.ones(2)).scaled) == hash(Scale(jnp.ones(2)).scaled)
        assert len({Scale(1).scaled, Scale(1).scaled, Scale(2).scaled}) == 2

    def test_tracers_are_equal_to_themselves_alone(self):
        @jax.jit
        def inner(x, y):
            assert Scale(x).scaled == Scale(x).scaled
            assert Scale(x).scaled != Scale(y).scaled
            assert hash(Scale(x).scaled) == hash(Scale(x).scaled)
            return x

        inner(1.0, 1.0)


class TestTransformations:
    def test_jit_of_a_method(self):
        np.testing.assert_array_equal(jax.jit(Scale(jnp.ones(3)).scaled)(2.0), 2 * np.ones(3))

    def test_jit_of_equal_methods_traces_once(self):
        traces = []

        class Traced(Module):
            weight: Any

            def scaled(self, x):
                traces.append(x)
                return self.weight * x

        methods = [Traced(jnp.ones(2)).scaled for _ in range(3)]
        for method in methods:
            jax.jit(method)(2.0)
        assert len(traces) == 1

    @pytest.mark.parametrize("values", [(1, 1.0, True), (True, 1), (1.0, 1)])
    def test_jit_of_methods_of_instances_that_differ_in_type(self, values):
        methods = [Scale(value).as_array for value in values]
        dtypes = [jax.jit(method)().dtype for method in methods]
        assert dtypes == [jnp.asarray(value).dtype for value in values]

    def test_jit_of_methods_of_zeros_of_other_sign(self):
        methods = [Scale(zero).as_array for zero in (0.0, -0.0)]
        assert [bool(jnp.signbit(jax.jit(method)())) for method in methods] == [False, True]

    def test_jit_of_methods_of_weakly_and_strongly_typed_arrays(self):
        methods = [Scale(weight).times_half for weight in (jnp.asarray(1.0), jnp.ones(()))]
        dtypes = [jax.jit(method)().dtype for method in methods]
        assert dtypes == [jnp.bfloat16, jnp.float32]

    def test_vmap_of_a_method_and_of_a_module(self):
        x = jnp.arange(3.0)
        np.testing.assert_array_equal(jax.vmap(Scale(2.0).scaled)(x), 2 * x)
        np.testing.assert_array_equal(jax.vmap(Scale(2.0))(x), 2 * x)

    def test_grad_of_a_method(self):
        assert jax.grad(Scale(3.0).scaled)(2.0) == 3

    def test_a_method_as_the_argument_of_a_jitted_function(self):
        traces = []

        @jax.jit
        def run(function, x):
            traces.append(x)
            return function(x)

        outs = [run(Scale(jnp.array(weight)).scaled, 2.0) for weight in (1.0, 2.0, 3.0)]
        assert outs == [2, 4, 6]
        assert len(traces) == 1

    def test_under_a_trace(self):
        @jax.jit
        def run(scale, x):
            return jax.vmap(scale.scaled)(x) + jax.jit(scale.scaled)(x)

        x = jnp.arange(3.0)
        np.testing.assert_array_equal(run(Scale(jnp.array(2.0)), x), 4 * x)


class TestCopies:
    @pytest.mark.parametrize("library", [pickle, cloudpickle])
    def test_pickle_round_trip(self, library):
        method = Scale(jnp.arange(3.0)).scaled
        restored = pickle.loads(library.dumps(method))
        assert restored.__func__ is Scale.scaled
        assert tree_equal(restored, method)

    def test_copy_and_deepcopy(self):
        method = Scale(np.ones(2)).scaled
        assert copy.copy(method).__self__ is method.__self__
        deep = copy.deepcopy(method)
        assert deep.__self__ is not method.__self__
        assert deep == method

    def test_can_be_built_from_its_parts(self):
        jitted = BoundMethod(jax.jit(Scale.scaled), Scale(3.0))
        assert jitted(2.0) == 6


class TestFrozen:
    def test_nothing_can_be_assigned_or_deleted(self):
        method = Scale(1).scaled
        for change in (
            lambda: setattr(method, "__self__", 2),
            lambda: setattr(method, "other", 2),
            lambda: delattr(method, "__func__"),
        ):
            with pytest.raises(
                dataclasses.FrozenInstanceError, match=r"`Scale.scaled` is a method"
            ):
                change()


def test_what_init_subclass_puts_in_the_place_of_a_method_stays():
    class Tenfold(Module):
        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            own = vars(cls)["method"]
            cls.method = lambda self, x: 10 * own(self, x)

    class Adds(Tenfold):
        x: int

        def method(self, x):
            return self.x + x

    assert Adds(1).method(2) == 30
    assert type(Adds(1).method) is BoundMethod
