"""The condition and the body of a loop, traced once, as functions of arrays."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr

from eqx_pytree import tree_pformat

from ..shared._jax import let_vary_as, opened
from ._select import select_if_vmap
from ._state import Arrays, State


class Function(NamedTuple):
    """A traced function of arrays, and the arrays that it closes over."""

    jaxpr: Any
    consts: Arrays

    def __call__(self, *args: Any) -> Arrays:
        return self.of(self.consts, *args)

    def without_last(self, count: int) -> "Function":
        """Leave out the last outputs, and as many arguments, which the others do not need."""
        outs, args = len(self.jaxpr.outvars) - count, len(self.jaxpr.invars) - count
        used = [True] * outs + [False] * count
        jaxpr, _ = dce_jaxpr(self.jaxpr, used, [True] * args + [False] * count)
        avals = [var.aval for var in jaxpr.invars]
        if len(avals) == args:
            return Function(jaxpr, self.consts)

        def of_others(*xs: Any) -> Arrays:
            zeros = [jnp.zeros(aval.shape, aval.dtype) for aval in avals[args:]]
            return jax.core.eval_jaxpr(jaxpr, self.consts, *xs, *zeros)

        return _function(of_others, avals[:args])  # JAX leaves nothing out of a loop inside

    def of(self, consts: Arrays, *args: Any) -> Arrays:
        """Call it with other arrays in the place of what it closes over."""
        return jax.core.eval_jaxpr(self.jaxpr, consts, *args)


class Loop(NamedTuple):
    """`cond(*arrays)` gives `[pred]`, and `body(pred, *arrays)` the arrays after one step.

    Under `vmap`, `pred` says of each member whether it takes the step. `marking` is the body with a
    mark more for each of `is_marked`, which becomes True where that buffer is written.
    """

    cond: Function
    body: Function
    marking: Function
    init: Arrays
    is_buffer: Sequence[bool]
    is_marked: Sequence[bool]

    def without_arrays(self) -> "Loop":
        """The loop with abstract values in the place of arrays; rules may hold it.

        JAX keeps rules for longer than a trace, and what is traced must not be kept.
        """
        cond, body, marking = (
            function._replace(consts=list(map(jax.typeof, function.consts)))
            for function in (self.cond, self.body, self.marking)
        )
        init = list(map(jax.typeof, self.init))
        return self._replace(cond=cond, body=body, marking=marking, init=init)


def traced(cond_fun: Callable[..., Any], body_fun: Callable[..., Any], state: State) -> Loop:
    """Trace a loop.

    **Raises:** `TypeError` for a condition that is not one bool; `ValueError` if the body returns
    another structure, shape or dtype.
    """
    count = len(state.first)

    def cond(*arrays: Any) -> Arrays:
        return [_checked_pred(cond_fun(state.tree(arrays, jnp.array(True))))]

    def body(pred: Any, *arrays_and_marks: Any) -> Arrays:
        arrays, marks = arrays_and_marks[:count], arrays_and_marks[count:]
        out = body_fun(state.tree(arrays, pred, marks))
        found = state.arrays(out)
        if found is None or any(map(_differ, arrays, found[0])):
            raise ValueError(_told(state.tree(arrays, pred), out))
        return [
            new if b else select_if_vmap(pred, _strong(new, old), old)
            for new, old, b in zip(found[0], arrays, state.is_buffer, strict=True)
        ] + found[1]

    condition = _function(cond, state.first)
    init, marking = _settled(condition.jaxpr.outvars[0].aval, body, state)
    if init is not state.first:
        condition = _function(cond, init)
    marks = sum(state.is_marked)
    alone = marking.without_last(marks) if marks else marking
    return Loop(condition, alone, marking, init, state.is_buffer, state.is_marked)


def _function(function: Callable[..., Any], args: Arrays) -> Function:
    return Function(*opened(jax.make_jaxpr(function)(*args)))


def _settled(pred: Any, body: Callable[..., Any], state: State) -> tuple[Arrays, Function]:
    """Trace the body on a state that comes back with the types it begins with; `pred` is abstract.

    A weak type that is lost is made a strong one, and under `shard_map` what comes back varying is
    let vary; then the body is traced again.
    """
    init = state.first
    marks = [
        jax.ShapeDtypeStruct(x.shape, bool) for x, b in zip(init, state.is_marked, strict=True) if b
    ]
    while True:
        function = _function(body, [pred, *init, *marks])
        outs = [var.aval for var in function.jaxpr.outvars[: len(init)]]
        settled = [_like(x, out) for x, out in zip(init, outs, strict=True)]
        if all(new is old for new, old in zip(settled, init, strict=True)):
            return init, function
        init = settled


def _checked_pred(pred: Any) -> Any:
    is_bool = isinstance(pred, bool) or getattr(pred, "dtype", None) == jnp.bool_
    if not is_bool or jnp.shape(pred) != ():
        is_array = hasattr(pred, "dtype")
        told = f"{pred.dtype.name}{list(pred.shape)}" if is_array else f"`{pred!r}`"
        message = (
            f"`cond_fun` must return one bool, got {told}. Compare, as in `x > 0`, or reduce with "
            "`jnp.any`."
        )
        raise TypeError(message)
    return jnp.asarray(pred)


def _differ(old: Any, new: Any) -> bool:
    return (old.shape, old.dtype) != (new.shape, new.dtype)


def _told(given: Any, returned: Any) -> str:
    before, after = (tree_pformat(tree) for tree in (given, returned))
    return (
        "`body_fun` must have the same input and output structure. Difference is:\n"
        f"- {before}\n+ {after}\nReturn what is not changed as it is, and buffers as `Buffer`s."
    )


def _like(x: Any, aval: Any) -> Any:
    """What a loop begins with, such that it may come back as the abstract value says."""
    if _is_weak(x) and not _is_weak(aval):
        x = _strengthened(x)
    return let_vary_as(x, aval)


def _strong(new: Any, old: Any) -> Any:
    """The new value, without a weak type where the old one has none."""
    return _strengthened(new) if _is_weak(new) and not _is_weak(old) else new


def _strengthened(x: Any) -> Any:
    return jax.lax.convert_element_type(x, x.dtype)


def _is_weak(x: Any) -> bool:
    return getattr(x, "weak_type", False)  # a PRNG key has no such attribute
