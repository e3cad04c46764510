"""Donated inputs: which they are, none of them twice, and JAX's warning kept quiet if asked."""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

_local = threading.local()


def refuse_donated_twice(
    dynamic: Sequence[Any], donated: Sequence[int], names: Callable[[], Sequence[str]]
) -> None:
    """Refuse an array that is donated and passed a second time, naming both places.

    **Raises:** `ValueError`.
    """
    if len(set(map(id, dynamic))) == len(dynamic):
        return
    first: dict[int, int] = {}
    for i, array in enumerate(dynamic):
        earlier = first.setdefault(id(array), i)
        real = isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer)
        if earlier != i and real and (i in donated or earlier in donated):
            told = names()
            message = (
                f"`{told[earlier]}` and `{told[i]}` are one array, and it is donated: its memory "
                "can be given up once only. Pass a copy (`jnp.copy`) as one of them, or leave it "
                "out of what is donated, as with `donate='all-except-first'`."
            )
            raise ValueError(message)


def begin_quiet() -> None:
    """Hide, until `end_quiet`, the warning that a donated buffer was of no use.

    Called while tracing: it is the compilation that follows which warns, and so a call that
    compiles nothing pays nothing.
    """
    context = warnings.catch_warnings()
    context.__enter__()
    warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
    _contexts().append(context)


def end_quiet() -> None:
    """End what `begin_quiet` began in this thread, if anything."""
    contexts = _contexts()
    while contexts:
        contexts.pop().__exit__(None, None, None)


def _contexts() -> list[Any]:
    if not hasattr(_local, "contexts"):
        _local.contexts = []
    return _local.contexts
