"""Models in several files, with an index."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from eqx_filter import load, load_config, save, tree_equal

TREE = {"a": jnp.arange(8.0), "b": {"c": np.ones((2, 3)), "d": jnp.zeros(1, jnp.int8)}}
PLACES = {"a": "model-1.safetensors", "b.c": "model-2.safetensors", "b.d": "model-1.safetensors"}


@pytest.fixture
def index(tmp_path):
    """An index, and its two files."""
    save(tmp_path / "model-1", {"a": TREE["a"], "b": {"d": TREE["b"]["d"]}})
    save(tmp_path / "model-2", {"b": {"c": TREE["b"]["c"]}})
    return written(tmp_path, {"metadata": {"total_size": 81}, "weight_map": PLACES})


def written(folder, content):
    path = folder / "model.safetensors.index.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_all_of_them_are_read(index):
    found, report = load(index, TREE, report=True)
    assert tree_equal(found, TREE)
    assert report.loaded == ("a", "b.c", "b.d")
    assert report.unexpected == ()
    assert load_config(index) is None


def test_what_does_not_fit_is_named(index):
    with pytest.raises(RuntimeError, match=r"index.json` does not fit `like`\. .*lacks `e`"):
        load(index, {**TREE, "e": jnp.ones(1)})
    with pytest.raises(RuntimeError, match=r"`a` is of shape \(2,\) in `like`, and of \(8,\)"):
        load(index, {**TREE, "a": jnp.ones(2)})


def test_a_part_and_onto_devices(index):
    mesh = jax.make_mesh((2,), ("d",), devices=jax.devices()[:2])
    split = NamedSharding(mesh, PartitionSpec("d"))
    found = load(index, {"a": jnp.zeros(8)}, strict="missing", sharding=split)
    assert found["a"].sharding == split
    np.testing.assert_array_equal(found["a"], TREE["a"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'weight_map'"),
        ({"weight_map": []}, "AttributeError"),
        ("[" * 100_000, "RecursionError"),
        ({"weight_map": {"a": 1}}, "`a` is said to be in 1, no file of its folder"),
        *(
            ({"weight_map": {"a": it}}, "`a` is said to be in .*, no file of its folder")
            for it in ("", ".", "..", "/etc/passwd", "../x", "x/y", "x\\y", "c:x", "x/")
        ),
    ],
)
def test_an_index_that_is_none(content, told, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(RuntimeError, match=rf"index.json` is no index of files, .*{told}"):
        load(path, TREE)


def test_files_that_are_not_as_the_index_says(index):
    written(index.parent, {"weight_map": {**PLACES, "a": "model-2.safetensors"}})
    with pytest.raises(RuntimeError, match=r"`a` is in `.*model-2.safetensors`, which has no such"):
        load(index, TREE)
    (index.parent / "model-2.safetensors").write_bytes(b"{}")
    with pytest.raises(RuntimeError, match=r"model-2.safetensors` is no file of named arrays"):
        load(index, TREE)
    (index.parent / "model-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model-2.safetensors"):
        load(index, TREE)
