"""What `Checkpoints` is given, checked: counts, steps, metrics."""

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

METRICS = "metrics"
"""Of the texts in a file, the one that holds its metrics."""

_MOST = 2**63 - 1


class Best(NamedTuple):
    """Which step is the best: the metric of this name is the least, or the greatest."""

    name: str
    choose: Callable[[Iterable[float]], float]


def as_best(best: Any) -> Best | None:
    if best is None:
        return None
    name, choose = (best, min) if isinstance(best, str) else _pair(best)
    if isinstance(name, str) and (choose is min or choose is max):
        return Best(name, choose)
    message = (
        '`best` of `Checkpoints` is the name of a metric, as "loss", the least of which is the '
        f'best; or a pair of it and `min` or `max`, as ("accuracy", max). Got {best!r}.'
    )
    raise ValueError(message)


def _pair(best: Any) -> tuple[Any, Any]:
    is_pair = isinstance(best, (tuple, list)) and len(best) == 2
    return (best[0], best[1]) if is_pair else (None, None)


def as_count(name: str, count: Any) -> int:
    found = _integer(f"`{name}` of `Checkpoints`", count)
    if found < 1:
        message = f"`{name}` of `Checkpoints` is 1 or more; got {found}."
        raise ValueError(message)
    return found


def as_step(step: Any) -> int:
    found = _integer("`step`", step)
    if not 0 <= found <= _MOST:
        message = f"`step` is how many steps are done, from 0 to {_MOST}; got {found}."
        raise ValueError(message)
    return found


def _integer(told: str, value: Any) -> int:
    if isinstance(value, jax.core.Tracer):
        message = f"{told} is traced, and has no value yet. Save outside of the jitted function."
        raise TypeError(message)
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        message = f"{told} is an integer, of Python, NumPy or JAX; got {value!r}."
        raise TypeError(message) from None


def metrics_text(metrics: Mapping[str, Any] | None, best: Best | None) -> str:
    """Give the text that is saved of metrics."""
    found = {_name(name): _number(name, value) for name, value in (metrics or {}).items()}
    if best is not None and best.name not in found:
        told = ", ".join(f"`{name}`" for name in found) or "none"
        message = (
            f"`metrics` of `save` must have `{best.name}`, by which `best` chooses; it has {told}. "
            "Give `math.nan` for a step that is not to be the best."
        )
        raise ValueError(message)
    return json.dumps(found)


def _name(name: Any) -> str:
    if isinstance(name, str):
        return name
    message = f"`metrics` of `save` has numbers by names; one name is {name!r}."
    raise TypeError(message)


def _number(name: str, value: Any) -> float:
    told = "Save outside of the jitted function" if isinstance(value, jax.core.Tracer) else None
    if told is None and isinstance(value, (int, float, np.ndarray, np.generic, jax.Array)):
        try:
            if np.shape(value) == ():
                return float(value)
        except (TypeError, ValueError, OverflowError):
            pass  # complex, a text, a key, or too large
    way_out = told or "Take a mean, or another number of it"
    message = f"`metrics[{name!r}]` of `save` must be one real number; got {value!r}. {way_out}."
    raise TypeError(message)
