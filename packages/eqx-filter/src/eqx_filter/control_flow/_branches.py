"""Branches of `jax.lax` with any PyTrees: `filter_cond` and `filter_switch`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..compiled._steps import kept_with
from ..shared._describe import describe_value
from ..shared._naming import function_name
from ..shared._packed import Packed, pack, unpack
from ..shared._predicates import is_number_or_array
from ._carry import Carry, outline


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

    **Raises:** `TypeError` naming by its path what the second function returned otherwise, or if
    `pred` is no scalar.
    """
    if not _is_scalar(pred):
        raise TypeError(_no_selector("pred", "a bool", pred))
    return _call("filter_cond", [true_fun, false_fun], operands, jax.lax.cond, pred)


def filter_switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call one of several functions: `jax.lax.switch` for any PyTrees.

    **Arguments:**

    - `index`: an integer, or an integer array of shape `()`; clamped into the range of branches.
    - `branches`: functions of the operands, as in `filter_cond`.
    - `operands`: any PyTrees.

    **Returns:** what the function returned.

    **Raises:** `TypeError` naming by its path what a later branch returned otherwise, or if `index`
    is no integer; `ValueError` if there is no branch.
    """
    if not branches:
        message = "`filter_switch` needs at least one function in `branches`."
        raise ValueError(message)
    if not _is_scalar(index) or not jnp.issubdtype(jnp.result_type(index), jnp.integer):
        raise TypeError(_no_selector("index", "an integer", index))

    def switch(index: Any, *rest: Any) -> Any:
        *branches, operands = rest
        return jax.lax.switch(index, branches, operands)

    return _call("filter_switch", branches, operands, switch, index)


def _is_scalar(value: Any) -> bool:
    return is_number_or_array(value) and jnp.ndim(value) == 0


def _no_selector(name: str, kind: str, given: Any) -> str:
    return (
        f"`{name}` must be {kind}, or an array of shape () of such; it is {describe_value(given)}. "
        "To choose for each element, use `jnp.where` or `filter_vmap`."
    )


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
    runs, outputs = zip(*[_on_arrays(branch, packed) for branch in branches], strict=True)
    try:
        return primitive(selector, *runs, packed.arrays).unpack()
    except TypeError:
        _refuse_other_output(branches, outputs)
        raise


def _on_arrays(
    branch: Callable[..., Any], operands: Packed
) -> tuple[Callable[[list[Any]], Packed], list[Any]]:
    """A branch on the arrays of its operands, and a list with the outline of what it returned."""

    def make() -> tuple[Callable[[list[Any]], Packed], list[Any]]:
        layout, output = operands.layout, []

        def run(arrays: list[Any]) -> Packed:
            out = pack(branch(*unpack(layout, arrays)))
            output[:] = [outline(out)]
            return out

        return run, output

    return kept_with(branch, "branch", (operands,), make)


def _refuse_other_output(
    branches: Sequence[Callable[..., Any]], outputs: Sequence[list[Any]]
) -> None:
    """Say by its path what a branch returned otherwise than the first, if any did.

    **Raises:** `TypeError`.
    """
    if not all(outputs):  # an error of a branch itself
        return
    rule = f"What `{{}}` returns must be like what `{function_name(branches[0])}` returns"
    for branch, [output] in zip(branches[1:], outputs[1:], strict=True):
        first = Carry(rule, "out", outputs[0][0])
        first.refuse_other(branch, output)
        told = first.why_refused(branch)
        if told is not None:
            raise TypeError(told) from None
