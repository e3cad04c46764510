"""What a class statement becomes: every form of inheritance, and what is refused."""

import abc
import dataclasses
import functools
import inspect
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import jax
import jax.numpy as jnp

import equinox as eqx

T = TypeVar("T")


def told(cls, *args, **kwargs):
    """What is to be known of a class and of one instance."""
    instance = cls(*args, **kwargs)
    fields = [
        (field.name, field.init, field.repr, field.kw_only) for field in dataclasses.fields(cls)
    ]
    held = sorted(vars(instance).items())
    return str(inspect.signature(cls)), fields, held, jax.tree.leaves(instance), repr(instance)


class Base(eqx.Module):
    x: Any


class Static(eqx.Module):
    x: Any
    y: Any = eqx.field(static=True, default=3)


class Plain:
    """No dataclass, and no Module."""

    z: int

    def plain(self):
        return "plain"


def case_no_fields():
    class Empty(eqx.Module):
        pass

    return told(Empty)


def case_module_itself():
    return told(eqx.Module)


def case_defaults():
    class Defaults(eqx.Module):
        x: Any
        y: Any = 2
        z: Any = dataclasses.field(default_factory=list)

    return told(Defaults, 1)


def case_default_before_no_default():
    class Wrong(eqx.Module):
        x: Any = 1
        y: Any

    return Wrong


def case_mutable_default():
    class Wrong(eqx.Module):
        x: list = []  # noqa: RUF012

    return Wrong


def case_array_default():
    class Array(eqx.Module):
        x: Any = jnp.ones(2)

    return Array


def case_module_default():
    class Holder(eqx.Module):
        x: Any = Base(1)

    return told(Holder)


def case_child_adds_a_field():
    class Child(Base):
        y: Any

    return told(Child, 1, 2)


def case_child_adds_a_field_after_default():
    class Child(Static):
        z: Any

    return Child


def case_child_keyword_only():
    class Child(Static):
        z: Any = dataclasses.field(kw_only=True)

    return told(Child, 1, z=2)


def case_keyword_only_marker():
    class Marked(eqx.Module):
        x: Any
        _: dataclasses.KW_ONLY
        y: Any = 2

    return told(Marked, 1, y=4)


def case_child_redeclares():
    class Child(Static):
        z: Any = 4
        x: Any = 5

    return told(Child)


def case_child_makes_static():
    class Child(Base):
        x: Any = eqx.field(static=True)

    return told(Child, 1)


def case_child_makes_dynamic():
    class Child(Static):
        y: Any = 2

    return told(Child, 1)


def case_two_parents():
    class Other(eqx.Module):
        y: Any

    class Child(Base, Other):
        z: Any

    return told(Child, 1, 2, 3)


def case_diamond():
    class Left(Base):
        left: Any

    class Right(Base):
        right: Any

    class Bottom(Left, Right):
        bottom: Any

    return told(Bottom, 1, 2, 3, 4)


def case_plain_mixin_first():
    class Child(Plain, eqx.Module):
        x: Any

    return told(Child, 1), Child(1).plain()


def case_plain_mixin_last():
    class Child(eqx.Module, Plain):
        x: Any

    return told(Child, 1), Child(1).plain()


def case_plain_mixin_with_init():
    class Mixin:
        def __init__(self, a):
            self.x = a + 1

    class Child(Mixin, eqx.Module):
        x: Any

    return told(Child, 1)


def case_dataclass_mixin():
    @dataclasses.dataclass
    class Mixin:
        z: int

    class Child(Mixin, eqx.Module):
        x: int

    return told(Child, 1, 2)


def case_frozen_dataclass_mixin():
    @dataclasses.dataclass(frozen=True)
    class Mixin:
        z: int

    class Child(Mixin, eqx.Module):
        x: int

    return told(Child, 1, 2)


def case_generic():
    class Child(eqx.Module, Generic[T]):
        x: T

    return told(Child, 1), told(Child[int], 1)


def case_protocol():
    class Callable1(Protocol):
        def __call__(self, x: Any) -> Any: ...

    class Child(eqx.Module, Callable1):
        y: Any

        def __call__(self, x):
            return x

    return told(Child, 1)


def case_abstract_method():
    class Child(eqx.Module):
        @abc.abstractmethod
        def method(self): ...

    return Child()


def case_abstract_method_given():
    class Parent(eqx.Module):
        @abc.abstractmethod
        def method(self): ...

    class Child(Parent):
        def method(self):
            return 3

    return Child().method(), Parent.__abstractmethods__ == frozenset({"method"})


def case_abstract_property():
    class Parent(eqx.Module):
        @property
        @abc.abstractmethod
        def size(self): ...

    class Child(Parent):
        size: int = 3

    return told(Child)


def case_class_variable():
    class Child(eqx.Module):
        x: Any
        shared: ClassVar[int] = 3

    return told(Child, 1), Child.shared


def case_unannotated_attribute():
    class Child(eqx.Module):
        x: Any
        shared = 3

    return told(Child, 1), Child(1).shared


def case_init_variable():
    class Child(eqx.Module):
        x: Any
        extra: dataclasses.InitVar[int] = 4

        def __post_init__(self, extra):
            self.x = self.x + extra

    return told(Child, 1)


def case_class_keyword():
    class Child(eqx.Module, unknown=1):
        x: int

    return Child


def case_init_subclass():
    class Parent(eqx.Module):
        def __init_subclass__(cls, tag=None, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.tag = tag

    class Child(Parent, tag=3):
        pass

    return Child.tag, Parent.__dict__.get("tag")


def case_class_keyword_kw_only():
    class Child(eqx.Module, kw_only=True):
        x: int

    return str(inspect.signature(Child))


def case_metaclass():
    class Meta(type(eqx.Module)):
        def __call__(cls, *args):
            return super().__call__(sum(args))

    class Child(eqx.Module, metaclass=Meta):
        x: Any

    return repr(Child(1, 2))


def case_decorated_dataclass():
    @dataclasses.dataclass
    class Child(eqx.Module):
        x: int

    return told(Child, 1)


def case_decorated_frozen_dataclass():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Child(eqx.Module):
        x: int

    return told(Child, 1), Child(1) == Child(1)


def case_decorated_dataclass_with_init():
    @dataclasses.dataclass
    class Child(eqx.Module):
        x: int

        def __init__(self):
            self.x = 1

    return told(Child)


def case_slots():
    class Child(eqx.Module):
        __slots__ = ("x",)
        x: Any

    return jax.tree.leaves(Child(jnp.ones(2)))


def case_empty_slots():
    class Child(eqx.Module):
        __slots__ = ()
        x: Any

    return told(Child, 1)


def case_slots_of_mixin():
    class Mixin:
        __slots__ = ("q",)

    class Child(Mixin, eqx.Module):
        x: Any

    return told(Child, 1)


def case_property_over_field():
    class Child(Base):
        @property
        def x(self):
            return 3

    return Child


def case_method_over_field():
    class Child(Base):
        def x(self):
            return 3

    return told(Child)


def case_field_over_method():
    class Parent(eqx.Module):
        def x(self):
            return 3

    class Child(Parent):
        x: Any

    return told(Child, 1)


def case_strict():
    class Child(eqx.Module, strict=True):
        x: int

    return told(Child, 1)


def case_strict_overrides_method():
    class Parent(eqx.Module, strict=True):
        def method(self):
            return 1

    class Child(Parent, strict=True):
        def method(self):
            return 2

    return Child().method()


def case_strict_child_of_not_strict():
    class Child(Base, strict=True):
        pass

    return Child(1)


def case_local_class_in_method():
    class Child(eqx.Module):
        x: Any

        def other(self):
            return type(self)(self.x + 1)

    return Child(1).other()


def case_own_new():
    class Child(eqx.Module):
        x: Any

        def __new__(cls, *args):
            return super().__new__(cls)

    return told(Child, 1)


def case_own_setattr():
    class Child(eqx.Module):
        x: Any

        def __setattr__(self, name, value):
            super().__setattr__(name, value)

    child = Child(1)
    child.x = 2


def case_own_getattr():
    class Child(eqx.Module):
        x: Any

        def __getattr__(self, name):
            return name

    return Child(1).other, told(Child, 1)


def case_cached_property():
    class Child(eqx.Module):
        x: Any

        @functools.cached_property
        def doubled(self):
            return self.x * 2

    return Child(1).doubled


def case_instance_check():
    class Virtual(eqx.Module):
        pass

    class Registered:
        pass

    Virtual.register(Registered)
    return (
        isinstance(Registered(), Virtual),
        issubclass(Base, eqx.Module),
        isinstance(Base(1), eqx.Module),
    )


def case_match_arguments():
    match Static(1, 2):
        case Static(x, y):
            return x, y


def case_class_attributes():
    return Base.__name__, Base.__doc__, Base.__annotations__, Base.__bases__, Base.__match_args__


def case_string_annotations():
    class Child(eqx.Module):
        x: "int"
        y: "ClassVar[int]" = 3

    return told(Child, 1)
