"""What a program is: a function of one array that uses a downstream package."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Program(NamedTuple):
    """A function, what to call it with, and what may be done to it.

    `run` maps `argument`, a floating array, to a PyTree of arrays and numbers. The gradient is that
    of the sum of its real floating outputs, so these must be finite and depend on the argument.
    """

    run: Callable[[jax.Array], Any]
    argument: jax.Array
    grad: bool = True
    vmap: bool = True
