"""What may be given as a file: paths and their suffix, and open files."""

import functools
import gzip
import io
import re
import tempfile
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import tree_deserialise_leaves, tree_equal, tree_serialise_leaves

TREE = [jnp.arange(3.0), {"a": np.arange(4), "b": 1}]


class Named:
    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a", "a.eqx"),
        ("a.eqx", "a.eqx"),
        ("a.bin", "a.bin"),
        ("a.b.c", "a.b.c"),
        (".a", ".a.eqx"),
        ("a.EQX", "a.EQX"),
        ("a/", "a.eqx"),
        ("\u03bb", "\u03bb.eqx"),
        ("x" * 240, "x" * 240 + ".eqx"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path, Named])
def test_paths_and_their_suffix(name, kept, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree_serialise_leaves(kind(name), TREE)
    assert [path.name for path in tmp_path.iterdir()] == [kept]
    assert tree_equal(tree_deserialise_leaves(kind(name), TREE), TREE)
    assert tree_equal(tree_deserialise_leaves(kept, TREE), TREE)


@pytest.mark.parametrize("load", [True, False])
@pytest.mark.parametrize(
    ("file", "kind", "told"),
    [
        (b"a", TypeError, "must be a string, a path or a file of bytes, not a `bytes`. Give a"),
        (None, TypeError, "must be a string, a path or a file of bytes, not a `NoneType`."),
        (3, TypeError, "must be a string, a path or a file of bytes, not a `int`."),
        (Named(b"a"), TypeError, "A path must be text, not `b'a'`. Use `os.fsdecode`."),
        ("", ValueError, "`` names no file. Name one in that folder."),
        ("/", ValueError, "`/` names no file."),
        (io.StringIO(), TypeError, "`path_or_file` is a file of text, and leaves are saved as"),
    ],
)
def test_what_is_no_file(load, file, kind, told):
    with pytest.raises(kind, match=re.escape(told)):
        (tree_deserialise_leaves if load else tree_serialise_leaves)(file, TREE)


def test_files_in_another_mode(tmp_path):
    path = tmp_path / "a"
    with path.open("w") as file, pytest.raises(TypeError, match=r'a file of text.*mode "wb"'):
        tree_serialise_leaves(file, TREE)
    with tempfile.NamedTemporaryFile("w+") as file, pytest.raises(TypeError, match="of text"):
        tree_serialise_leaves(file, TREE)
    with path.open("rb") as file, pytest.raises(ValueError, match=r'not open to write.*"wb"'):
        tree_serialise_leaves(file, TREE)
    with path.open("wb") as file, pytest.raises(ValueError, match=r'not open to read.*"rb"'):
        tree_deserialise_leaves(file, TREE)
    with pytest.raises(ValueError, match="`path_or_file` is a file that is closed"):
        tree_serialise_leaves(file, TREE)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.eqx"):
        tree_deserialise_leaves(tmp_path / "a", TREE)
    with pytest.raises(FileNotFoundError, match=r"No such folder to save in; make it first.*b'"):
        tree_serialise_leaves(tmp_path / "b" / "a", TREE)


def back(to_open, path):
    with to_open(path, "wb") as file:
        tree_serialise_leaves(file, TREE)
        tree_serialise_leaves(file, TREE)
    with to_open(path, "rb") as file:
        assert tree_equal(tree_deserialise_leaves(file, TREE), TREE)
        assert tree_equal(tree_deserialise_leaves(file, TREE), TREE)
        assert file.read(1) == b""


def test_files_of_many_kinds(tmp_path):
    path = tmp_path / "a"
    for to_open in (Path.open, gzip.open, functools.partial(Path.open, buffering=0)):
        back(to_open, path)
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as zipped, zipped.open("tree", "w") as file:
        tree_serialise_leaves(file, TREE)
    with zipfile.ZipFile(archive) as zipped, zipped.open("tree") as file:
        assert tree_equal(tree_deserialise_leaves(file, TREE), TREE)


def test_files_that_only_write_or_read():
    class File:
        def __init__(self, data):
            self.data = data

    class Writer(File):
        def write(self, data):
            self.data += data

    class Reader(File):
        def read(self, size):
            part, self.data = self.data[:size], self.data[size:]
            return part

    writer = Writer(b"")
    tree_serialise_leaves(writer, TREE)
    reader = Reader(writer.data + b"rest")
    assert tree_equal(tree_deserialise_leaves(reader, TREE), TREE)
    assert reader.data == b"rest"
