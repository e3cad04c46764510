"""Evaluate a program and carry the marked values out of it, however deep inside they are.

What holds no marks is bound as it was. Around marks the loops, compiled calls and checkpoints are
made anew, with the marked values among their results; and with what is to be added there among
their arguments.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Sharding

from ..shared._jax import (
    ClosedJaxpr,
    Jaxpr,
    Literal,
    bind_with,
    opened,
    scan_counts,
    struct_of_aval,
)
from ..shared._jaxprs import inner_jaxprs
from ..shared._marks import mark_p
from ._found import CHECKPOINTS, JITS, closed_jaxpr_of, found_in, holds, is_ours, is_second_time

Values = list[list[Any]]
"""The marked arrays, mark by mark."""

Shifts = Sequence[list[Any] | None]
"""For each mark what is added to the marked arrays, if anything is."""


def carried_out(
    jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], shifts: Shifts, level: int
) -> tuple[list[Any], Values]:
    """The results of a program, and the values that are marked for the calls of one level.

    `shifts` has a member for each mark that `found_in` gives, and so have the values.
    """
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    values: Values = []

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = list(map(read, equation.invars))
        own = shifts[len(values) :]
        out, inside = _evaluated(equation, operands, own, level)
        values += inside
        known.update(zip(equation.outvars, out, strict=True))
    return list(map(read, jaxpr.outvars)), values


def _evaluated(
    equation: Any, operands: list[Any], shifts: Shifts, level: int
) -> tuple[list[Any], Values]:
    """The results of one equation, and the marked values in it."""
    primitive, params = equation.primitive, equation.params
    if primitive is mark_p and is_ours(params["label"], level):
        arrays = _added(operands, shifts[0])
        return arrays, [arrays]
    inner = [it for it in inner_jaxprs(params.values()) if holds(it, level)]
    if not inner or is_second_time(equation):
        out = bind_with(primitive, operands, params)
        return (out if primitive.multiple_results else [out]), []
    shifts = shifts[: len(found_in(inner[0], level))]
    name, closed = closed_jaxpr_of(equation)
    run = functools.partial(_run, closed, level)
    if primitive.name == "scan":
        return _scanned(run, params, operands, shifts)
    if primitive.name in JITS:
        return _jitted(run, params, operands, shifts)
    if primitive.name in CHECKPOINTS:
        kept = jax.checkpoint(run, prevent_cse=params["prevent_cse"], policy=params["policy"])
        return kept(operands, shifts)
    # A function with a derivative of its own keeps it; the values come from one more evaluation.
    _, values = run(operands, shifts)
    bare = {**params, name: _without_marks(closed, level)}
    return bind_with(primitive, operands, bare), values


def _run(closed: Any, level: int, args: list[Any], shifts: Shifts) -> tuple[list[Any], Values]:
    jaxpr, consts = opened(closed) if isinstance(closed, ClosedJaxpr) else (closed, [])
    return carried_out(jaxpr, consts, args, shifts, level)


def _added(arrays: list[Any], shift: list[Any] | None) -> list[Any]:
    if shift is None:
        return arrays
    return [x if by is None else x + by for x, by in zip(arrays, shift, strict=True)]


def _scanned(
    run: Callable[..., Any], params: Any, operands: list[Any], shifts: Shifts
) -> tuple[list[Any], Values]:
    """A scan, with the values of all steps."""
    consts, carried = scan_counts(params)

    def step(carry: list[Any], row: Any) -> tuple[list[Any], Any]:
        xs, shifts = row
        out, values = run([*operands[:consts], *carry, *xs], shifts)
        return out[:carried], (out[carried:], values)

    init, xs = operands[consts : consts + carried], operands[consts + carried :]
    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    carry, (ys, values) = jax.lax.scan(step, init, (xs, list(shifts)), **options)
    return [*carry, *ys], values


def _jitted(
    run: Callable[..., Any], params: Any, operands: list[Any], shifts: Shifts
) -> tuple[list[Any], Values]:
    """A compiled call, with what it says of where its arrays lie."""
    placed = _placed(operands, params.get("in_shardings"))

    def called(operands: list[Any], shifts: Shifts) -> tuple[list[Any], Values]:
        out, values = run(operands, shifts)
        return _placed(out, params.get("out_shardings")), values

    called.__name__ = str(params.get("name", "called"))
    return jax.jit(called)(placed, list(shifts))


def _placed(arrays: list[Any], shardings: Any) -> list[Any]:
    if shardings is None or not any(isinstance(it, Sharding) for it in shardings):
        return arrays
    return [
        jax.lax.with_sharding_constraint(x, it) if isinstance(it, Sharding) else x
        for x, it in zip(arrays, shardings, strict=True)
    ]


def _without_marks(closed: Any, level: int) -> Any:
    shifts = [None] * len(found_in(inner_jaxprs([closed])[0], level))
    structs = list(map(struct_of_aval, closed.in_avals))
    return jax.make_jaxpr(lambda *args: _run(closed, level, list(args), shifts)[0])(*structs)
