"""`breakpoint_if`: the debugger, if a condition holds."""

from typing import Any

import jax

from ..rules import unvmap_any
from ..shared._describe import describe_value
from ..shared._predicates import is_number_or_array


def breakpoint_if(pred: Any, **kwargs: Any) -> Any:
    """Open JAX's debugger where a condition holds, in a compiled program too.

    **Arguments:**

    - `pred`: a bool, or an array of bools of any shape; any is enough, in any member of a batch.
    - `kwargs`: arguments of `jax.debug.breakpoint`.

    **Returns:** None; or the `token`, if one is given, known once the debugger has been left.

    **Raises:** `TypeError` if `pred` is no bool or array of such.
    """
    if not is_number_or_array(pred):
        message = f"`pred` must be a bool or an array of bools; it is {describe_value(pred)}."
        raise TypeError(message)
    token = kwargs.pop("token", None)

    def stop(token: Any) -> Any:
        if token is None:
            return jax.debug.breakpoint(**kwargs)
        return jax.debug.breakpoint(token=token, **kwargs)

    return jax.lax.cond(unvmap_any(pred), stop, lambda token: token, token)
