"""`AbstractVar` and `AbstractClassVar`, where they exist."""

from typing import Any, ClassVar

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
