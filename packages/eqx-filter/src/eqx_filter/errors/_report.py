"""What is said of a check that failed, and how it comes from the device's thread to the caller's.

JAX makes an error of its own of what a callback raises, and keeps the text alone. So the text holds
a number, by which the error itself is found again.
"""

import itertools
import re
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..shared._jax import quiet_callbacks
from ..shared._processes import Devices, texts_of_all
from ._classes import EquinoxRuntimeError
from ._stack import Stack

_MOST_WAITING = 256
_NAN = np.float32(np.nan), np.int32(0)
_MARK = re.compile(r"\(check (\d+)\)")
_numbers = itertools.count()
_waiting: "OrderedDict[int, EquinoxRuntimeError]" = OrderedDict()
_recorded: dict["Check", list[EquinoxRuntimeError]] = {}


class _FailedError(EquinoxRuntimeError):
    """What a callback raises; `filter_jit` replaces it by the error that it stands for."""


quiet_callbacks(_FailedError)


class Check:
    """A check: what it says, and where it is written. Two are never equal.

    `records` says that some program notes its failures instead of ending.
    """

    __slots__ = ("__weakref__", "messages", "number", "records", "stack")

    def __init__(self, messages: Sequence[str], stack: Stack) -> None:
        self.messages = messages
        self.stack = stack
        self.records = False
        self.number = next(_numbers)
        _checks[self.number] = self

    def __repr__(self) -> str:
        return repr(self.stack)


_checks: "weakref.WeakValueDictionary[int, Check]" = weakref.WeakValueDictionary()


def failure(check: Check, failed: np.ndarray, index: np.ndarray) -> EquinoxRuntimeError:
    """The error for what failed: of each place in a batch, in order."""
    texts = []
    for place in np.argwhere(failed):
        text = message_at(check.messages, int(index[tuple(place)]))
        at = ", ".join(map(str, place)) + ("," if len(place) == 1 else "")
        texts.append(f"Batch index ({at}) had error:\n{text}" if place.size else text)
    error = EquinoxRuntimeError("\n\n".join(texts) + f"\n\n{_advice(check.stack)}")
    return error.with_traceback(check.stack.traceback())


def fail(number: Any, failed: Any, index: Any) -> NoReturn:
    """Raise the error for what failed inside of a callback.

    **Raises:** an `EquinoxRuntimeError` with a number.
    """
    error = failure(_checks[int(number)], np.asarray(failed), np.asarray(index))
    mark = next(_numbers)
    _waiting[mark] = error
    while len(_waiting) > _MOST_WAITING:  # under `jax.jit` nobody comes for them
        _waiting.popitem(last=False)
    message = (
        f"{error}\nWith `filter_jit` instead of `jax.jit` no more than this is shown. "
        f"(check {mark})"
    )
    raise _FailedError(message)


def record(number: Any, failed: Any, index: Any) -> Any:
    """Note the error for what failed, and let the program go on, with NaN and 0 for its arrays."""
    check = _checks[int(number)]
    error = failure(check, np.asarray(failed), np.asarray(index))
    _recorded.setdefault(check, []).append(error)
    return _NAN


def print_failure(number: Any, failed: Any, index: Any) -> Any:
    """Print the error for what failed, and let the program go on as `record` does."""
    error = failure(_checks[int(number)], np.asarray(failed), np.asarray(index))
    message = (
        f"{type(error).__name__}: {error}\nUnder `jax.jit` on several devices it cannot be raised, "
        "and NaN goes on in the place of arrays. Use `filter_jit`, which raises it."
    )
    print(message, file=sys.stderr, flush=True)
    return _NAN


def raise_recorded(checks: Iterable[Check], devices: Devices = ()) -> None:
    """Raise the error that one of these checks noted first, if any did, and forget all of them.

    Of a program that ran on the devices of several processes, each raises what one of them noted:
    if one went on alone, the next program would wait for the others for ever.

    **Raises:** `EquinoxRuntimeError`.
    """
    found: list[EquinoxRuntimeError] = []
    if _recorded:
        found = [error for check in checks for error in _recorded.pop(check, ())]
    texts = texts_of_all(str(found[0]) if found else "", devices) if devices else []
    if found:
        raise found[0] from None
    for device, text in zip(devices, texts, strict=True):
        if text:
            message = f"{text}\nIt was process {device.process_index} that found it."
            raise EquinoxRuntimeError(message)


def raise_failure(error: BaseException) -> None:
    """Raise the error of the check that JAX's error is of, if it is of one.

    **Raises:** `EquinoxRuntimeError`.
    """
    found = [_waiting.pop(int(number), None) for number in _MARK.findall(str(error))]
    for mine in found:
        if mine is not None:
            raise mine from None


def message_at(messages: Sequence[str], index: int) -> str:
    """The message of an index, or of the nearest that is in range."""
    return messages[min(max(index, -len(messages)), len(messages) - 1)]


def _advice(stack: Stack) -> str:
    return (
        f"This was found at run time by the check at {stack!r}. To look around there, set the "
        "environment variable `EQX_ON_ERROR=breakpoint`."
    )
