"""Donated inputs: which they are, none of them twice, and JAX's warning kept quiet if asked."""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

_UNUSABLE = "(?#eqx_filter)Some donated buffers were not usable"


class _Filter:
    """One warning filter for all threads, put in by the first and taken out by the last.

    `warnings.catch_warnings` would put back what another thread had when it began.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0

    def add_user(self) -> None:
        with self.lock:
            self.users += 1
            warnings.filterwarnings("ignore", message=_UNUSABLE)  # anew: filters are swapped out

    def drop_user(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                for entry in [entry for entry in warnings.filters if _is_ours(entry)]:
                    warnings.filters.remove(entry)  # type: ignore[attr-defined]


class _Local(threading.local):
    """How often this thread uses the filter."""

    depth = 0


_filter = _Filter()
_local = _Local()


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
    """Hide the warning that a donated buffer was of no use, until `quiet_ends_here` ends.

    Called while tracing: it is the compilation that follows which warns, and so a call that
    compiles nothing pays nothing.
    """
    _filter.add_user()
    _local.depth += 1


@contextlib.contextmanager
def quiet_ends_here() -> Iterator[None]:
    """End what `begin_quiet` began in this thread since this began."""
    depth = _local.depth
    try:
        yield
    finally:
        while _local.depth > depth:
            _local.depth -= 1
            _filter.drop_user()


def _is_ours(entry: Any) -> bool:
    return getattr(entry[1], "pattern", None) == _UNUSABLE
