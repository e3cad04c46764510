"""`error_if` and `branched_error_if`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import warn_user

from ..rules._unvmap import unvmap_any, unvmap_max
from ..shared._describe import describe_value
from ..shared._predicates import is_array, is_inexact, is_number_or_array
from ._classes import EquinoxTracetimeError
from ._mode import breakpoint_frames, mode_of
from ._primitive import check_p
from ._report import Check, message_at
from ._stack import Stack, caller_stack

_Tree = TypeVar("_Tree")

_OWN_FRAMES = 4
"""Between a breakpoint and the line that called `error_if`."""


def error_if(x: _Tree, pred: Any, msg: str, *, on_error: str = "default") -> _Tree:
    """Raise an error while a program runs, if a condition holds: under `filter_jit` or without.

    **Arguments:**

    - `x`: any PyTree with an array in it. It is returned, and what is returned must be used: a
        check whose result is unused is removed from a compiled program with it.
    - `pred`: a bool, or an array of bools of any shape; if any is true, that is an error.
    - `msg`: what is said then.
    - `on_error`: `"raise"` an error; `"nan"`, go on with NaN, or the largest number of an integer
        dtype, in the place of each array, under `vmap` in those members of the batch that failed;
        `"breakpoint"`, open the debugger, and then as `"nan"`; `"off"`, check nothing. `"default"`
        is what the environment variable `EQX_ON_ERROR` says while tracing, or else `"raise"`.
        `EQX_ON_ERROR_BREAKPOINT_FRAMES` is the number of frames that the debugger can go up.

    **Returns:** `x`.

    **Raises:** `EquinoxRuntimeError` where a program of `filter_jit` is called, or at once outside
    of compiled programs: in each of the processes that share a program, whichever found it. Under
    `vmap`, each member of the batch that failed is named. Under plain `jax.jit`, JAX raises an
    error of its own with that text in it; on several devices, where it would hang, the text is
    printed and NaN goes on. `EquinoxTracetimeError` if
    `pred` is a Python bool, and true. `ValueError` if `x` holds no array; `TypeError` if `pred` is
    no bool or number, or array of such; `RuntimeError` for an unknown `on_error`.
    """
    return checked(x, pred, 0, [msg], on_error)


def branched_error_if(
    x: _Tree, pred: Any, index: Any, msgs: Sequence[str], *, on_error: str = "default"
) -> _Tree:
    """As `error_if`, with one of several messages.

    **Arguments:** as `error_if`, and

    - `index`: which message it is, an integer or an array of such, which is known at run time. One
        out of range counts as the nearest that is in range, negative ones from the end.
    - `msgs`: the messages.

    **Returns:** `x`.

    **Raises:** as `error_if`; `ValueError` if there are no messages, `TypeError` if `index` is
    no integer.
    """
    return checked(x, pred, index, msgs, on_error)


def checked(
    x: _Tree,
    pred: Any,
    index: Any,
    msgs: Sequence[str],
    on_error: str = "default",
    stack: Stack | None = None,
) -> _Tree:
    """As `branched_error_if`, of a check that is written where `stack` says, or else here."""
    mode = mode_of(on_error)
    messages = tuple(map(str, msgs))
    _refuse(pred, index, messages)
    known = isinstance(pred, (bool, int, float)) and isinstance(index, int)
    if known and not pred:
        return x
    arrays = [leaf for leaf in jtu.tree_leaves(x) if is_array(leaf)]
    if not arrays:
        message = (
            "No arrays to thread error on to. Pass an array as `x`, and use what is returned: the "
            "check belongs to it."
        )
        raise ValueError(message)
    if mode == "off":
        return x
    if known and mode == "raise":
        raise EquinoxTracetimeError(message_at(messages, index))
    if known and mode == "nan":
        message = message_at(messages, index)
        told = f"This check fails for any inputs; NaN takes the place of arrays: {message}"
        warn_user(told)
        return _mapped(x, [_poisoned(True, array) for array in arrays])
    failed, index = _reduced(jnp.asarray(pred), index)
    if mode == "breakpoint":
        _open_debugger(failed, index, messages)
    if mode != "raise":
        return _mapped(x, [_poisoned(failed, array) for array in arrays])
    check = Check(messages, caller_stack() if stack is None else stack)
    return _mapped(x, check_p.bind(failed, index, *arrays, check=check, compiled_only=False))


def _refuse(pred: Any, index: Any, messages: Sequence[str]) -> None:
    if not is_number_or_array(pred):
        message = f"`pred` must be a bool or an array of bools; it is {describe_value(pred)}."
        raise TypeError(message)
    if not is_number_or_array(index) or not jnp.issubdtype(jnp.result_type(index), jnp.integer):
        message = f"`index` must be an integer or an array of such; it is {describe_value(index)}."
        raise TypeError(message)
    if not messages:
        message = "`msgs` must hold a message."
        raise ValueError(message)


def _reduced(pred: jax.Array, index: Any) -> tuple[jax.Array, Any]:
    """The condition and the index as scalars; of several that failed, the largest index."""
    failed = pred if pred.dtype == jnp.bool_ else pred != 0
    if jnp.ndim(index):
        failed, index = jnp.broadcast_arrays(failed, index)
        index = jnp.max(index, where=failed, initial=jnp.iinfo(index.dtype).min)
    index = np.int32(index) if isinstance(index, int) else jnp.asarray(index, jnp.int32)
    return (jnp.any(failed) if failed.ndim else failed), index


def _mapped(tree: Any, arrays: Sequence[Any]) -> Any:
    leaves, structure = jtu.tree_flatten(tree)
    remaining = iter(arrays)
    return structure.unflatten([next(remaining) if is_array(x) else x for x in leaves])


def _poisoned(failed: jax.Array | bool, array: Any) -> Any:
    if jnp.issubdtype(array.dtype, jax.dtypes.extended) or array.dtype == jax.dtypes.float0:
        return array
    array = jnp.asarray(array)
    if is_inexact(array.dtype):
        value = jnp.nan
    elif array.dtype == bool:
        value = True
    else:
        value = int(jnp.iinfo(array.dtype).max)
    if isinstance(failed, bool):
        return jnp.full_like(array, value, dtype=array.dtype)
    return jnp.where(failed, value, array)


def _open_debugger(failed: jax.Array, index: jax.Array, messages: Sequence[str]) -> None:
    frames = breakpoint_frames()
    count = None if frames is None else frames + _OWN_FRAMES

    def tell(index: Any) -> None:
        print(f"`error_if`: {message_at(messages, int(index))}")

    def stop(index: jax.Array) -> None:
        jax.debug.callback(tell, index)
        jax.debug.breakpoint(num_frames=count)

    largest = unvmap_max(jnp.where(failed, index, jnp.iinfo(index.dtype).min))
    jax.lax.cond(unvmap_any(failed), stop, lambda index: None, largest)
