"""A file that is replaced as a whole: at any moment a path holds what was there, or the new file.

What is written goes to a part file beside the target, is brought to the disk, and takes the
target's name. A process that is killed leaves its part file, which the next one to write into the
folder takes away. A part file that is being written is told from such a one by its lock.
"""

import contextlib
import errno
import io
import os
import platform
import re
import secrets
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows, which does not let an open file be taken away
    fcntl = None

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_PART = re.compile(r"\.eqx-([0-9a-f]{8})-[0-9a-f]{16}\.part")
_STEP = 2**23
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What a file system says that knows no `fsync`."""

_DAY = 24 * 60 * 60
"""After so long without a write, another host's part file counts as left: its lock is not seen."""


class PartFile(io.BufferedWriter):
    """A part file that is being written."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        super().__init__((_EarlyFile if durable else io.FileIO)(path, "xb"))


class _EarlyFile(io.FileIO):
    """A file that the system begins to bring to the disk while more is written.

    So there is little left to wait for at the end.
    """

    waiting = 0

    def write(self, data: Any, /) -> int:
        """Write some of the bytes, and say how many."""
        count = super().write(memoryview(data)[:_STEP])
        self.waiting += count
        if self.waiting >= _STEP and hasattr(os, "posix_fadvise"):
            start = self.tell() - self.waiting
            with contextlib.suppress(OSError):  # advice that is not taken
                os.posix_fadvise(self.fileno(), start, self.waiting, os.POSIX_FADV_DONTNEED)
            self.waiting = 0
        return count


@contextmanager
def replacing(path: Path, *, durable: bool) -> Iterator[IO[bytes]]:
    """Give a file to write to that takes the place of `path` when the block ends without an error.

    Where `durable`, it is on the disk by then.

    A symbolic link stays one, and an earlier file's permissions stay. What is no regular file, such
    as a pipe, is written to directly.
    """
    target = Path(os.path.realpath(path))
    earlier = _status(target)
    if earlier is not None and not stat.S_ISREG(earlier.st_mode):
        with target.open("wb") as file:
            yield file
        return
    if not target.parent.is_dir():
        told = "No such folder to save in; make it first"
        raise FileNotFoundError(errno.ENOENT, told, str(target.parent))
    if earlier is not None and not os.access(target, os.W_OK):
        told = "The file is not to be written to; save under another name"
        raise PermissionError(errno.EACCES, told, str(target))
    _sweep(target.parent)
    file, part = _new_part(target.parent, durable=durable)
    try:
        with file:
            if earlier is not None:
                part.chmod(stat.S_IMODE(earlier.st_mode))
            yield file
            file.flush()
            if durable:
                _bring_to_disk(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            with _held(target, earlier):
                part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, Exception):
            error.add_note(f"`{path}` was not written; what it held is still there.")
        raise
    if durable:
        _bring_names_to_disk(target.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, where there is none, and those above it; they are on the disk by then."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _bring_names_to_disk(folder.parent)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


@contextmanager
def _held(path: Path, status: os.stat_result | None) -> Iterator[None]:
    """Let a large file that is replaced give its room on the disk back in a thread of its own.

    That takes about half as long as to write it.
    """
    if fcntl is None or status is None or status.st_size < _STEP or not os.access(path, os.R_OK):
        yield
        return
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        yield
        with contextlib.suppress(RuntimeError):  # no thread begins while Python is shut down
            threading.Thread(target=file.close, name="eqx-replaced-file").start()
            stack.pop_all()


def _new_part(folder: Path, *, durable: bool) -> tuple[PartFile, Path]:
    while True:
        part = folder / f".eqx-{_HOST}-{secrets.token_hex(8)}.part"
        file = PartFile(part, durable=durable)
        if fcntl is None:
            return file, part
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return file, part
        file.close()  # another process took it for one that was left, before it was locked


def _sweep(folder: Path) -> None:
    """Take away the part files of processes that are gone."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name)
            if match:
                with contextlib.suppress(OSError):
                    _remove_if_left(Path(entry.path), is_of_here=match[1] == _HOST)


def _remove_if_left(part: Path, *, is_of_here: bool) -> None:
    if fcntl is None:
        part.unlink()  # refused while it is open
        return
    with part.open("r+b") as file:
        if is_of_here:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while it is written
        elif time.time() - os.fstat(file.fileno()).st_mtime < _DAY:
            return
        part.unlink()


def _bring_to_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def _bring_names_to_disk(folder: Path) -> None:
    """Bring what files a folder has to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
