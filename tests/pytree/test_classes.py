"""Module beside the rest of Python's classes: bases, metaclasses, generics, descriptors, slots."""

import abc
import dataclasses
import functools
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

from eqx_pytree import Module, field

T = TypeVar("T")
ModuleMeta = type(Module)


class Affine(Module):
    weight: Any
    bias: Any = None


class TestBases:
    def test_a_diamond_keeps_each_field_once(self):
        class Left(Affine):
            left: Any = 1

        class Right(Affine):
            right: Any = 2

        class Both(Left, Right):
            both: Any = 3

        names = [spec.name for spec in dataclasses.fields(Both)]
        assert sorted(names) == ["bias", "both", "left", "right", "weight"]
        assert len(jtu.tree_leaves(Both(0, 0))) == 5

    def test_a_diamond_of_own_inits_runs_cooperatively(self):
        order = []

        class Top(Module):
            top: Any

            def __init__(self):
                order.append("Top")
                self.top = 0

        class Left(Top):
            left: Any

            def __init__(self):
                order.append("Left")
                super().__init__()
                self.left = 1

        class Right(Top):
            right: Any

            def __init__(self):
                order.append("Right")
                super().__init__()
                self.right = 2

        class Both(Left, Right):
            pass

        assert sorted(jtu.tree_leaves(Both())) == [0, 1, 2]
        assert order == ["Left", "Right", "Top"]

    def test_a_mixin_that_is_no_module_gives_methods(self):
        class Mixin:
            def double(self):
                return 2 * self.weight

        class Mixed(Mixin, Affine):
            pass

        assert Mixed(3).double() == 6

    def test_init_subclass_is_cooperative_and_gets_the_keywords(self):
        seen = []

        class Registered(Module):
            def __init_subclass__(cls, tag=None, **kwargs):
                super().__init_subclass__(**kwargs)
                seen.append((cls.__name__, tag))

        class Mixin:
            def __init_subclass__(cls, other=None, **kwargs):
                super().__init_subclass__(**kwargs)
                seen.append(other)

        class Child(Registered, Mixin, tag="t", other="o", strict=True):
            weight: Any

        assert seen == ["o", ("Child", "t")]
        assert Child(1).weight == 1

    def test_an_unknown_class_keyword_is_refused(self):
        with pytest.raises(TypeError, match="takes no keyword arguments"):

            class Bad(Module, unknown=1):
                pass


class TestMetaclasses:
    def test_one_may_override_call_and_recurse(self):
        class Meta(ModuleMeta):
            def __call__(cls, *args, **kwargs):  # noqa: N805
                if kwargs.pop("scaled", False):
                    built = cls(*args, **kwargs)
                    return dataclasses.replace(built, weight=2 * built.weight)
                return super().__call__(*args, **kwargs)

        class Scaled(Module, metaclass=Meta):
            weight: Any

        assert Scaled(1).weight == 1
        assert Scaled(1, scaled=True).weight == 2
        assert jtu.tree_leaves(Scaled(5)) == [5]

    def test_one_may_override_instancecheck(self):
        class Meta(ModuleMeta):
            def __instancecheck__(cls, instance):  # noqa: N805
                return instance == "any" or super().__instancecheck__(instance)

        class Odd(Module, metaclass=Meta):
            weight: Any

        assert isinstance("any", Odd)
        assert isinstance(Odd(1), Odd)
        assert not isinstance("other", Odd)

    def test_a_subclass_of_the_class_keeps_the_metaclass(self):
        class Meta(ModuleMeta):
            pass

        class Base(Module, metaclass=Meta):
            weight: Any

        class Derived(Base):
            bias: Any

        assert type(Derived) is Meta
        assert jtu.tree_leaves(Derived(1, 2)) == [1, 2]


class TestGenerics:
    def test_a_parametrised_class_builds_instances(self):
        class Box(Module, Generic[T]):
            content: T

        box = Box[int](3)
        assert type(box) is Box
        assert jtu.tree_leaves(box) == [3]
        assert jtu.tree_structure(box) == jtu.tree_structure(Box(3))
        assert box.__orig_class__ == Box[int]

    def test_a_subclass_of_a_parametrised_class(self):
        class Box(Module, Generic[T]):
            content: T

        class Ints(Box[int]):
            label: str = field(static=True, default="ints")

        assert jtu.tree_leaves(Ints(3)) == [3]


class TestDescriptors:
    def test_properties_class_methods_and_static_methods(self):
        class Rich(Module):
            weight: Any

            @property
            def double(self):
                return 2 * self.weight

            @classmethod
            def zero(cls):
                return cls(0)

            @staticmethod
            def add(one, other):
                return one + other

            @functools.cached_property
            def triple(self):
                return 3 * self.weight

        rich = Rich(2)
        assert (rich.double, rich.triple, rich.add(1, 2)) == (4, 6, 3)
        assert type(Rich.zero()) is Rich
        assert rich.zero().weight == 0

    def test_a_class_method_of_a_subclass_builds_the_subclass(self):
        class Base(Module):
            weight: Any

            @classmethod
            def one(cls):
                return cls(1)

        class Derived(Base):
            pass

        assert type(Derived.one()) is Derived

    def test_a_property_may_stand_for_a_field_of_a_base(self):
        class Base(Module):
            @property
            @abc.abstractmethod
            def size(self): ...

        class Fixed(Base):
            @property
            def size(self):
                return 4

        assert Fixed().size == 4


class TestAbstract:
    def test_an_abstract_class_cannot_be_instantiated(self):
        class Solver(Module):
            @abc.abstractmethod
            def step(self): ...

        with pytest.raises(TypeError, match=r"abstract class Solver .*abstract method .*step"):
            Solver()

    def test_a_subclass_that_defines_the_method_can(self):
        class Solver(Module):
            rate: Any

            @abc.abstractmethod
            def step(self): ...

        class Euler(Solver):
            def step(self):
                return self.rate

        class StillAbstract(Solver):
            pass

        assert Euler(0.5).step() == 0.5
        with pytest.raises(TypeError, match="abstract class StillAbstract"):
            StillAbstract(0.5)

    def test_an_abstract_own_init_is_refused_before_it_runs(self):
        class Solver(Module):
            def __init__(self):
                pytest.fail("ran")

            @abc.abstractmethod
            def step(self): ...

        with pytest.raises(TypeError, match="abstract method"):
            Solver()


class TestSlots:
    def test_a_field_that_is_a_slot_is_refused_at_class_creation(self):
        with pytest.raises(TypeError, match=r"Field `.*Bad\.weight` is also a slot of `.*Bad`"):

            class Bad(Module):
                __slots__ = ("weight",)
                weight: Any

    def test_a_field_that_is_a_slot_of_a_base_is_refused(self):
        class Slotted:
            __slots__ = ("weight",)

        with pytest.raises(TypeError, match=r"Bad\.weight` is also a slot of `.*Slotted`"):

            class Bad(Slotted, Module):
                weight: Any

    def test_slots_beside_the_fields_keep_every_leaf(self):
        class Slotted(Module):
            __slots__ = ()
            weight: Any

        assert jtu.tree_leaves(Slotted(1)) == [1]


class TestNames:
    def test_docstring_and_module_are_those_of_the_class_statement(self):
        class Documented(Module):
            """What it is."""

        assert Documented.__doc__ == "What it is."
        assert Documented.__module__ == __name__

    def test_an_own_repr_and_eq_and_hash_are_kept(self):
        class Own(Module):
            weight: Any

            def __repr__(self):
                return "own"

            def __eq__(self, other):
                return "equal"

            def __hash__(self):
                return 7

        assert (repr(Own(1)), Own(1) == 2, hash(Own(jnp.ones(1)))) == ("own", "equal", 7)

    def test_a_module_is_callable_only_with_call(self):
        class Called(Affine):
            def __call__(self, x):
                return self.weight * x

        assert not callable(Affine(1))
        assert jax.vmap(Called(2.0))(jnp.arange(3.0)).tolist() == [0, 2, 4]
