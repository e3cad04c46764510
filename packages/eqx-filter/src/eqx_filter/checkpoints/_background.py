"""One thread that does one thing at a time; what it raises is told at the next call.

The thread is no daemon: Python waits for it before it exits.
"""

import sys
import threading
import traceback
import weakref
from collections.abc import Callable


class Background:
    """Runs functions of no arguments, one after the other. It is for calls from one thread.

    What runs holds this object, as a method of its owner does.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._failed: list[BaseException] = []
        weakref.finalize(self, _tell, self._failed)

    def start(self, work: Callable[[], None]) -> None:
        """Wait for what runs, and begin with another function.

        With its error a closure is kept, with all that it holds; a `functools.partial` is not.
        """
        self.wait()
        args = [work], self._failed
        thread = threading.Thread(target=_run, args=args, name="eqx-save", daemon=False)
        try:
            thread.start()
        except RuntimeError:  # no thread begins while Python is shut down
            work()
        else:
            self._thread = thread

    def wait(self) -> None:
        """Wait for what runs.

        **Raises:** what it raised.
        """
        self.join()
        self.check()

    def join(self) -> None:
        """Wait for what runs, and leave what it raised for `check`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def check(self) -> None:
        """Raise what was raised in the background since it was last asked, without waiting."""
        if self._failed:
            raise self._failed.pop()


def _run(works: list[Callable[[], None]], failed: list[BaseException]) -> None:
    error = _raised_by(works.pop())  # the traceback keeps this frame, which is to hold no arrays
    if error is not None:
        failed.append(error)
        traceback.clear_frames(error.__traceback__)  # may be the end of the owner: last


def _raised_by(work: Callable[[], None]) -> BaseException | None:
    try:
        work()
    except BaseException as error:
        return error
    return None


def _tell(failed: list[BaseException]) -> None:
    """Print what was raised and never asked for, at exit or when its object is gone."""
    for error in failed:
        error.add_note("It was raised in the background, and no call came after it.")
        traceback.print_exception(error, file=sys.stderr)
