"""Files that are cut, padded, or have bits flipped: refused by name, or read as they are.

The format has no checksum. A bit that flips inside the elements of an array makes another array;
that must be all that it does. Any other damage is refused, or changes nothing.
"""

import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import tree_deserialise_leaves, tree_serialise_leaves

from .rounds import ROUNDS, random_numbers

TREE = {
    "weight": jnp.arange(6.0).reshape(2, 3),
    "half": jnp.ones(3, jnp.bfloat16),
    "layers": [(np.asfortranarray(np.arange(6.0).reshape(3, 2)), 1.5), (np.arange(3), True)],
    "mask": jnp.array([True, False, True]),
    "key": jax.random.key(7),
    "step": 12,
    "empty": np.zeros((0, 3), np.float32),
    "name": "a leaf that is not saved",
}


def saved(tree: Any) -> bytes:
    file = io.BytesIO()
    tree_serialise_leaves(file, tree)
    return file.getvalue()


def header_bytes() -> set[int]:
    """Where the headers are, told by saving each leaf alone."""
    places: set[int] = set()
    start = 0
    for leaf in jax.tree.leaves(TREE):
        data = saved(leaf)
        size = data.find(b"\n") + 1
        places.update(range(start, start + size))
        start += len(data)
    return places


WHOLE = saved(TREE)
HEADERS = header_bytes()


def cut(random: Any) -> bytes:
    return WHOLE[: random.randrange(len(WHOLE))]


def padded(random: Any) -> bytes:
    return WHOLE + random.randbytes(random.choice([1, 8, 200]))


def inserted(random: Any) -> bytes:
    at = random.randrange(len(WHOLE))
    return WHOLE[:at] + random.randbytes(random.choice([1, 8, 128])) + WHOLE[at:]


def removed(random: Any) -> bytes:
    at = random.randrange(len(WHOLE) - 128)
    return WHOLE[:at] + WHOLE[at + random.choice([1, 8, 128]) :]


def flipped(random: Any) -> bytes:
    damaged = bytearray(WHOLE)
    for _ in range(random.choice([1, 1, 2, 8])):
        damaged[random.randrange(len(WHOLE))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def flipped_in_a_header(random: Any) -> bytes:
    damaged = bytearray(WHOLE)
    damaged[random.choice(sorted(HEADERS))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def as_it_must_be_read(damaged: bytes) -> bytes:
    """The damaged elements, and every header as it was."""
    if len(damaged) != len(WHOLE):
        return WHOLE
    return bytes(WHOLE[i] if i in HEADERS else byte for i, byte in enumerate(damaged))


def load(path: Any) -> Any:
    """Load the tree; or give None if that is refused in words that name the file."""
    try:
        return tree_deserialise_leaves(path, TREE)
    except RuntimeError as error:
        told = str(error)
        assert f"`{path}`" in told
        assert "`like[" in told
        return None


@pytest.mark.parametrize("damage", [cut, padded, inserted, removed, flipped, flipped_in_a_header])
def test_damaged_files(damage, tmp_path):
    path, random = tmp_path / "tree.eqx", random_numbers(damage.__name__)
    refusals = 0
    rounds = -(-10 * ROUNDS // 6)
    for _ in range(rounds):
        data = damage(random)
        path.write_bytes(data)
        tree = load(path)
        refusals += tree is None
        assert tree is None or saved(tree) == as_it_must_be_read(data), data.hex()
    assert refusals == rounds or damage in (flipped, flipped_in_a_header, inserted, removed)


def test_the_whole_file_is_read(tmp_path):
    (tmp_path / "tree.eqx").write_bytes(WHOLE)
    assert saved(load(tmp_path / "tree.eqx")) == WHOLE
