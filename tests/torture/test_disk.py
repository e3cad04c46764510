"""Disks that are full or may not be written to, and folders in the way: nothing is lost."""

import ctypes
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from eqx_filter import Checkpoints, load, save, tree_deserialise_leaves, tree_serialise_leaves

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the file system is not POSIX's")

SMALL, LARGE = 1_000, 1_000_000
"""Numbers of elements, of which the disk takes the one, and not the other."""

NOBODY = 65534


def tree(number, size=SMALL):
    return [np.full(size, number)]


def save_leaves(folder, number, size):
    tree_serialise_leaves(folder / "tree.eqx", tree(number, size))


def save_named(folder, number, size):
    save(folder / "tree", tree(number, size))


def save_step(folder, number, size):
    Checkpoints(folder, keep=1).save(number, tree(number, size))


def save_in_background(folder, number, size):
    with Checkpoints(folder, keep=1, background=True) as ckpts:
        ckpts.save(number, tree(number, size))


def number_in_leaves(folder):
    return tree_deserialise_leaves(folder / "tree.eqx", tree(0))[0][0]


def number_named(folder):
    return load(folder / "tree", tree(0))[0][0]


def number_of_step(folder):
    [leaf], step = Checkpoints(folder).restore(tree(0))
    assert leaf[0] == step
    return step


WAYS = {
    "leaves": (save_leaves, number_in_leaves),
    "named": (save_named, number_named),
    "steps": (save_step, number_of_step),
    "background": (save_in_background, number_of_step),
}


@pytest.fixture(params=WAYS)
def way(request):
    """How trees are saved and read."""
    return WAYS[request.param]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or libc.mount(
        b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=1m"
    ):
        pytest.skip("no file system can be mounted here")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


@contextmanager
def as_nobody():
    """Be a user to whom something is forbidden."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder():
    """A folder that every user reaches."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def names(folder):
    return sorted(it.name for it in folder.iterdir())


def test_a_full_disk(way, small_disk):
    save_it, number_in = way
    save_it(small_disk, 1, SMALL)
    before = names(small_disk)
    for number in (2, 3):  # what the first one left would be in the way of the second
        with pytest.raises((OSError, RuntimeError), match="No space left on device") as caught:
            save_it(small_disk, number, LARGE)
        [note] = caught.value.__notes__
        assert "was not written; what it held is still there" in note
        assert str(small_disk) in note
        assert (number_in(small_disk), names(small_disk)) == (1, before)
    save_it(small_disk, 4, SMALL)
    assert number_in(small_disk) == 4


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.torture.test_disk import LARGE, WAYS
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
save_it, number_in = WAYS[sys.argv[2]]
try:
    save_it(Path(sys.argv[3]), 2, LARGE)
except (OSError, RuntimeError) as error:
    print(error, *error.__notes__)
print(number_in(Path(sys.argv[3])))
"""


@pytest.mark.parametrize("name", WAYS)
def test_a_limit_of_sizes_of_files(name, tmp_path):
    save_it, _ = WAYS[name]
    save_it(tmp_path, 1, SMALL)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", LIMITED, root, name, tmp_path]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    error, number = told.splitlines()
    assert "File too large" in error
    assert "was not written; what it held is still there" in error
    assert number == "1"


def test_a_folder_that_may_only_be_read(way, open_folder):
    save_it, number_in = way
    save_it(open_folder, 1, SMALL)
    open_folder.chmod(0o555)
    with as_nobody():
        with pytest.raises(PermissionError, match="Permission denied"):
            save_it(open_folder, 2, SMALL)
        assert number_in(open_folder) == 1
    open_folder.chmod(0o755)


@pytest.mark.parametrize("name", WAYS)
def test_a_folder_in_the_way(name, tmp_path):
    save_it, number_in = WAYS[name]
    save_it(tmp_path, 1, SMALL)
    target = {"leaves": "tree.eqx", "named": "tree.safetensors"}
    path = tmp_path / target.get(name, Checkpoints(tmp_path).path(2).name)
    if path.exists():
        path.unlink()
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(IsADirectoryError, match=path.name):
        save_it(tmp_path, 2, SMALL)
    assert names(path) == ["inside"]
    if name not in target:
        assert number_in(tmp_path) == 1
