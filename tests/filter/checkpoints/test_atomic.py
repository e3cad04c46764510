"""A path holds the earlier file or the new one, whole, and nothing is left beside it."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from eqx_filter import tree_deserialise_leaves, tree_serialise_leaves
from eqx_filter.checkpoints import _atomic

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the file system is not POSIX's")

SAVE_OFTEN = """
import sys
import numpy as np
from eqx_filter import tree_serialise_leaves
for i in range(int(sys.argv[2])):
    tree_serialise_leaves(sys.argv[1], [np.full(1000, i), np.full(1000, i)])
"""
HERE = _atomic._HOST


def tree(number):
    return [np.full(1000, number), np.full(1000, number)]


def number_in(path):
    one, other = tree_deserialise_leaves(path, tree(0))
    [number] = {*one.tolist(), *other.tolist()}
    return number


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(f, x):
    f.write(b"some")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def path(tmp_path):
    """A path that holds tree number 1."""
    tree_serialise_leaves(tmp_path / "a.eqx", tree(1))
    return tmp_path / "a.eqx"


class TestReplacing:
    def test_the_earlier_file_stays_until_the_end(self, path):
        seen = []
        tree_serialise_leaves(path, tree(2), progress=lambda *_: seen.append(number_in(path)))
        assert (seen, number_in(path), names(path.parent)) == ([1, 1], 2, ["a.eqx"])

    @pytest.mark.parametrize("spec", [fail, lambda f, x: sys.exit()])
    def test_it_stays_if_an_error_is_raised(self, path, spec):
        with pytest.raises((RuntimeError, SystemExit)):
            tree_serialise_leaves(path, tree(2), spec)
        assert (number_in(path), names(path.parent)) == (1, ["a.eqx"])

    def test_it_stays_if_the_disk_is_full(self, path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space") as caught:
            tree_serialise_leaves(path, tree(2))
        assert caught.value.__notes__ == [f"`{path}` was not written; what it held is still there."]
        assert (number_in(path), names(path.parent)) == (1, ["a.eqx"])

    def test_a_file_system_that_knows_no_fsync(self, path, monkeypatch):
        def refuse(descriptor):
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "fsync", refuse)
        tree_serialise_leaves(path, tree(2))
        assert number_in(path) == 2

    def test_it_is_brought_to_the_disk_before_it_takes_the_name(self, path, monkeypatch):
        order = []
        sync, replace = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", lambda it: (order.append(kind(it)), sync(it)))
        monkeypatch.setattr(Path, "replace", lambda *it: (order.append("name"), replace(*it)))

        def kind(descriptor):
            return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

        tree_serialise_leaves(path, tree(2))
        assert order == ["file", "name", "folder"]

    def test_a_reader_keeps_the_file_that_it_opened(self, path):
        with path.open("rb") as file:
            tree_serialise_leaves(path, tree(2))
            assert number_in(file) == 1

    def test_a_large_file(self, tmp_path):
        for number in range(3):
            tree_serialise_leaves(tmp_path / "a", [np.full(3_000_000, number)])
        [back] = tree_deserialise_leaves(tmp_path / "a", [np.zeros(3_000_000, int)])
        assert (back == 2).all()
        assert names(tmp_path) == ["a.eqx"]


class TestKindsOfPaths:
    def test_permissions_stay(self, path):
        path.chmod(0o640)
        tree_serialise_leaves(path, tree(2))
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_new_files_have_the_permissions_of_new_files(self, path):
        path.with_name("b").touch()
        assert path.stat().st_mode == path.with_name("b").stat().st_mode

    def test_files_that_are_not_to_be_written_to(self, path, monkeypatch):
        access = os.access
        monkeypatch.setattr(os, "access", lambda it, how: how != os.W_OK and access(it, how))
        with pytest.raises(PermissionError, match=r"not to be written to; save under .*a\.eqx"):
            tree_serialise_leaves(path, tree(2))
        assert (number_in(path), names(path.parent)) == (1, ["a.eqx"])

    def test_links_stay(self, path, tmp_path):
        link = tmp_path / "link.eqx"
        link.symlink_to("a.eqx")
        tree_serialise_leaves(link, tree(2))
        assert link.is_symlink()
        assert number_in(path) == 2

    def test_pipes(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.eqx")
        found = []
        reader = threading.Thread(target=lambda: found.append(number_in(tmp_path / "pipe.eqx")))
        reader.start()
        tree_serialise_leaves(tmp_path / "pipe.eqx", tree(3))
        reader.join()
        assert found == [3]

    def test_folders(self, tmp_path):
        (tmp_path / "a.eqx").mkdir()
        with pytest.raises(IsADirectoryError, match=r"a\.eqx"):
            tree_serialise_leaves(tmp_path / "a", tree(1))
        assert names(tmp_path) == ["a.eqx"]


class TestWhatIsLeft:
    def left(self, folder, host, age=0):
        part = folder / f".eqx-{host}-0123456789abcdef.part"
        part.write_bytes(b"part")
        then = time.time() - age
        os.utime(part, (then, then))
        return part

    def test_by_a_process_that_is_gone_is_taken_away(self, path):
        part = self.left(path.parent, HERE)
        tree_serialise_leaves(path.with_name("another"), tree(2))
        assert not part.exists()

    def test_by_one_that_writes_stays(self, path):
        part = self.left(path.parent, HERE)
        with part.open("rb") as file:
            _atomic.fcntl.flock(file, _atomic.fcntl.LOCK_EX)
            tree_serialise_leaves(path, tree(2))
            assert part.exists()

    def test_by_another_host_stays_for_a_day(self, path):
        part = self.left(path.parent, "00000000")
        tree_serialise_leaves(path, tree(2))
        assert part.exists()
        self.left(path.parent, "00000000", age=100_000)
        tree_serialise_leaves(path, tree(2))
        assert not part.exists()

    def test_other_files_stay(self, path):
        others = [".eqx-.part", "a.eqx.part", f"x.eqx-{HERE}-0123456789abcdef.part"]
        for name in others:
            (path.parent / name).touch()
        tree_serialise_leaves(path, tree(2))
        assert names(path.parent) == sorted([*others, "a.eqx"])

    def test_a_part_that_was_taken_away_is_made_again(self, path, monkeypatch):
        lock, lost = _atomic.fcntl.flock, []

        def lose(file, how):
            lock(file, how)
            if not lost:
                [part] = path.parent.glob(".eqx-*")
                lost.append(part.unlink())

        monkeypatch.setattr(_atomic.fcntl, "flock", lose)
        tree_serialise_leaves(path, tree(2))
        assert lost
        assert (number_in(path), names(path.parent)) == (2, ["a.eqx"])

    def test_where_there_are_no_locks(self, path, monkeypatch):
        def refuse(file, how):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(_atomic.fcntl, "flock", refuse)
        tree_serialise_leaves(path, tree(2))
        assert (number_in(path), names(path.parent)) == (2, ["a.eqx"])


class TestAtOnce:
    def test_two_processes(self, path):
        processes = [
            subprocess.Popen([sys.executable, "-c", SAVE_OFTEN, path, "40"]) for _ in range(2)
        ]
        while any(process.poll() is None for process in processes):
            assert number_in(path) in range(40)
        assert [process.returncode for process in processes] == [0, 0]
        assert (number_in(path), names(path.parent)) == (39, ["a.eqx"])

    def test_threads(self, path):
        def save(number):
            for _ in range(10):
                tree_serialise_leaves(path, tree(number))

        threads = [threading.Thread(target=save, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert number_in(path) in range(4)
        for thread in threads:
            thread.join()
        assert names(path.parent) == ["a.eqx"]


@pytest.mark.parametrize(("durable", "waits"), [(True, True), (False, False)])
def test_only_a_durable_file_waits_for_the_disk(tmp_path, monkeypatch, durable, waits):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    path = tmp_path / "a.eqx"
    for number in (1, 2):
        tree_serialise_leaves(path, tree(number), durable=durable)
        assert number_in(path) == number
        assert names(tmp_path) == ["a.eqx"]
    assert bool(synced) is waits
