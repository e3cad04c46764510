"""Arrays whose values lie on several processes: brought together one by one, to be written."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..shared._processes import Devices, agreeing, devices_of, is_first, whole
from ._atomic import replacing
from ._host import of_one_device


class Spread:
    """An array on several processes, of the dtype and shape that a file has of it.

    It stands in the place of a NumPy array. Its values are brought together each time that NumPy
    asks for them, which all of the processes do at once, and are nowhere kept.
    """

    def __init__(self, array: jax.Array, stored: Callable[[np.ndarray], np.ndarray]) -> None:
        probe = stored(np.empty(0, array.dtype))
        self.array = array
        self.stored = stored
        self.dtype = probe.dtype
        self.shape = (*array.shape, *probe.shape[1:])

    @property
    def nbytes(self) -> int:
        """The bytes of the whole array."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.array if self.array.is_fully_replicated else whole(self.array)
        return np.asarray(self.stored(of_one_device(array.addressable_data(0))), dtype)

    def owned(self) -> "np.ndarray | Spread":
        """The values, in the process that writes them; this object in the others."""
        values = np.array(self)
        return values if is_first(devices_of([self.array])) else self


class _Kept:
    """A file whose first error is kept, so that what is left is brought together all the same.

    The other processes take part in that, and could not know when to stop.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self.failed: OSError | None = None

    def write(self, data: Any) -> None:
        if self.file is not None and self.failed is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.failed = error


@contextmanager
def written_by_one(path: Path, devices: Devices, *, durable: bool) -> Iterator[Any]:
    """As `replacing`, for several processes: the first writes, and all raise what it raises.

    What the others write goes nowhere. The file never raises while it is written to.
    """
    what = f"`save` of `{path}`"
    with ExitStack() as opened:
        with agreeing(devices, what):
            file = None
            if is_first(devices):
                file = opened.enter_context(replacing(path, durable=durable))
        with agreeing(devices, what), opened:
            kept = _Kept(file)
            yield kept
            if kept.failed is not None:
                raise kept.failed
