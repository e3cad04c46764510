"""A folder with a file for each step of a training: names and headers alone say what is there.

So nothing can disagree with the files, whoever writes them, and whenever that is stopped.
"""

import json
import math
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from eqx_pytree import warn_user

from ._container import read_header
from ._save_named import SUFFIX
from ._settings import METRICS, Best
from ._texts import check_texts

_NAME = re.compile(r"step-([0-9]{8,19})" + re.escape(SUFFIX))


def name_of(step: int) -> str:
    return f"step-{step:08d}{SUFFIX}"


def steps_in(folder: Path) -> list[int]:
    """Give the steps that a folder has files of, in order; none where there is no folder."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return []
    with entries:
        return sorted(step for step in map(_step_of, entries) if step is not None)


def _step_of(entry: "os.DirEntry[str]") -> int | None:
    match = _NAME.fullmatch(entry.name)
    if match is None or not entry.is_file():
        return None
    step = int(match[1])
    return step if name_of(step) == entry.name else None


def metrics_of(path: Path) -> dict[str, float]:
    """Give the metrics that a file was saved with.

    **Raises:** `RuntimeError` for a file that is damaged; `OSError` from the file system.
    """
    status = path.stat()
    return dict(_metrics_at(path, status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _metrics_at(path: Path, *_: int) -> tuple[tuple[str, float], ...]:
    """The metrics of a file, which is not read again until it is another."""
    header = read_header(path)
    check_texts(path, header)
    text = header.metadata.get(METRICS, "{}")
    try:
        found = json.loads(text)
        return tuple((name, float(value)) for name, value in found.items())
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        message = f"`{path}` is damaged, or was not written by `Checkpoints`: its metrics: {error}."
        raise RuntimeError(message) from None


def ranked(folder: Path, steps: Iterable[int], best: Best) -> tuple[int | None, list[int]]:
    """Give the best of some steps, and those that cannot be read, of which a warning tells.

    Of equals the last is the best. A step whose metric is NaN, or which has none, is not.
    """
    values: dict[int, float] = {}
    unread: list[int] = []
    for step in steps:
        try:
            value = metrics_of(folder / name_of(step)).get(best.name, math.nan)
        except FileNotFoundError:  # another process took it away
            continue
        except (RuntimeError, OSError) as error:
            unread.append(step)
            warn_user(f"Step {step} is left out where the best is sought: {error}")
            continue
        if not math.isnan(value):
            values[step] = value
    if not values:
        return None, unread
    most = best.choose(values.values())
    return max(step for step, value in values.items() if value == most), unread


def rotate(folder: Path, keep: int, best: Best | None, last: int | None) -> None:
    """Take away all but the newest steps, the best, the last one saved, and what is not read."""
    steps = steps_in(folder)
    old = [step for step in steps[:-keep] if step != last]
    if old and best is not None:
        first, unread = ranked(folder, steps, best)
        old = [step for step in old if step != first and step not in unread]
    for step in old:
        path = folder / name_of(step)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            warn_user(f"Step {step} is old, and could not be taken away: {error}")
