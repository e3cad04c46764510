"""What grows in the same way on each side: variants, wrapped functions, tokens of attention."""

import itertools
from collections.abc import Callable
from typing import Any

import jax

from sides import Lines
from sides.settings import HEADS, ROOM, X, fresh, tokens


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


def attention(
    full: Callable[..., jax.Array], causal: Callable[..., jax.Array], *, in_blocks: bool = False
) -> Callable[[int], Lines]:
    """Attend from queries to keys and values, `(length, heads, size)`, where memory suffices.

    Unless it goes `in_blocks`, what holds all weights counts too: XLA's own kernels take it untold.
    """

    def gradient(attend: Callable[..., jax.Array]) -> Callable[..., Any]:
        return jax.grad(lambda *arrays: attend(*arrays).sum(), (0, 1, 2))

    def at(size: int) -> Lines:
        arrays, lines = tokens(size), {}
        functions = {"forward": full, "gradient": gradient(full), "causal": gradient(causal)}
        for name, function in functions.items():
            program = jax.jit(function).lower(*arrays).compile()
            needed = program.memory_analysis().temp_size_in_bytes
            weights = 0 if in_blocks else 2 * HEADS * size**2 * arrays[0].itemsize
            if max(needed, weights) < ROOM:
                lines[name] = lambda run=program: jax.block_until_ready(run(*arrays))
            if name == "gradient":
                lines["temporary"] = float(needed)
        return lines

    return at
