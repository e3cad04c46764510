"""Progress meters: tell on the host how far a compiled loop is.

A meter has a state, made by `init`, passed through `step` in a loop's carry, and ended by `close`.
What is told goes through `jax.pure_callback`, which hands on the number of the meter, so that one
telling comes after the other. Where there is a batch, the meter tells of its slowest member, once.
"""

import abc
import functools
import itertools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from eqx_pytree import Module

from ..rules import unvmap_any, unvmap_max

_State = TypeVar("_State")
_numbers = itertools.count()
_bars: dict[int, Any] = {}


class AbstractProgressMeter(Module, Generic[_State]):
    """Base class of progress meters. Methods may be called under `jit`, `vmap` and in loops."""

    @abc.abstractmethod
    def init(self) -> _State:
        """Begin. **Returns:** the state, a PyTree of arrays that a loop may carry."""

    @abc.abstractmethod
    def step(self, state: _State, progress: Any) -> _State:
        """Go on.

        **Arguments:**

        - `state`: what `init` or `step` returned.
        - `progress`: a number from 0 to 1, or an array of any shape, of which the least counts.

        **Returns:** the new state, of the same shapes and dtypes.
        """

    @abc.abstractmethod
    def close(self, state: _State) -> None:
        """End; `state` is what `step` returned last."""


class NoProgressMeter(AbstractProgressMeter[None]):
    """Tells nothing. Its state is None."""

    def init(self) -> None:
        """Give None."""
        return

    def step(self, state: None, progress: Any) -> None:
        """Give the state."""
        del progress
        return state

    def close(self, state: None) -> None:
        """Do nothing."""


class _TextProgressMeterState(Module):
    """The progress told last, and the number of the meter: float and int32, of shape `()`."""

    progress: Any
    meter_idx: Any


class TextProgressMeter(AbstractProgressMeter[_TextProgressMeterState]):
    """Prints the progress as a percentage, a line each.

    **Arguments:**

    - `minimum_increase`: print only if there is more progress than this since the last line.
    """

    minimum_increase: Any = 0.02

    def init(self) -> _TextProgressMeterState:
        """Print `0.00%`."""
        number = _tell(_print_first)
        return _TextProgressMeterState(jnp.zeros(()), number)

    def step(self, state: _TextProgressMeterState, progress: Any) -> _TextProgressMeterState:
        """Print the progress, if it is enough since the last line."""
        told, number = unvmap_max(state.progress), unvmap_max(state.meter_idx)
        progress = _least(progress).astype(told.dtype)
        due = unvmap_any(progress - told > self.minimum_increase)
        number = _tell_if(due, _print, number, progress)
        return _TextProgressMeterState(jnp.where(due, progress, told), number)

    def close(self, state: _TextProgressMeterState) -> None:
        """Print `100.00%`, if that is not what was printed last."""
        told, number = unvmap_max(state.progress), unvmap_max(state.meter_idx)
        jax.debug.callback(_print_last, number, told)


class _TqdmProgressMeterState(Module):
    """The number of the meter, and of steps so far: int32, of shape `()`."""

    meter_idx: Any
    step: Any


class TqdmProgressMeter(AbstractProgressMeter[_TqdmProgressMeterState]):
    """Shows the progress as a bar of the package `tqdm`.

    **Arguments:**

    - `refresh_steps`: draw the bar again each so many steps.

    **Raises:** `ValueError` if `tqdm` is not installed.
    """

    refresh_steps: Any = 20

    def __check_init__(self) -> None:
        """Look for `tqdm` before any program is compiled."""
        try:
            import tqdm  # noqa: F401
        except ImportError as error:
            message = (
                "`TqdmProgressMeter` draws with the package `tqdm`, which is not installed. "
                "Install it with `pip install tqdm`, or use `TextProgressMeter`."
            )
            raise ValueError(message) from error

    def init(self) -> _TqdmProgressMeterState:
        """Open a bar at 0%."""
        return _TqdmProgressMeterState(_tell(_open_bar), jnp.zeros((), np.int32))

    def step(self, state: _TqdmProgressMeterState, progress: Any) -> _TqdmProgressMeterState:
        """Draw the bar again, if this is the first step, or enough since it was drawn."""
        steps, number = unvmap_max(state.step), unvmap_max(state.meter_idx)
        due = unvmap_any(steps % self.refresh_steps == 0)
        number = _tell_if(due, _move_bar, number, _least(progress))
        return _TqdmProgressMeterState(number, steps + 1)

    def close(self, state: _TqdmProgressMeterState) -> None:
        """Set the bar to 100% and leave it."""
        jax.debug.callback(_close_bar, unvmap_max(state.meter_idx))


def _least(progress: Any) -> jax.Array:
    """The least progress of the batch, without a derivative."""
    progress = jnp.asarray(progress)
    if not jnp.issubdtype(progress.dtype, jnp.floating):
        progress = progress.astype(float)
    return -unvmap_max(-progress)


def _tell(do: Callable[..., Any], *operands: jax.Array) -> jax.Array:
    # Each time another `partial`: the compiler may make one of two callbacks that are the same.
    return jax.pure_callback(functools.partial(do), jax.ShapeDtypeStruct((), np.int32), *operands)


def _tell_if(
    due: jax.Array, do: Callable[..., Any], number: jax.Array, progress: jax.Array
) -> jax.Array:
    return jax.lax.cond(due, lambda: _tell(do, number, progress), lambda: number)


def _print_first() -> Any:
    print("0.00%")
    return np.int32(next(_numbers))


def _print(number: Any, progress: Any) -> Any:
    print(f"{100 * float(progress):.2f}%")
    return np.int32(number)


def _print_last(number: Any, told: Any) -> None:
    if float(told) != 1:
        _print(number, 1)


def _open_bar() -> Any:
    import tqdm

    number = next(_numbers)
    bar_format = "{percentage:.2f}%|{bar}| [{elapsed}<{remaining}, {rate_fmt}]"
    _bars[number] = tqdm.tqdm(total=100, unit="%", bar_format=bar_format)
    return np.int32(number)


def _move_bar(number: Any, progress: Any) -> Any:
    bar, percentage = _bars.get(int(number)), 100 * float(progress)
    if bar is not None and not np.isnan(percentage):  # None once it was closed
        bar.n = round(min(max(percentage, 0), 100), 2)
        bar.refresh()
    return np.int32(number)


def _close_bar(number: Any) -> None:
    bar = _bars.pop(int(number), None)
    if bar is not None:
        bar.n = 100.0
        bar.close()
