"""Haiku: building a Module, its methods, the import. A Module exists only inside `transform`."""

from collections.abc import Callable
from typing import Any

import haiku as hk
from timing import Timed

from sides.haiku import side
from sides.haiku.models import Two
from sides.settings import X, import_seconds, key


def inside(make: Callable[[], Callable[[], Any]]) -> float:
    """Time what `make` gives, while Haiku collects the parameters of a function."""
    seconds = []
    hk.transform(lambda: seconds.append(Timed(make()).measure())).init(key())
    return seconds[0]


@side.figure
def build():
    return lambda: inside(lambda: lambda: Two(X, X))


def method_of_two() -> Callable[[], Any]:
    two = Two(X, X)
    return lambda: two.method(1)


@side.figure
def method():
    return lambda: inside(method_of_two)


@side.figure
def import_time():
    return lambda: import_seconds("haiku")
