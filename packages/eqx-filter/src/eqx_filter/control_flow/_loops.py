"""Loops of `jax.lax` with any PyTree as carry: `filter_scan`, `filter_while_loop` and kin."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..compiled._steps import kept_with
from ..loops import Kind, scan, while_loop
from ..shared._describe import describe_value
from ..shared._naming import function_name, refuse_uncallable
from ..shared._packed import Packed, pack, unpack
from ..shared._predicates import is_array, is_number_or_array
from ._carry import Carry, outline

_RULE = "The carry that `{}` returns must be like the one it is given"


def filter_scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    kind: Kind = "lax",
    checkpoints: int | Literal["all"] | None = None,
) -> tuple[Any, Any]:
    """Go through arrays along their first axis with a carry: `jax.lax.scan` for any PyTrees.

    **Arguments:**

    - `f`: a function `(carry, x) -> (carry, y)`.
    - `init`: the first carry. Its arrays may change from step to step, in their values; leaves that
        are no arrays ride along, and must come back equal.
    - `xs`: what `x` is taken from: each array of shape `(length, ...)`, row by row; other leaves
        are the same in each step. None for no such thing.
    - `length`, `reverse`, `unroll`: as in `jax.lax.scan`; the last two are for `"lax"` alone.
    - `kind`, `checkpoints`: by how it is to be differentiated, as in `eqx_filter.loops.scan`.

    **Returns:** `(carry, ys)`: the last carry, and the `y` of all steps, with each array of shape
    `(length, ...)`; leaves that are no arrays are as `f` gave them.

    **Raises:** `TypeError` naming by its path what changed in the carry, its structure or a leaf,
    and if `f` returns no pair; `ValueError` if the arrays in `xs` have different lengths, or there
    are none and no `length`, and for options that the kind does not have.
    """
    refuse_uncallable("filter_scan", f=f)
    _refuse_lengths(xs, length)
    _refuse_others_options(kind, checkpoints)
    options = {"kind": kind, "checkpoints": checkpoints}
    if kind != "lax" and (reverse or unroll != 1):
        message = (
            f"`reverse` and `unroll` are options of kind='lax'; this is kind={kind!r}. Reverse "
            "`xs`, with `jax.numpy.flip`, and what comes back."
        )
        raise ValueError(message)
    first, rows = pack(init), pack(xs)

    def make() -> tuple[Carry, Callable[..., Any]]:
        carry, layouts = Carry(_RULE, "carry", outline(first)), (first.layout, rows.layout)

        def step(arrays: list[Any], row: list[Any]) -> tuple[list[Any], Packed]:
            returned = f(unpack(layouts[0], arrays), unpack(layouts[1], row))
            if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
                message = (
                    f"`{function_name(f)}` must return a pair `(carry, y)`; it returned a "
                    f"`{type(returned).__name__}`."
                )
                raise TypeError(message)
            return carry.take(f, returned[0]), pack(returned[1])

        return carry, step

    carry, step = kept_with(f, "scan", (first, rows), make)

    def make_loop() -> Callable[..., Any]:
        return jax.jit(functools.partial(scan, step, length=length, **options))

    with _naming_changes(carry, f):
        if kind == "lax":
            arrays, ys = jax.lax.scan(
                step, first.arrays, rows.arrays, length, reverse=reverse, unroll=unroll
            )
        else:
            key = "scan", length, *options.values()
            looped = kept_with(f, key, (first, rows), make_loop)
            arrays, ys = looped(list(first.arrays), list(rows.arrays))
    return unpack(first.layout, arrays), ys.unpack()


def filter_while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    kind: Kind = "lax",
    max_steps: int | None = None,
    checkpoints: int | None = None,
    base: int = 16,
) -> Any:
    """Repeat a function while a condition holds: `jax.lax.while_loop` for any PyTree.

    **Arguments:**

    - `cond_fun`: a function `carry -> bool`, of shape `()`.
    - `body_fun`: a function `carry -> carry`.
    - `init_val`: the first carry. Its arrays may change in their values; leaves that are no arrays
        ride along, and must come back equal.
    - `kind`, `max_steps`, `checkpoints`, `base`: by how it is to be differentiated, as in
        `eqx_filter.loops.while_loop`; `"lax"` is not differentiable in reverse mode.

    **Returns:** the last carry.

    **Raises:** `TypeError` naming by its path what changed in the carry, its structure or a leaf,
    and if `cond_fun` returns anything but a bool; `ValueError` for what the kind needs, and for
    options that it does not have.
    """
    refuse_uncallable("filter_while_loop", cond_fun=cond_fun, body_fun=body_fun)
    _refuse_others_options(kind, checkpoints, base)
    first = pack(init_val)
    options = {"kind": kind, "max_steps": max_steps, "checkpoints": checkpoints, "base": base}

    def make_condition() -> Callable[..., Any]:
        layout = first.layout
        return lambda arrays: _checked(cond_fun, cond_fun(unpack(layout, arrays)))

    def make_body() -> tuple[Carry, Callable[..., Any]]:
        carry, layout = Carry(_RULE, "carry", outline(first)), first.layout
        return carry, lambda arrays: carry.take(body_fun, body_fun(unpack(layout, arrays)))

    condition = kept_with(cond_fun, "condition", (first,), make_condition)
    carry, body = kept_with(body_fun, "while", (first,), make_body)

    def make_loop() -> Callable[..., Any]:
        return jax.jit(functools.partial(while_loop, condition, body, **options))

    with _naming_changes(carry, body_fun):
        if kind == "lax" and max_steps is None:
            arrays = jax.lax.while_loop(condition, body, first.arrays)
        else:
            key = "while", condition, *options.values()
            arrays = kept_with(body_fun, key, (first,), make_loop)(list(first.arrays))
    return unpack(first.layout, arrays)


def filter_fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
) -> Any:
    """Repeat a function a number of times: `jax.lax.fori_loop` for any PyTree.

    **Arguments:**

    - `lower`, `upper`: integers; the first argument of `body_fun` goes from `lower` to
        `upper - 1`. Differentiable in reverse mode if both are known when tracing.
    - `body_fun`: a function `(i, carry) -> carry`; `i` is an integer array of shape `()`.
    - `init_val`: the first carry, as in `filter_while_loop`.
    - `unroll`: as in `jax.lax.fori_loop`.

    **Returns:** the last carry.

    **Raises:** `TypeError` naming by its path what changed in the carry, its structure or a leaf,
    and if `lower` or `upper` is no integer.
    """
    refuse_uncallable("filter_fori_loop", body_fun=body_fun)
    for name, bound in (("lower", lower), ("upper", upper)):
        if not is_number_or_array(bound) or not jnp.issubdtype(jnp.result_type(bound), jnp.integer):
            message = f"`{name}` must be an integer; it is {describe_value(bound)}."
            raise TypeError(message)
    first = pack(init_val)

    def make() -> tuple[Carry, Callable[..., Any]]:
        carry, layout = Carry(_RULE, "carry", outline(first)), first.layout
        return carry, lambda i, arrays: carry.take(body_fun, body_fun(i, unpack(layout, arrays)))

    carry, body = kept_with(body_fun, "fori", (first,), make)
    with _naming_changes(carry, body_fun):
        arrays = jax.lax.fori_loop(lower, upper, body, first.arrays, unroll=unroll)
    return unpack(first.layout, arrays)


def filter_map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """Call a function on row after row of arrays: `jax.lax.map` for any PyTrees.

    **Arguments:**

    - `f`: a function of one argument.
    - `xs`: each array of shape `(length, ...)`, taken row by row; other leaves are the same for
        each.
    - `batch_size`: how many rows are computed at once, as in `jax.lax.map`.

    **Returns:** the results, with each array of shape `(length, ...)`; leaves that are no arrays
    are as `f` gave them.

    **Raises:** `ValueError` if the arrays in `xs` have different lengths, or there are none, or if
    `batch_size` is below 1.
    """
    refuse_uncallable("filter_map", f=f)
    if batch_size is not None and batch_size < 1:
        message = f"`batch_size` must be at least 1, or None for row after row; it is {batch_size}."
        raise ValueError(message)
    _refuse_lengths(xs, None)
    rows = pack(xs)

    def of_row(row: list[Any]) -> Packed:
        return pack(f(unpack(rows.layout, row)))

    return jax.lax.map(of_row, list(rows.arrays), batch_size=batch_size).unpack()


def _checked(cond_fun: Any, out: Any) -> Any:
    """What a condition returned.

    **Raises:** `TypeError` if that is no bool.
    """
    if not isinstance(out, bool) and not (is_array(out) and out.shape == () and out.dtype == bool):
        message = (
            f"`{function_name(cond_fun)}` must return a bool, or an array of shape () and dtype "
            f"bool; it returned {describe_value(out)}."
        )
        raise TypeError(message)
    return out


@contextlib.contextmanager
def _naming_changes(carry: Carry, fun: Any) -> Iterator[None]:
    """Say by its path which array changed its type, where JAX finds that one did."""
    try:
        yield
    except (TypeError, ValueError) as error:
        told = carry.why_refused(fun)
        if told is None:
            carry.name_arrays(error)
        if told is None or str(error) == told:
            raise
        raise TypeError(told) from None


def _refuse_others_options(kind: str, checkpoints: Any, base: int = 16) -> None:
    """Refuse what only another kind of loop would look at.

    **Raises:** `ValueError`.
    """
    given = {"checkpoints": checkpoints is not None, "base": base != 16}
    for name, owner in (("checkpoints", "checkpointed"), ("base", "bounded")):
        if given[name] and kind != owner:
            message = (
                f"`{name}` is an option of kind={owner!r}; this is kind={kind!r}. Leave it out, or "
                "choose that kind."
            )
            raise ValueError(message)


def _refuse_lengths(xs: Any, length: int | None) -> None:
    lengths = {} if length is None else {"`length`": length}
    for path, leaf in jtu.tree_flatten_with_path(xs)[0]:
        if hasattr(leaf, "dtype"):
            place = f"`xs{jtu.keystr(path)}`"
            if not leaf.ndim:
                message = f"{place} has shape () and no rows. Pass it apart from `xs`."
                raise ValueError(message)
            lengths[place] = leaf.shape[0]
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{place} has {count}" for place, count in list(lengths.items())[:10])
        message = f"The arrays in `xs` must have one length; {told}."
        raise ValueError(message)
    if not lengths:
        message = "`xs` holds no arrays to take rows of. Pass `length`, or arrays."
        raise ValueError(message)
