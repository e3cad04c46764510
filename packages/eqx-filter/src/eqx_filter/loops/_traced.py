"""The condition and the body of a loop, traced once, as functions of arrays."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.interpreters.partial_eval import dce_jaxpr

from eqx_pytree import tree_pformat

from .._predicates import is_array_like
from ._buffers import Buffer, is_buffer, marks_in, unwrapped
from ._select import select_if_vmap

Arrays = list[Any]


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
        return Function(jaxpr, self.consts)

    def of(self, consts: Arrays, *args: Any) -> Arrays:
        """Call it with other arrays in the place of what it closes over."""
        return jax.core.eval_jaxpr(self.jaxpr, consts, *args)


class Loop(NamedTuple):
    """`cond(*arrays)` gives `[pred]`, and `body(pred, *arrays)` the arrays after one step.

    Under `vmap`, `pred` says of each member whether it takes the step. `marking` is the body with an
    array more for each buffer, which becomes True where the buffer is written.
    """

    cond: Function
    body: Function
    marking: Function
    init: Arrays
    structure: Any
    is_buffer: Sequence[bool]

    def finished(self, arrays: Arrays) -> Any:
        """The PyTree of what the loop ended with."""
        return jtu.tree_unflatten(self.structure, arrays)


def traced(
    cond_fun: Callable[..., Any],
    body_fun: Callable[..., Any],
    init_val: Any,
    buffers: Callable[[Any], Any] | None,
) -> Loop:
    """Trace a loop.

    **Raises:** `TypeError` for a leaf that is no array, and for a condition that is not one bool;
    `ValueError` if the body returns another structure, shape or dtype.
    """
    init, structure = jtu.tree_flatten(_as_arrays(init_val))
    written = named_buffers(jtu.tree_unflatten(structure, init), buffers)

    def wrapped(pred: Any, arrays: Sequence[Any], marks: Sequence[Any]) -> Any:
        return jtu.tree_unflatten(structure, in_buffers(arrays, written, pred, marks))

    def cond(*arrays: Any) -> list[Any]:
        return [_checked_pred(cond_fun(wrapped(jnp.array(True), arrays, no_marks)))]

    def body(pred: Any, *arrays_and_marks: Any) -> list[Any]:
        arrays, marks = arrays_and_marks[: len(init)], arrays_and_marks[len(init) :]
        out = body_fun(wrapped(pred, arrays, marks))
        news, other = jtu.tree_flatten(out, is_leaf=is_buffer)
        are_buffers = list(map(is_buffer, news))
        news = [jnp.asarray(unwrapped(x)) for x in news]
        if other != structure or are_buffers != written or any(map(_differ, arrays, news)):
            raise ValueError(_told(wrapped(pred, arrays, no_marks), out))
        return [
            new if b else select_if_vmap(pred, _strong(new, old), old)
            for new, old, b in zip(news, arrays, written, strict=True)
        ] + marks_in(out)

    no_marks = [None] * len(init)
    init, marking = _settled(body, init, written)
    body_alone = marking.without_last(sum(written)) if any(written) else marking
    return Loop(_function(cond, init), body_alone, marking, init, structure, written)


def in_buffers(
    arrays: Sequence[Any], written: Sequence[bool], pred: Any, marks: Iterable[Any]
) -> list[Any]:
    """The arrays, those that are buffers as [`Buffer`][]s, with a mark for each of these."""
    remaining = iter(marks)
    return [
        Buffer(x, pred, next(remaining)) if b else x for x, b in zip(arrays, written, strict=True)
    ]


def _function(function: Callable[..., Any], args: Arrays) -> Function:
    closed = jax.make_jaxpr(function)(*args)
    return Function(closed.jaxpr, closed.consts)


def _settled(
    body: Callable[..., Any], init: Arrays, written: Sequence[bool]
) -> tuple[Arrays, Function]:
    """Trace the body on a state that comes back with the weak types it begins with.

    What does not, is given a strong type, and the body traced again.
    """
    while True:
        marks = [
            jax.ShapeDtypeStruct(x.shape, bool) for x, b in zip(init, written, strict=True) if b
        ]
        function = _function(body, [jnp.array(True), *init, *marks])
        outs = [var.aval for var in function.jaxpr.outvars[: len(init)]]
        lost = [_is_weak(x) and not _is_weak(out) for x, out in zip(init, outs, strict=True)]
        if not any(lost):
            return init, function
        init = [_strengthened(x) if gone else x for x, gone in zip(init, lost, strict=True)]


def _as_arrays(tree: Any) -> Any:
    def convert(path: Any, leaf: Any) -> Any:
        if is_array_like(leaf):
            return jnp.asarray(leaf)
        message = (
            f"A loop carries arrays; `init_val{jtu.keystr(path)}` is `{leaf!r}`, which is none. "
            "Close over it instead, or use `filter_while_loop`."
        )
        raise TypeError(message)

    return jtu.tree_map_with_path(convert, tree)


def named_buffers(tree: Any, buffers: Callable[[Any], Any] | None) -> list[bool]:
    """Whether each leaf is one of those that `buffers` gives.

    **Raises:** `ValueError` if it gives anything else.
    """
    marks, structure = [object() for _ in jax.tree.leaves(tree)], jax.tree.structure(tree)
    if buffers is None:
        return [False] * len(marks)
    chosen = jax.tree.leaves(buffers(jtu.tree_unflatten(structure, marks)))
    for leaf in chosen:
        if not any(leaf is mark for mark in marks):
            message = (
                f"`buffers` must give arrays of the state, or nodes of arrays; it gave {leaf!r}. "
                "Write it with attributes and items alone, as in `lambda state: state[1]`."
            )
            raise ValueError(message)
    return [any(mark is leaf for leaf in chosen) for mark in marks]


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


def _strong(new: Any, old: Any) -> Any:
    """The new value, without a weak type where the old one has none."""
    return _strengthened(new) if _is_weak(new) and not _is_weak(old) else new


def _strengthened(x: Any) -> Any:
    return jax.lax.convert_element_type(x, x.dtype)


def _is_weak(x: Any) -> bool:
    return getattr(x, "weak_type", False)  # a PRNG key has no such attribute
