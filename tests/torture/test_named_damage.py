"""Named files that are damaged anywhere: refused by name, or read as they are, in little memory.

Without checksums a bit that flips inside the elements of an array makes another array, and one in
the text of a number another number. Nothing else may come of it. With them nothing at all may.
"""

import json
import tracemalloc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import Checkpoints, load, load_config, save

from .rounds import ROUNDS, random_numbers

SHARED = jnp.arange(4, dtype=jnp.int32)
TREE = {
    "weight": jnp.arange(6.0).reshape(2, 3),
    "half": jnp.ones(3, jnp.bfloat16),
    "eighth": jnp.ones(5, jnp.float8_e4m3b11fnuz),
    "complex": np.arange(3) * 1j,
    "layers": [(np.asfortranarray(np.arange(6.0).reshape(3, 2)), 1.5), (np.arange(3), True)],
    "key": jax.random.key(7),
    "step": 12,
    "empty": np.zeros((0, 3), np.float32),
    "function": jnp.tanh,
    "one": SHARED,
    "again": [SHARED],
}
MOST_MEMORY = 2**26


METRICS = {"loss": 0.5}


def saved(folder: Any, **options: Any) -> bytes:
    path = folder / "tree.safetensors"
    save(path, TREE, config={"width": 3}, metadata={"metrics": json.dumps(METRICS)}, **options)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file, as bytes."""
    return saved(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def whole_with_checksums(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("checked"), checksum=True)


def header_size(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def cut(whole, random):
    return whole[: random.randrange(len(whole))]


def padded(whole, random):
    return whole + random.randbytes(random.choice([1, 8, 200]))


def inserted(whole, random):
    at = random.randrange(len(whole))
    return whole[:at] + random.randbytes(random.choice([1, 8, 128])) + whole[at:]


def removed(whole, random):
    at = random.randrange(len(whole) - 128)
    return whole[:at] + whole[at + random.choice([1, 8, 128]) :]


def flipped(whole, random):
    damaged = bytearray(whole)
    for _ in range(random.choice([1, 1, 2, 8])):
        damaged[random.randrange(len(whole))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def flipped_in_the_header(whole, random):
    damaged = bytearray(whole)
    damaged[random.randrange(header_size(whole))] ^= 1 << random.randrange(8)
    return bytes(damaged)


ODD = [-1, 0, 1, 2**31, 2**63, 2**64, 10**40, 1.5, True, None, "", "F32", [], [0, 4], [[]], {}]


def rewritten_header(whole, random):
    """A header in which one thing is another."""
    size = header_size(whole)
    header = json.loads(whole[8:size])
    about = header[random.choice(list(header))]
    key = random.choice(list(about))
    if isinstance(about[key], list) and about[key] and random.random() < 0.5:
        about[key][random.randrange(len(about[key]))] = random.choice(ODD)
    else:
        about[key] = random.choice(ODD)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + whole[size:]


DAMAGES = [cut, padded, inserted, removed, flipped, flipped_in_the_header, rewritten_header]
REFUSED = {cut, padded}


def bits(tree: Any) -> list[tuple[Any, Any, bytes]]:
    """Of each array its dtype, shape and bytes."""
    arrays = [it for it in jax.tree.leaves(tree) if hasattr(it, "dtype")]
    is_key = [jax.dtypes.issubdtype(it.dtype, jax.dtypes.prng_key) for it in arrays]
    pairs = zip(arrays, is_key, strict=True)
    hosted = [np.asarray(jax.random.key_data(it) if key else it) for it, key in pairs]
    return [(it.dtype, it.shape, it.tobytes()) for it in hosted]


def values(tree: Any) -> list[Any]:
    return [it for it in jax.tree.leaves(tree) if isinstance(it, (bool, int, float))]


def read(path: Any, function: Any, *args: Any) -> Any:
    """What is read; or None if that is refused in words that name the file."""
    tracemalloc.reset_peak()
    found, told = None, f"`{path}`"
    try:
        found = function(path, *args)
    except RuntimeError as error:
        told = str(error)
    assert f"`{path}`" in told
    assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    return found


@pytest.fixture
def traced_memory():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files(damage, whole, tmp_path, traced_memory):
    ckpts, random = Checkpoints(tmp_path), random_numbers(f"named {damage.__name__}")
    path, right = ckpts.path(1), tmp_path / "right.safetensors"
    size, refusals, rounds = header_size(whole), 0, -(-10 * ROUNDS // len(DAMAGES))
    for _ in range(rounds):
        data = damage(whole, random)
        path.write_bytes(data)
        read(path, load_config)
        read(path, lambda path: ckpts.metrics(1))
        tree = read(path, load, TREE)
        refusals += tree is None
        if tree is None:
            continue
        elements = data[header_size(data) :]
        right.write_bytes(whole[:size] + elements)
        assert bits(tree) == bits(load(right, TREE)), data.hex()
        assert [type(it) for it in values(tree)] == [type(it) for it in values(TREE)]
    assert refusals == rounds or damage not in REFUSED


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_and_has_checksums(damage, whole_with_checksums, tmp_path):
    """It is refused, or read as if it were whole."""
    ckpts, random = Checkpoints(tmp_path), random_numbers(f"checked {damage.__name__}")
    path = ckpts.path(1)
    for _ in range(-(-10 * ROUNDS // len(DAMAGES))):
        data = damage(whole_with_checksums, random)
        path.write_bytes(data)
        assert read(path, load_config) in (None, {"width": 3}), data.hex()
        assert read(path, lambda path: ckpts.metrics(1)) in (None, METRICS), data.hex()
        tree = read(path, load, TREE)
        assert tree is None or bits(tree) == bits(TREE), data.hex()
        assert tree is None or values(tree) == values(TREE), data.hex()


def test_the_whole_file_is_read(whole, tmp_path):
    path = tmp_path / "tree.safetensors"
    path.write_bytes(whole)
    assert bits(load(path, TREE)) == bits(TREE)
    assert load_config(path) == {"width": 3}
