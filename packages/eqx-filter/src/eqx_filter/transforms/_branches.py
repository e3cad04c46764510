"""Branches of `jax.lax` with any PyTrees: `filter_cond` and `filter_switch`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from ._carry import Carry
from ._naming import function_name
from ._packed import Packed, pack


def filter_cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Call one of two functions: `jax.lax.cond` for any PyTrees.

    **Arguments:**

    - `pred`: a bool, or an array of shape `()`.
    - `true_fun`, `false_fun`: functions of the operands. They return PyTrees of one structure, with
        arrays of the same shapes and dtypes, and equal leaves that are no arrays.
    - `operands`: any PyTrees.

    **Returns:** what the function returned.

    **Raises:** `TypeError` naming by its path what the second function returned otherwise.
    """
    return _call("filter_cond", [true_fun, false_fun], operands, jax.lax.cond, pred)


def filter_switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call one of several functions: `jax.lax.switch` for any PyTrees.

    **Arguments:**

    - `index`: an integer, or an integer array of shape `()`; clamped into the range of branches.
    - `branches`: functions of the operands, as in [`filter_cond`][].
    - `operands`: any PyTrees.

    **Returns:** what the function returned.

    **Raises:** `TypeError` naming by its path what a later branch returned otherwise; `ValueError`
    if there is no branch.
    """
    if not branches:
        message = "`filter_switch` needs at least one function in `branches`."
        raise ValueError(message)

    def switch(index: Any, *rest: Any) -> Any:
        *branches, operands = rest
        return jax.lax.switch(index, branches, operands)

    return _call("filter_switch", branches, operands, switch, index)


def _call(
    caller: str,
    branches: Sequence[Callable[..., Any]],
    operands: tuple[Any, ...],
    primitive: Callable[..., Any],
    selector: Any,
) -> Any:
    for branch in branches:
        if not callable(branch):
            message = f"`{caller}` takes functions as its branches; {branch!r} cannot be called."
            raise TypeError(message)
    packed = pack(operands)
    first: list[Carry] = []

    def of_arrays(branch: Callable[..., Any]) -> Callable[[list[Any]], Packed]:
        def run(arrays: list[Any]) -> Packed:
            out = branch(*Packed(packed.layout, arrays).unpack())
            if not first:
                rule = f"What `{{}}` returns must be like what `{function_name(branch)}` returns"
                first.append(Carry(rule, "out", out))
            else:
                first[0].take(branch, out)
                told = first[0].why_refused(branch)
                if told is not None:
                    raise TypeError(told)
            return pack(out)

        return run

    return primitive(selector, *map(of_arrays, branches), list(packed.arrays)).unpack()
