"""`AbstractVar`, `AbstractClassVar` and `StrictConfig`."""

import abc
import dataclasses
import inspect
from typing import Any, ClassVar, Generic, TypeVar

from marks import over

import equinox as eqx


def case_field():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        x: int

    return Child(1)


def case_property():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        @property
        def x(self):
            return 4

    return Child().x


def case_not_given():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    return Parent()


def case_not_given_by_child():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        y: Any

    return Child(1)


def case_with_value():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int] = 3

    return Parent


def case_unsubscripted():
    class Parent(eqx.Module):
        x: eqx.AbstractVar

    return Parent


def case_class_variable():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int]

    class Child(Parent):
        x: ClassVar[int] = 3

    return Child().x


def case_class_variable_without_annotation():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int]

    class Child(Parent):
        x = 3

    return Child().x


def case_class_variable_not_given():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int]

    return Parent()


def case_abstract_over_field():
    class Parent(eqx.Module):
        x: int

    class Child(Parent):
        x: eqx.AbstractVar[int]

    return Child


def case_lists():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: int = 3
        z: eqx.AbstractClassVar[int]

    class Child(Parent):
        x: int = 2

    lists = [
        (cls.__abstractvars__, cls.__abstractclassvars__) for cls in (eqx.Module, Parent, Child)
    ]
    return [tuple(sorted(names) for names in pair) for pair in lists]


def case_fields():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: int = 3

    return [spec.name for spec in dataclasses.fields(Parent)], sorted(Parent.__annotations__)


def case_signature():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: int = 3

    return str(inspect.signature(Parent)), inspect.isabstract(Parent)


def case_order_of_fields():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: int

    class Child(Parent):
        z: int
        x: int

    return Child(1, 2, 3)


def case_method():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        def x(self):
            return 2

    return Child().x()


def case_class_attribute():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        x = 2

    return Child(), Child().x


class Left(eqx.Module):
    x: eqx.AbstractVar[int]


class Right(eqx.Module):
    x: int


class Plain:
    x = 3


class Annotated:
    x: int


def of_bases(*bases):
    cls = type(eqx.Module)("Child", bases, {})
    return sorted(cls.__abstractvars__)


@over(
    {
        "abstract first": (Left, Right),
        "field first": (Right, Left),
        "plain value first": (Plain, Left),
        "plain value last": (Left, Plain),
        "plain annotation first": (Annotated, Left),
    }
)
def case_bases(bases):
    return of_bases(*bases)


def case_over_property():
    class Parent(eqx.Module):
        @property
        def x(self):
            return 1

    class Child(Parent):
        x: eqx.AbstractVar[int]

    return Child()


def case_over_class_variable():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        x: eqx.AbstractClassVar[int]

    return sorted(Child.__abstractvars__), sorted(Child.__abstractclassvars__)


def case_class_variable_by_field():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int]

    class Child(Parent):
        x: int

    return Child(1)


def case_class_variable_by_default():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int]

    class Child(Parent):
        x: int = 3

    return Child(), Child(4)


def case_class_variable_with_value():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar[int] = 3


def case_class_variable_unsubscripted():
    class Parent(eqx.Module):
        x: eqx.AbstractClassVar


def case_class_variable_without_value():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: eqx.AbstractClassVar[int]

    class Child(Parent):
        x: ClassVar[int]
        y: ClassVar[int]

    return Child()


def case_with_field():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int] = eqx.field(static=True)


def case_all_kinds():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        z: eqx.AbstractClassVar[int]

        @abc.abstractmethod
        def f(self): ...

    return Parent()


def case_with_abstract_method():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

        @abc.abstractmethod
        def f(self): ...

    return Parent()


def case_of_a_plain_class():
    class Mixin:
        x: eqx.AbstractVar[int]

    class Child(Mixin, eqx.Module):
        pass

    return Child()


def case_generic():
    T = TypeVar("T")

    class Parent(eqx.Module, Generic[T]):
        x: eqx.AbstractVar[T]

    class Child(Parent[int]):
        x: int

    return Child(1)


def case_too_many_arguments():
    return eqx.AbstractVar[int, str]


def case_inside_another_annotation():
    class Parent(eqx.Module):
        x: list[eqx.AbstractVar[int]]

    return Parent([1]), sorted(Parent.__abstractvars__)


def case_assigned_to_the_class():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

    class Child(Parent):
        pass

    Child.x = 3
    return Child()


def case_getattr():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]

        def __getattr__(self, name):
            return 3

    return Parent()


def case_without_construction():
    class Parent(eqx.Module):
        x: eqx.AbstractVar[int]
        y: int

    return object.__new__(Parent)


def case_as_text():
    class Parent(eqx.Module):
        x: "AbstractVar[int]"  # noqa: F821

    return sorted(Parent.__abstractvars__)


def case_as_dotted_text():
    class Parent(eqx.Module):
        x: "eqx.AbstractVar[int]"

    return sorted(Parent.__abstractvars__)


@over(
    {
        "True": True,
        "False": False,
        "config": eqx.StrictConfig(),
        "forced": eqx.StrictConfig(force_abstact=True),
        "unknown": eqx.StrictConfig(other=3),
    }
)
def case_strict(strict):
    class A(eqx.Module, strict=strict):
        x: int

    class B(A):
        pass

    return B(1), A(2)


def case_strict_config():
    return eqx.StrictConfig(), eqx.StrictConfig(force_abstact=True), eqx.StrictConfig(a=1)
