"""`assert_dce`: an error if a compiler keeps what it should remove."""

from typing import TypeVar

import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._predicates import is_array
from ._mode import mode_of
from ._primitive import check_p
from ._report import Check
from ._stack import caller_stack

_Tree = TypeVar("_Tree")


def assert_dce(x: _Tree, msg: str, *, on_error: str = "default") -> _Tree:
    """Raise an error when a compiled program runs in which any array of `x` is still used.

    **Arguments:**

    - `x`: any PyTree. Its arrays are expected to be removed by dead-code elimination.
    - `msg`: what is said if they are not.
    - `on_error`: `"off"` checks nothing; otherwise as in `error_if`.

    **Returns:** `x`.

    **Raises:** `EquinoxRuntimeError` when a program of `filter_jit` is called. Outside of compiled
    programs, nothing.
    """
    leaves, structure = jtu.tree_flatten(x)
    arrays = [leaf for leaf in leaves if is_array(leaf)]
    if mode_of(on_error) == "off" or not arrays:
        return x
    checked = iter(
        check_p.bind(
            jnp.array(True),
            jnp.array(0),
            *arrays,
            check=Check((str(msg),), caller_stack()),
            compiled_only=True,
        )
    )
    return structure.unflatten([next(checked) if is_array(leaf) else leaf for leaf in leaves])
