"""What grows in the same way on each side: variants of a static field, and wrapped functions."""

import itertools
from collections.abc import Callable
from typing import Any

from sides.settings import X, fresh

Lines = dict[str, Callable[[], Any]]


def ignore(model: Any, x: Any) -> Any:
    """What is jitted: it does so little that the call is all there is to time."""
    return x


def echo(x: Any) -> Any:
    return x


def variants(call: Callable[[Any, Any], Any], make: Callable[[int], Any]) -> Callable[..., Lines]:
    """Call what `make` gives for one number after another, each with a program of its own."""
    made: list[Any] = []

    def at(size: int) -> Lines:
        for number in range(len(made), size):
            made.append(make(number))
            call(made[-1], X)
        turn, newest = itertools.cycle(made), made[-1]
        return {"one": lambda: call(newest, X), "turn": lambda: call(next(turn), X)}

    return at


def functions(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[..., Lines]:
    """Wrap one new function after another, and call each once."""
    made: list[Callable[..., Any]] = []

    def at(size: int) -> Lines:
        while len(made) < size:
            made.append(wrap(fresh(echo)))
            made[-1](X)
        turn, newest = itertools.cycle(made), made[-1]
        return {
            "wrap": lambda: wrap(fresh(echo)),
            "one": lambda: newest(X),
            "turn": lambda: next(turn)(X),
        }

    return at
