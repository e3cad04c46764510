"""`migration_plan`: what `load` would do, as a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import load, migration_plan, save
from eqx_filter.checkpoints import _migrated
from eqx_filter.migrations import convert, default, drop, rename, split, transpose
from eqx_pytree import Module

W, V = jnp.arange(12.0).reshape(6, 2), jnp.arange(6.0)


class Layer(Module):
    __migrations__ = (rename("w", "weight"),)
    weight: jax.Array


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "some", {"qkv": W, "old": -V, "n": 3, "key": jax.random.key(0), "act": jnp.sin,
                             "a": {"w": V}, "b": {"w": V}})  # fmt: skip
    return tmp_path / "some"


RULES = [
    transpose("qkv"),
    split("qkv", ["q", "k"], axis=1),
    drop("old"),
    default("scale", 1.0),
]


def like(**others):
    half = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    return {
        "q": half, "k": half, "n": 3, "key": jax.random.key(0), "act": jnp.sin,
        "scale": jnp.ones(2), "a": Layer(V), "b": Layer(V), **others,
    }  # fmt: skip


def test_the_table(path):
    plan = migration_plan(path, like(), RULES)
    assert plan.fits
    assert (plan.missing, plan.unexpected, plan.dropped) == ((), (), ("old",))
    lines = [line.split() for line in str(plan).splitlines()]
    assert lines[0] == ["in", "the", "file", "rules", "in", "`like`", "shape", "and", "dtype"]
    assert lines[2:-6] == [
        ["a.w", "5", "a.weight", "float32[6]"],
        ["b.w", "5", "b.weight", "float32[6]"],
        ["qkv", "1", "2", "k", "float32[2,3]"],
        ["key", "key", "key<fry>[]"],
        ["n", "n", "int"],
        ["qkv", "1", "2", "q", "float32[2,3]"],
        ["4", "scale", "float32[2]"],
        ["old", "3", "dropped"],
    ]
    assert str(plan).splitlines()[-5:] == [
        "rule 1: transpose('qkv')",
        "rule 2: split('qkv', ('q', 'k'), axis=1)",
        "rule 3: drop('old')",
        "rule 4: default('scale', 1.0)",
        "rule 5: rename('w', 'weight') (Layer 0 to 1)",
    ]
    assert repr(plan) == str(plan)
    load(path, like(), migrations=RULES)


def test_what_does_not_fit_is_told_in_its_row(path):
    other = like(q=jnp.ones((2, 3), jnp.float16), k=jnp.ones((3, 2)), n=jnp.ones(()), new=V)
    del other["scale"]
    plan = migration_plan(path, other, RULES[:2])
    notes = {row.name: row.note for row in plan.rows if row.note}
    assert notes == {
        "q": "float32[2,3] in the file",
        "k": "float32[2,3] in the file",
        "n": "int in the file",
        "new": "missing in the file",
        "old": "not in `like`",
    }
    assert not plan.fits
    assert (plan.missing, plan.unexpected) == (("new",), ("old",))


def test_axes_of_size_one_are_no_fault(tmp_path):
    save(tmp_path / "some", V)
    assert migration_plan(tmp_path / "some", jnp.ones((6, 1))).fits


def test_without_rules_each_name_is_itself(tmp_path):
    save(tmp_path / "some", [V, W])
    plan = migration_plan(tmp_path / "some", [V, W])
    assert [(row.sources, row.name) for row in plan.rows] == [(("0",), "0"), (("1",), "1")]
    assert plan.fits
    assert plan.rules == ()
    assert "rule" not in str(plan).splitlines()[-1]


def test_no_array_is_read_but_what_a_function_converts(path, monkeypatch):
    seen = []
    real = _migrated.Stored.__call__
    monkeypatch.setattr(
        _migrated.Stored,
        "__call__",
        lambda self, checked: seen.append(self.name) or real(self, checked),
    )
    rules = [*RULES[:2], convert("old", lambda x: np.tile(x, 2)), rename("old", "new")]
    plan = migration_plan(path, like(new=jnp.ones(12)), rules)
    assert seen == ["old"]
    assert [row.note for row in plan.rows if row.name == "new"] == [""]


def test_rules_raise_as_they_do_in_load(path):
    with pytest.raises(ValueError, match=r"`drop\('none'\)` finds no name in `.*some.safetensors`"):
        migration_plan(path, like(), drop("none"))
    with pytest.raises(TypeError, match=r"`migrations` of `migration_plan` has rules, .* got 3"):
        migration_plan(path, like(), 3)


@pytest.mark.parametrize(
    ("name", "leaf", "told"),
    [
        ("n", 3.0, "int in the file"),
        ("n", True, "int in the file"),
        ("key", jax.random.key(0, impl="rbg"), "keys of `rbg`, of shape (), in `like`, and keys"),
        ("key", jax.random.split(jax.random.key(0)), "keys of `threefry2x32`, of shape (2,), in"),
        ("key", jnp.ones(2, jnp.uint32), "of dtype `uint32`, of shape (2,), in `like`, and keys"),
        ("act", jnp.cos, "sin in the file"),
    ],
)
def test_what_load_refuses_does_not_fit(path, name, leaf, told):
    other = like(**{name: leaf})
    plan = migration_plan(path, other, RULES)
    assert not plan.fits
    [row] = [row for row in plan.rows if row.name == name]
    assert row.note.startswith(told)
    with pytest.raises(RuntimeError, match=f"`{name}` is"):
        load(path, other, migrations=RULES)


def test_64_bits_need_their_switch(tmp_path):
    save(tmp_path / "it", {"w": np.ones(2)})
    other = {"w": jax.ShapeDtypeStruct((2,), np.float64)}
    [row] = migration_plan(tmp_path / "it", other).rows
    assert "`jax_enable_x64` must be switched on" in row.note
    assert migration_plan(tmp_path / "it", {"w": np.ones(2)}).fits


def test_a_default_function_of_another_shape_does_not_fit(path):
    rules = [*RULES[:3], default("scale", lambda it: np.ones(3, np.float32))]
    plan = migration_plan(path, like(), rules)
    assert [row.note for row in plan.rows if row.name == "scale"] == ["float32[3] in the file"]
