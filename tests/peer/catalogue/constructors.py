"""Which constructor a class gets: its own, a parent's, or one that is made from its fields."""

import dataclasses
from typing import Any

import equinox as eqx
from catalogue.module_classes import Base, told


def case_own_init():
    class Child(eqx.Module):
        x: Any

        def __init__(self, a, *, b=2):
            self.x = (a, b)

    return told(Child, 1, b=3)


def case_parent_init():
    class Parent(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1

    class Child(Parent):
        pass

    return told(Child)


def case_parent_init_child_default():
    class Parent(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1

    class Child(Parent):
        y: Any = 2

    return told(Child)


def case_parent_init_child_field():
    class Parent(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1

    class Child(Parent):
        y: Any

    return told(Child)


def case_super_init():
    class Parent(eqx.Module):
        x: Any

        def __init__(self, x):
            self.x = x

    class Child(Parent):
        y: Any

        def __init__(self, x, y):
            super().__init__(x)
            self.y = y

    return told(Child, 1, 2)


def case_super_init_made():
    class Child(Base):
        y: Any

        def __init__(self, x, y):
            super().__init__(x)
            self.y = y

    return told(Child, 1, 2)


def case_init_and_post_init():
    class Child(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1

        def __post_init__(self):
            self.x = 2

    return told(Child)


def case_parent_init_child_post_init():
    class Parent(eqx.Module):
        x: Any

        def __init__(self):
            self.x = 1

    class Child(Parent):
        def __post_init__(self):
            self.x = 2

    return told(Child)


def case_parent_post_init_child_init():
    class Parent(eqx.Module):
        x: Any

        def __post_init__(self):
            self.x = 2

    class Child(Parent):
        def __init__(self):
            self.x = 1

    return told(Child)


def case_post_init():
    class Child(eqx.Module):
        x: Any
        y: Any = dataclasses.field(init=False)

        def __post_init__(self):
            self.y = self.x + 1

    return told(Child, 1)
