"""`assert_max_traces` and `get_num_traces`: how often a function is traced."""

from collections import deque
from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import field

from ..shared._naming import function_name, named_arguments
from ..shared._wrapper import Wrapper, wrap
from ._calls import Call, describe_leaf, nearest

_MOST_CALLS = 64
"""Calls that are remembered, to explain the one that is too many."""


class Count:
    """What a wrapped function was called with so far; one object however often it is copied."""

    def __init__(self) -> None:
        self.traces = 0
        self.calls: deque[Call] = deque(maxlen=_MOST_CALLS)


class MaxTracesWrapper(Wrapper):
    """A callable that counts its calls, and refuses one too many."""

    max_traces: int | None = field(static=True)
    count: Count = field(static=True, repr=False)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        args_described, kwargs_described = jtu.tree_map(describe_leaf, (args, kwargs))
        call = Call(list(named_arguments(self.fun, args_described, kwargs_described)))
        self.count.traces += 1
        if self.max_traces is not None and self.count.traces > self.max_traces:
            raise RuntimeError(_too_many(self, call))
        self.count.calls.append(call)
        return self.fun(*args, **kwargs)


def assert_max_traces(
    fn: Callable[..., Any] | None = None, *, max_traces: int | None
) -> Callable[..., Any]:
    """Raise an error when a function is traced more often than expected.

    Put it below `filter_jit` or `jax.jit`, which call a function only to trace it:

        @filter_jit
        @debug.assert_max_traces(max_traces=1)
        def step(model, x): ...

    **Arguments:**

    - `fn`: a function. Without it, a decorator is returned.
    - `max_traces`: how often it may be called; None for any number.

    **Returns:** a callable with the signature of `fn`.

    **Raises:** `TypeError` if `fn` cannot be called or `max_traces` is no integer, `ValueError` if
    it is below 0. At a call too many: `RuntimeError`, which says by argument and tree path what
    differs from the nearest earlier call.
    """
    if max_traces is not None and (isinstance(max_traces, bool) or not isinstance(max_traces, int)):
        message = f"`max_traces` must be an integer or None, not {max_traces!r}."
        raise TypeError(message)
    if max_traces is not None and max_traces < 0:
        message = f"`max_traces` must not be below 0; it is {max_traces}."
        raise ValueError(message)
    return wrap("assert_max_traces", lambda fn: MaxTracesWrapper(fn, max_traces, Count()), fn)


def get_num_traces(fn: Callable[..., Any]) -> int:
    """Say how often a function of `assert_max_traces` has been called, so traced.

    **Arguments:** `fn`, the function, or a transformation of it.

    **Returns:** the number of calls.

    **Raises:** `ValueError` if `fn` is not of `assert_max_traces`.
    """
    inner: Any = fn
    while inner is not None:
        if isinstance(inner, MaxTracesWrapper):
            return inner.count.traces
        inner = getattr(inner, "__wrapped__", None)
    message = f"`{function_name(fn)}` is not wrapped with `debug.assert_max_traces`."
    raise ValueError(message)


def _too_many(wrapper: MaxTracesWrapper, call: Call) -> str:
    count = wrapper.count
    begin = (
        f"`{function_name(wrapper.fun)}` can only be traced {wrapper.max_traces} times. However, "
        f"it has now been traced {count.traces} times."
    )
    if not count.calls:
        return begin
    lines = nearest(call, count.calls)
    if not lines:
        return (
            f"{begin} Its arguments are like those of an earlier call: it is called again without "
            "a transformation around it, or JAX's settings have changed."
        )
    told = "\n".join(f"  {line}." for line in lines)
    return f"{begin} It differs from the nearest earlier call:\n{told}"
