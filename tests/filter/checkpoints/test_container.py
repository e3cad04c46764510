"""Headers that claim what is not so: refused by the names of file and leaf, in little memory."""

import json
import tracemalloc

import numpy as np
import pytest

from eqx_filter import Checkpoints, load, load_config, save

LIKE = {"a": np.zeros(4, np.float32), "b": np.zeros(2, np.int8), "n": 3}
A = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
B = {"dtype": "I8", "shape": [2], "data_offsets": [16, 18]}
DATA = bytes(18)
LARGE = 90_000_000
MOST_MEMORY = 2**26


def text(*pairs):
    """JSON of pairs, whose names may be equal."""
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(it)}" for name, it in pairs) + "}"


def of_a(**changes):
    return text(("a", {**A, **changes}), ("b", B))


def with_texts(**texts):
    metadata = {f"eqx.{name}": value for name, value in texts.items()}
    return text(("__metadata__", metadata), ("a", A), ("b", B))


HEADERS = {
    "names twice": (text(("a", A), ("a", B)), "`a` is in it twice"),
    "a dtype twice": ('{"a": {"dtype": "F32", "dtype": "I8"}}', "`dtype` is in it twice"),
    "overlapping": (of_a(shape=[5], data_offsets=[0, 20]), "`b` needs 2 bytes from 20 on"),
    "a gap": (of_a(shape=[3], data_offsets=[0, 12]), "`b` needs 2 bytes from 12 on"),
    "negative offsets": (of_a(data_offsets=[-16, 0]), "`a` has a shape or offsets which are no"),
    "from end to start": (of_a(data_offsets=[16, 0]), "`a` needs 16 bytes"),
    "past the end": (of_a(shape=[2**40], data_offsets=[0, 2**42]), "`b` needs 2 bytes"),
    "absurd sizes": (of_a(shape=[2**62, 2**62, 0, 2**62]), "`a` needs 0 bytes"),
    "larger than 64 bits": (of_a(shape=[2**64]), "`a` has a shape or offsets which are no sizes"),
    "many digits": (text(("a", A)).replace("16", "9" * 5000), "cannot be read"),
    "many axes": (of_a(shape=[1] * 100_000), "`a` has a shape or offsets which are no sizes"),
    "fractions": (of_a(shape=[4.0]), "`a` has a shape or offsets which are no sizes"),
    "truths": (of_a(shape=[True]), "`a` has a shape or offsets which are no sizes"),
    "a shape that is a text": (of_a(shape="4444"), "`a` has a shape or offsets which are no sizes"),
    "a shape by names": (of_a(shape={"4": 4}), "`a` has a shape or offsets which are no sizes"),
    "no shape": (text(("a", {"dtype": "F32"}), ("b", B)), "`a` is not told of by `dtype`, `shape`"),
    "three offsets": (of_a(data_offsets=[0, 8, 16]), "`a` is not told of by `dtype`, `shape`"),
    "a number for a tensor": (text(("a", 1), ("b", B)), "`a` is not told of by `dtype`, `shape`"),
    "an unknown dtype": (of_a(dtype="F33"), "`a` has the dtype 'F33', which is none of BOOL"),
    "a dtype that is none": (of_a(dtype=[]), r"`a` has the dtype '\[\]', which is none of BOOL"),
    "deep JSON": ('{"a": ' + "[" * 200_000, "cannot be read: "),
    "deep JSON in texts": (with_texts(static="[" * 200_000), "`eqx.static` of its metadata cannot"),
    "bad UTF-8": (b'{"\xff": 1}', "cannot be read: 'utf-8' codec"),
    "UTF-8 that is cut": (b'{"\xe2\x82', "cannot be read: 'utf-8' codec"),
    "UTF-16": (text(("a", A)).encode("utf-16-le"), "it is no JSON"),
    "zeros": (bytes(100), "it is no JSON"),
    "a list": ("[]", "it is no JSON"),
    "more after it": (text(("a", A), ("b", B)) + "1", "Extra data"),
    "metadata that are a list": (text(("__metadata__", []), ("a", A)), "cannot be read: "),
    "metadata of numbers": (
        text(("__metadata__", {"x": 1}), ("a", A)),
        "its metadata are not texts",
    ),
    "texts that are no JSON": (with_texts(numbers="{"), "`eqx.numbers` of its metadata cannot be"),
    "a table that is none": (with_texts(kinds="[]"), "`eqx.kinds` of its metadata is no table"),
    "a number of no type": (with_texts(numbers='{"n": ["x", "1"]}'), "`eqx.numbers` .* of `n`: "),
    "a number that is none": (
        with_texts(numbers='{"n": ["int", "1_0"]}'),
        "`eqx.numbers` .* of `n`",
    ),
    "a truth that is none": (
        with_texts(numbers='{"n": ["bool", "Tru"]}'),
        "`eqx.numbers` .* of `n`",
    ),
    "a kind of no leaf": (with_texts(kinds='{"c": {}}'), "`eqx.kinds` .* says of `c`"),
    "a kind that is a number": (with_texts(kinds='{"a": {"key": 1}}'), "`eqx.kinds` .* of `a`"),
    "an unknown kind of dtype": (with_texts(kinds='{"a": {"dtype": "q"}}'), "`a` is told .*'q'"),
    "objects": (with_texts(kinds='{"a": {"dtype": "object"}}'), "`a` is told to be .*'object'"),
    "complex without parts": (with_texts(kinds='{"b": {"dtype": "complex64"}}'), "`b` is told to"),
    "shared with none": (with_texts(shared='{"c": "d"}'), "`eqx.shared` .* says of `c`: 'd'"),
    "a checksum that is none": (with_texts(checksums='{"a": "1"}'), "`eqx.checksums` .* of `a`"),
    "a checksum of all texts": (with_texts(checksum="1"), "its metadata have the checksum"),
    "static values that are none": (with_texts(static='{"c": 1}'), "`eqx.static` .* says of `c`"),
}


def write(path, header, data=DATA, length=None):
    encoded = header if isinstance(header, bytes) else header.encode()
    size = len(encoded) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + encoded + data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.safetensors"


@pytest.fixture
def in_little_memory():
    """What is done takes no more than 64 MB at any moment."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name, path, in_little_memory):
    header, told = HEADERS[name]
    write(path, header)
    with pytest.raises(RuntimeError, match=rf"x\.safetensors` is no file .*damaged: .*{told}"):
        load(path, LIKE)


def test_a_header_that_is_right(path):
    write(path, with_texts(numbers='{"n": ["int", "7"]}'))
    assert load(path, LIKE)["n"] == 7


@pytest.mark.parametrize("first", [b"{", b"\0", b'{"a": "'])
def test_a_long_header_that_is_none_takes_little_memory(first, path, in_little_memory):
    write(path, first, b"", length=LARGE)
    with path.open("r+b") as file:
        file.truncate(2 * LARGE)
    with pytest.raises(RuntimeError, match="cannot be read: it is no JSON"):
        load(path, LIKE)


@pytest.mark.parametrize("length", [0, 1, 2**26, 2**63, 2**64 - 1])
def test_lengths_of_headers(length, path, in_little_memory):
    write(path, text(("a", A), ("b", B)), length=length)
    with pytest.raises(RuntimeError, match=r"x\.safetensors` is no file of named arrays"):
        load(path, LIKE)


def test_others_read_headers_too(path):
    write(path, with_texts(config="{"))
    with pytest.raises(RuntimeError, match=r"x\.safetensors` is no .*`eqx.config` of its metadata"):
        load_config(path)
    ckpts = Checkpoints(path.parent)
    write(ckpts.path(1), "[]")
    with pytest.raises(RuntimeError, match=r"step-00000001\.safetensors` is no file"):
        ckpts.metrics(1)


def test_a_file_is_read_with_its_own_header(path, monkeypatch):
    """One that is replaced while it is read is not read with the header of another."""
    save(path, {"a": np.arange(3)})
    seek = np.empty

    def replaced(*args, **kwargs):
        monkeypatch.undo()
        save(path, {"b": np.zeros(8), "a": np.arange(3) + 5})
        return seek(*args, **kwargs)

    monkeypatch.setattr(np, "empty", replaced)
    assert load(path, {"a": np.zeros(3, int)})["a"].tolist() == [0, 1, 2]
