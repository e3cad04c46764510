"""`explain_retrace`: why a jitted function is traced or compiled again."""

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import jax

from ..compiled import _programs
from ..compiled._cache import programs_of
from ..compiled._jit import JitWrapper
from ..compiled._programs import Program, asked_by_environment, aval_of
from ..shared._naming import function_name, named_arguments
from ._calls import ArrayLeaf, Call, StaticLeaf, nearest

_F = TypeVar("_F", bound=Callable[..., Any])
Report = Callable[[str], object]

_reports: contextvars.ContextVar[Report | None] = contextvars.ContextVar("reports", default=None)
_switching = threading.Lock()


def to_stderr(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr)


class Explainer:
    """Is told by programs of their traces and calls, while anyone has asked."""

    def __init__(self) -> None:
        self.askers = 0

    def traced(self, program: Program, avals: Sequence[Any]) -> None:
        """A program is about to be traced for arrays of these shapes and dtypes."""
        report = _report_for(program)
        if report is None:
            return
        earlier = [
            _call(other, traced) for other in program.plan.programs.all() for traced in other.traces
        ]
        if earlier:
            lines = nearest(_call(program, avals), earlier) or [_SETTINGS]
            report(_text(program, "traced", len(earlier), lines))

    def called(self, program: Program, dynamic: Sequence[Any]) -> None:
        """A program is about to be called; for other shardings it will be compiled again."""
        report = _report_for(program)
        if report is None or any(isinstance(x, jax.core.Tracer) for x in dynamic):
            return
        avals = tuple(map(aval_of, dynamic))
        placed = tuple(x.sharding if getattr(x, "committed", False) else None for x in dynamic)
        if (avals, placed) in program.placements:
            return
        alike = [_call(program, *it) for it in program.placements if it[0] == avals]
        if alike and avals in program.traces:
            lines = nearest(_call(program, avals, placed), alike)
            if lines:
                report(_text(program, "compiled", len(alike), lines))
        program.placements.append((avals, placed))


_explainer = Explainer()


@overload
def explain_retrace(
    fun: None = None, *, report: Report = to_stderr
) -> contextlib.AbstractContextManager[None]: ...


@overload
def explain_retrace(fun: _F, *, report: Report | None = to_stderr) -> _F: ...


def explain_retrace(fun: Any = None, *, report: Report | None = to_stderr) -> Any:
    """Say why functions of `filter_jit` are traced again, and how to avoid it.

    Within `with explain_retrace(): ...`, or for one function after `explain_retrace(function)`,
    each trace but a function's first is explained: by argument and tree path, what differs from the
    nearest earlier call. That is a shape, dtype, weak type, or static value; a function that is a
    new object though its code is the same; the structure. A call that needs no trace and is
    compiled again for another sharding is explained too. With the environment variable
    `EQX_EXPLAIN_RETRACE=1` this is on from the start. Where it is off, calls cost nothing more.

    **Arguments:**

    - `fun`: a function of `filter_jit`. Without it, a context manager is returned; it is on in
        the thread that enters it.
    - `report`: called with each explanation, a text of some lines. By default it is printed to
        standard error. None ends what was asked for one function.

    **Returns:** `fun` itself, or a context manager.

    **Raises:** `TypeError` if `fun` is no function of `filter_jit`, or if `report` cannot be
    called.
    """
    if report is not None and not callable(report):
        message = f"`explain_retrace` takes a function as `report`; {report!r} cannot be called."
        raise TypeError(message)
    if fun is None:
        return _within(report or to_stderr)
    if not isinstance(fun, JitWrapper):
        message = (
            f"`explain_retrace` explains functions of `filter_jit`; `{function_name(fun)}` is a "
            f"`{type(fun).__name__}`. Put it above `@filter_jit`."
        )
        raise TypeError(message)
    programs = programs_of(fun.fun, fun.options)
    _ask((report is not None) - (programs.report is not None))
    programs.report = report
    return fun


@contextlib.contextmanager
def _within(report: Report) -> Iterator[None]:
    token = _reports.set(report)
    _ask(1)
    try:
        yield
    finally:
        _ask(-1)
        _reports.reset(token)


def _ask(count: int) -> None:
    with _switching:
        _explainer.askers += count
        _programs.listener = _explainer if _explainer.askers else None


def _report_for(program: Program) -> Report | None:
    report = _reports.get() or program.plan.programs.report
    return to_stderr if report is None and asked_by_environment() else report


_SETTINGS = (
    "not in its arguments, but JAX's settings have changed (precision, 64 bit, mesh), or its "
    "caches were cleared"
)


def _text(program: Program, what: str, count: int, lines: Sequence[str]) -> str:
    earlier = "the earlier call" if count == 1 else f"the nearest of {count} earlier calls"
    told = "\n".join(f"  {line}." for line in lines)
    return f"`{program.plan.programs.name}` is {what} again. It differs from {earlier}:\n{told}"


def _call(program: Program, avals: Sequence[Any], placed: Sequence[Any] | None = None) -> Call:
    placed = placed or [None] * len(avals)
    arrays = [ArrayLeaf(*aval, it) for aval, it in zip(avals, placed, strict=True)]
    tree = program.plan.merge(arrays, list(map(StaticLeaf, program.static)))
    *fun, args, kwargs = tree
    like = program.plan.programs.fun or fun[0]
    held = [(function_name(f), f) for f in fun]
    return Call([*held, *named_arguments(like, args, kwargs)])


if asked_by_environment():
    _ask(1)
