"""`load` with `migrations`: what a file has under other names and in other layouts."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from eqx_filter import by, filter_eval_shape, load, save, tree_equal
from eqx_filter.checkpoints._container import Reader, write
from eqx_filter.checkpoints._migrated import as_file, migration
from eqx_filter.checkpoints._texts import texts_of
from eqx_filter.migrations import (
    convert,
    copy,
    default,
    drop,
    join,
    rename,
    split,
    stack,
    transpose,
    unstack,
)
from eqx_filter.paths._dotted import tree_paths
from eqx_filter.paths._nodes import nodes_of

W, V = jnp.arange(12.0).reshape(6, 2), jnp.arange(6.0)
HERE = SingleDeviceSharding(jax.devices()[0])


def saved(folder, tree, **options):
    save(folder / "some", tree, **options)
    return folder / "some"


RULES = {
    "rename": (rename("a", "b"), {"b": {"w": W, "v": V}}),
    "transpose": (transpose("a"), {"a": {"w": W.T, "v": V}}),
    "split": (split("a", ["q", "k"]), {k: {"w": w, "v": v} for k, w, v in
              (("q", W[:3], V[:3]), ("k", W[3:], V[3:]))}),
    "join": (join(["a.v", "a.v2"], "a.v"), {"a": {"w": W, "v": jnp.concatenate([V, -V])}}),
    "stack": (stack("a.*", "a"), {"a": jnp.stack([V, -V])}),
    "unstack": (unstack("a.w", "a.*"), {"a": [*W]}),
    "convert": (convert("a.w", np.sqrt), {"a": {"w": jnp.sqrt(W), "v": V}}),
    "drop": (drop("a.v"), {"a": {"w": W}}),
    "default": (default("c", 2.0), {"a": {"w": W, "v": V}, "c": jnp.full(3, 2.0)}),
}  # fmt: skip
GIVEN = {
    "join": {"a": {"w": W, "v": V, "v2": -V}},
    "stack": {"a": [V, -V]},
    "unstack": {"a": {"w": W}},
}


@pytest.mark.parametrize("sharding", [None, HERE])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("kind", RULES)
def test_each_rule(tmp_path, kind, checksum, sharding):
    rule, expected = RULES[kind]
    path = saved(tmp_path, GIVEN.get(kind, {"a": {"w": W, "v": V}}), checksum=checksum)
    like = filter_eval_shape(lambda: expected)
    assert tree_equal(load(path, like, migrations=rule, sharding=sharding), expected, rtol=1e-6)


LEAVES = {
    "bfloat16": lambda: jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3),
    "complex": lambda: jnp.arange(6).reshape(2, 3) * 1j,
    "int4": lambda: jnp.arange(6, dtype=jnp.int4).reshape(2, 3),
    "numpy": lambda: np.arange(6).reshape(2, 3),
    "big-endian": lambda: np.arange(6, dtype=">i8").reshape(2, 3).astype("i8"),
    "empty": lambda: jnp.ones((0, 3)),
}


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("name", LEAVES)
def test_any_dtype_is_transposed_and_renamed(tmp_path, name, checksum):
    leaf = LEAVES[name]()
    path = saved(tmp_path, [leaf, leaf], checksum=checksum)
    expected = {"a": leaf.T, "b": leaf}
    rules = [rename("0", "a"), transpose("a"), rename("1", "b")]
    assert tree_equal(load(path, jax.tree.map(lambda x: x, expected), migrations=rules), expected)


class TestWhatIsNoArray:
    def test_keys_and_numbers_are_renamed(self, tmp_path):
        tree = {"a": {"key": jax.random.key(1), "n": 3, "act": jnp.tanh}}
        found = load(saved(tmp_path, tree), {"b": tree["a"]}, migrations=rename("a", "b"))
        assert tree_equal(found, {"b": tree["a"]})

    def test_keys_keep_their_axes(self, tmp_path):
        path = saved(tmp_path, [jax.random.split(jax.random.key(1), 4)])
        told = r"`0` of `.*some.safetensors`: it is an array of PRNG keys, whose names alone"
        for rule in (transpose("0"), split("0", ["b", "c"]), stack("*", "")):
            with pytest.raises(ValueError, match=told):
                load(path, {"0": jax.random.key(1)}, migrations=rule)

    def test_texts_are_compared_under_new_names(self, tmp_path):
        path = saved(tmp_path, {"a": {"act": jnp.tanh, "w": V}})
        with pytest.raises(RuntimeError, match=r"`b\.act` is sin in `like`, and was tanh when it"):
            load(path, {"b": {"act": jnp.sin, "w": V}}, migrations=rename("a", "b"))
        rules = [drop("a.act"), rename("a", "b")]
        load(path, {"b": {"act": jnp.sin, "w": V}}, migrations=rules)

    def test_texts_of_parts_that_differ_are_not_compared(self, tmp_path):
        tree = [{"w": V, "act": jnp.tanh}, {"w": V, "act": jnp.sin}]
        like = {"w": jnp.stack([V, V]), "act": jnp.cos}
        assert tree_equal(load(saved(tmp_path, tree), like, migrations=stack("*", "")), like)

    def test_a_moved_text_goes_before_one_that_is_there(self, tmp_path):
        path = saved(tmp_path, {"act": jnp.sin, "a": {"act": jnp.tanh, "w": V}})
        load(path, {"act": jnp.tanh, "w": V}, migrations=rename("a", ""))


class TestSharing:
    @pytest.mark.parametrize("rule", [rename("*", "b.*"), transpose("*"), split("*", ["*.a"])])
    def test_an_array_of_two_names_stays_one(self, tmp_path, rule):
        found = load(saved(tmp_path, [W, W]), _like_of(rule), migrations=rule)
        first, second = jax.tree.leaves(found)
        assert first is second

    def test_a_copy_is_one_array(self, tmp_path):
        rule = copy("a", "b")
        found = load(saved(tmp_path, {"a": W}), {"a": W, "b": W}, migrations=rule)
        assert found["a"] is found["b"]


def _like_of(rule):
    return {
        "rename('*', 'b.*')": {"b": [W, W]},
        "transpose('*')": [W.T, W.T],
        "split('*', ('*.a',))": [{"a": W}, {"a": W}],
    }[repr(rule)]


class TestOptions:
    def test_defaults_of_like_are_told_as_missing(self, tmp_path):
        path = saved(tmp_path, {"a": V})
        like = {"a": V + 1, "b": W}
        found, report = load(path, like, migrations=default("b"), report=True)
        assert tree_equal(found, {"a": V, "b": W})
        assert report.missing == ("b",)
        assert report.loaded == ("a",)

    def test_what_does_not_fit_has_its_new_name(self, tmp_path):
        path = saved(tmp_path, {"a": V, "cc": V})
        told = r"`b` is of shape \(6, 2\) in `like`, and of \(6,\) .* has also `cc` \(`like` has"
        with pytest.raises(RuntimeError, match=told):
            load(path, {"b": W, "cd": V}, migrations=rename("a", "b"))

    def test_casts_and_parts(self, tmp_path):
        path = saved(tmp_path, {"a": W, "c": V})
        like = {"b": jnp.zeros((2, 6), jnp.float16), "c": jnp.ones(6)}
        rules = [rename("a", "b"), transpose("b")]
        found = load(path, like, migrations=rules, cast=True, where="b")
        assert tree_equal(found, {"b": W.T.astype(jnp.float16), "c": jnp.ones(6)})

    def test_what_is_no_rule_is_refused(self, tmp_path):
        with pytest.raises(TypeError, match=r"`migrations` of `load` has rules, .* got 'a'"):
            load(saved(tmp_path, V), V, migrations=["a"])

    def test_a_rule_names_the_file(self, tmp_path):
        path = saved(tmp_path, {"a": V})
        with pytest.raises(ValueError, match=r"finds no name in `.*some\.safetensors` that `b`"):
            load(path, {"a": V}, migrations=drop("b"))


class TestReading:
    def test_what_is_wanted_alone_is_read(self, tmp_path, monkeypatch):
        path, seen = saved(tmp_path, {"a": W, "b": V, "c": V}), []
        for kind in ("read", "view"):
            real = getattr(Reader, kind)
            monkeypatch.setattr(
                Reader, kind, lambda self, name, real=real: seen.append(name) or real(self, name)
            )
        like = {"a": W.T, "x": V, "c": V}
        load(path, like, migrations=[transpose("a"), rename("b", "x")], where=by("a") | "x")
        assert seen == ["a", "b"]

    def test_parts_are_views_of_the_file(self, tmp_path):
        path = saved(tmp_path, {"a": W}).with_suffix(".safetensors")
        rules = [transpose("a"), split("a", ["b", "c"])]
        like = {"b": W[:, 0], "c": W[:, 1]}
        with Reader(path) as reader:
            texts = texts_of(path, reader.header)
            moved = migration(reader, texts, rules, nodes_of(like), tree_paths(like))
            file = as_file(reader, moved.entries)[0]
            assert not file.view("c").flags.owndata
            assert not file.view("c").flags.writeable
            assert file.read("c").flags.owndata
            assert np.shares_memory(file.view("c"), reader.view("a"))

    def test_damage_is_seen_through_rules(self, tmp_path):
        path = saved(tmp_path, {"a": W, "b": V}, checksum=True).with_suffix(".safetensors")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1  # in the array that comes last
        path.write_bytes(data)
        like = {"a": W.T, "c": V}
        with pytest.raises(RuntimeError, match=r"`[abc]` has the checksum \d+, and had \d+ when"):
            load(path, like, migrations=[transpose("a"), rename("b", "c")])


def test_a_model_in_several_files_by_the_names_of_another(tmp_path):
    parts = {"a": {"h.0.c.weight": W, "h.0.c.bias": V}, "b": {"h.1.c.weight": -W, "h.1.c.bias": V}}
    for name, arrays in parts.items():
        with (tmp_path / f"{name}.safetensors").open("wb") as file:
            write(file, {key: np.asarray(x) for key, x in arrays.items()}, {})
    places = {key: f"{name}.safetensors" for name, arrays in parts.items() for key in arrays}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": places}))
    expected = {"blocks": [{"q": {"weight": x[:3].T, "bias": V[:3]}, "k": {"weight": x[3:].T,
                "bias": V[3:]}} for x in (W, -W)]}  # fmt: skip
    rules = [split("h.*.c", ["blocks.*.q", "blocks.*.k"]), transpose("**.weight")]
    like = filter_eval_shape(lambda: expected)
    assert tree_equal(load(path, like, migrations=rules, sharding=HERE), expected)
