"""What lies inside of a program."""

from collections.abc import Iterable
from typing import Any

from ._jax import ClosedJaxpr, Jaxpr


def inner_jaxprs(values: Iterable[Any]) -> list[Jaxpr]:
    """The jaxprs among the parameters of an equation, also those in tuples and lists of them."""
    found: list[Jaxpr] = []
    for value in values:
        if isinstance(value, ClosedJaxpr):
            found.append(value.jaxpr)
        elif isinstance(value, Jaxpr):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += inner_jaxprs(value)
    return found
