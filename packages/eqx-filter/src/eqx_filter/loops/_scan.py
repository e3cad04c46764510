"""`scan` of a chosen kind, and `scan_trick`, which compiles a function called many times once."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import lax

from ..shared._jax import zeros_of_rows
from ..shared._marks import is_being_marked, is_marked
from ..shared._predicates import is_number_or_array
from ._buffers import is_buffer
from ._state import State
from ._while import Kind, while_loop

T = TypeVar("T")


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None = None,
    *,
    buffers: Callable[[Any], Any] | None = None,
    kind: Kind,
    checkpoints: int | Literal["all"] | None = None,
) -> tuple[Any, Any]:
    """Carry a state over the leading axis of `xs`, as `jax.lax.scan` does.

    **Arguments:**

    - `f`: from the state and one element of `xs` to the next state and one of `ys`.
    - `init`: the first state, a PyTree of arrays and numbers.
    - `xs`: a PyTree of arrays of one length, or None.
    - `length`: of `xs`; needed where there are none.
    - `buffers`, `kind`, `checkpoints`: as in `while_loop`, but `"lax"` is `jax.lax.scan`, as is
        `"checkpointed"` with `checkpoints="all"`, which keeps what each step needs.

    **Returns:** the last state, and the stacked `ys`.

    **Raises:** `ValueError` for another kind, for an array in `xs` without an axis, and for lengths
    that differ or are not known; `TypeError` for a length that is no integer; what `while_loop`
    raises.
    """
    if kind not in ("lax", "bounded", "checkpointed"):
        message = f"Unrecognised kind of scan {kind!r}: use 'lax', 'bounded' or 'checkpointed'."
        raise ValueError(message)
    _refuse_scalars(xs)
    if kind == "lax" or checkpoints == "all" or _length(xs, length) == 0:
        return lax.scan(_on_buffers(f, buffers), init, xs, length)
    count = _length(xs, length)
    init, xs = jax.tree.map(jnp.asarray, (init, xs))
    first = jax.tree.map(lambda x: x[0], xs)
    if is_being_marked() and is_marked(jax.make_jaxpr(_on_buffers(f, buffers))(init, first).jaxpr):
        # What is marked is read from the steps of a plain scan.
        return lax.scan(_on_buffers(f, buffers), init, xs, length)
    _, one_y = jax.eval_shape(_on_buffers(f, buffers), init, first)
    ys = jax.tree.map(lambda y: zeros_of_rows(count, y), one_y)

    def body(carry: Any) -> Any:
        i, state, ys, xs = carry
        state, y = f(state, jax.tree.map(lambda x: x[i], xs, is_leaf=is_buffer))
        places, structure = jtu.tree_flatten(ys, is_leaf=is_buffer)
        news = [place.at[i].set(new) for place, new in zip(places, jax.tree.leaves(y), strict=True)]
        return i + 1, state, jtu.tree_unflatten(structure, news), xs

    _, state, ys, _ = while_loop(
        lambda carry: carry[0] < count,
        body,
        (jnp.array(0, jnp.int32), init, ys, xs),
        max_steps=count,
        buffers=lambda carry: ([] if buffers is None else buffers(carry[1]), carry[2], carry[3]),
        kind=kind,
        checkpoints=checkpoints,
    )
    return state, ys


def _on_buffers(f: Callable[..., Any], buffers: Callable[[Any], Any] | None) -> Callable[..., Any]:
    """The function of a state of arrays, of which those that `buffers` gives reach it as such."""
    if buffers is None:
        return f

    def on_arrays(init: Any, x: Any) -> Any:
        state = State(init, buffers)
        out, y = f(state.tree(state.first, jnp.array(True)), x)
        found = state.arrays(out)
        return (out if found is None else state.finished(found[0])), y

    return on_arrays


def _length(xs: Any, length: int | None) -> int:
    lengths = {x.shape[0] for x in map(jnp.asarray, jax.tree.leaves(xs))}
    lengths |= set() if length is None else {_checked_length(length)}
    if len(lengths) != 1:
        found = ", ".join(map(str, sorted(lengths))) or "none"
        message = f"`scan` needs one length, that of `xs` or `length`; got {found}."
        raise ValueError(message)
    return lengths.pop()


def _checked_length(length: Any) -> int:
    message = f"`length` must be a number of elements, an integer of at least 0; it is {length!r}."
    try:
        length = operator.index(length)
    except TypeError:
        raise TypeError(message) from None
    if length < 0:
        raise ValueError(message)
    return length


def _refuse_scalars(xs: Any) -> None:
    if not any(map(_is_scalar, jtu.tree_leaves(xs))):
        return
    path = next(path for path, x in jtu.tree_leaves_with_path(xs) if _is_scalar(x))
    message = (
        "`scan` goes through the first axis of each array in `xs`; "
        f"`xs{jtu.keystr(path)}` has shape (). Close over it instead."
    )
    raise ValueError(message)


def _is_scalar(x: Any) -> bool:
    return is_number_or_array(x) and jnp.ndim(x) == 0


def scan_trick(fn: Callable[[T], T], intermediates: Sequence[Callable[[T], T]], init: T) -> T:
    """Call `fn` between and around the `intermediates`, and compile it once.

        x = fn(init)
        for between in intermediates:
            x = fn(between(x))

    **Arguments:** functions from a PyTree of arrays to one of equal structure, shapes and dtypes,
    and the first of them. **Returns:** the last.
    """
    starts = [lambda x: x, *intermediates]

    def step(x: T, i: Any) -> tuple[T, None]:
        return fn(lax.switch(i, starts, x)), None

    return lax.scan(step, jax.tree.map(jnp.asarray, init), jnp.arange(len(starts)))[0]
