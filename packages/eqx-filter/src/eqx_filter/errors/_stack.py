"""Where a check was written: the user's frames, kept without what they hold."""

import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_PACKAGES = ("jax", "jaxlib", "equinox", "eqx_filter", "eqx_pytree", "eqx_nn", "jaxtyping")
_MOST_FRAMES = 20


class Place(NamedTuple):
    """A line of the user's."""

    filename: str
    line: int
    function: str


class Stack:
    """The user's lines that lead to a check, its own last; equal where the lines are."""

    __slots__ = ("places",)

    def __init__(self, places: tuple[Place, ...] = ()) -> None:
        self.places = places

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stack) and self.places == other.places

    def __hash__(self) -> int:
        return hash(self.places)

    def __repr__(self) -> str:
        if not self.places:
            return "<unknown>"
        last = self.places[-1]
        return f"{os.path.basename(last.filename)}:{last.line} ({last.function})"  # noqa: PTH119

    def traceback(self) -> types.TracebackType | None:
        """The lines as a traceback, of frames that hold nothing."""
        traceback = None
        for place in reversed(self.places):
            traceback = types.TracebackType(traceback, _frame_at(place), -1, place.line)
        return traceback


_boundaries: set[types.CodeType] = set()
_runners: set[types.CodeType] = set()


def boundary(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that traces: what called it says nothing of a program that is cached."""
    _boundaries.add(function.__code__)
    return function


def runner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that compiles and runs programs, and asks for what was recorded."""
    _runners.add(function.__code__)
    return function


def called_by_filter_jit() -> bool:
    """Whether what is compiled at present is compiled by a function that is marked so."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code in _runners:
            return True
        frame = frame.f_back
    return False


def caller_stack() -> Stack:
    """The user's frames of this thread, from the nearest boundary on."""
    return Stack(tuple(reversed(list(_places()))))


def _places() -> Iterator[Place]:
    frame = sys._getframe(1)
    found = 0
    while frame is not None and frame.f_code not in _boundaries and found < _MOST_FRAMES:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _PACKAGES:
            found += 1
            yield Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back


class _Stop(Exception):  # noqa: N818
    """Ends a frame as soon as it is made."""


def _stop() -> None:
    raise _Stop


def _frame_at(place: Place) -> types.FrameType:
    code = _stop.__code__.replace(
        co_filename=place.filename,
        co_firstlineno=place.line,
        co_name=place.function,
        co_qualname=place.function,
    )
    try:
        types.FunctionType(code, {"_Stop": _Stop})()
    except _Stop as stop:
        return stop.__traceback__.tb_next.tb_frame
    raise AssertionError
