"""What is said of a file that does not fit: only ways out that can help, and rules that would."""

import jax.numpy as jnp
import pytest

from eqx_filter import load, save
from eqx_filter.migrations import rename


def of(*names, size=2):
    return {name: jnp.ones(size) for name in names}


def told(path, tree, like, **settings):
    save(path / "x", tree)
    with pytest.raises(RuntimeError, match="does not fit `like`") as caught:
        load(path / "x", like, **settings)
    return str(caught.value)


class TestWaysOut:
    def test_of_shapes_there_is_none(self, tmp_path):
        assert told(tmp_path, of("a"), of("a", size=3)).endswith("and of (2,) in the file.")

    def test_of_names(self, tmp_path):
        text = told(tmp_path, of("a"), of("a", "b"))
        assert text.endswith("The file lacks `b`. `strict=False` takes what is in both.")

    def test_of_dtypes(self, tmp_path):
        text = told(tmp_path, of("a"), {"a": jnp.ones(2, int)}, strict=False)
        assert text.endswith("and of `float32` in the file. `cast=True` takes other dtypes.")

    def test_of_complex_numbers_there_is_none(self, tmp_path):
        text = told(tmp_path, {"a": jnp.ones(2, complex)}, of("a"))
        assert text.endswith("and of `complex64` in the file.")

    def test_of_what_is_no_array(self, tmp_path):
        text = told(tmp_path, {"a": jnp.ones(2), "f": jnp.sin}, {"a": jnp.ones(2), "f": jnp.cos})
        assert text.endswith('`static="ignore"` takes other values of what is no array.')
        assert "strict" not in text
        assert "cast" not in text


class TestRenames:
    @pytest.mark.parametrize(
        ("tree", "like", "rules"),
        [
            (
                {"e": of("w"), "head": of("w", "b")},
                {"e": of("w"), "classifier": of("w", "b")},
                [("head", "classifier")],
            ),
            (
                {"h": [of("w"), of("w")]},
                {"blocks": [of("w"), of("w")]},
                [("h", "blocks")],
            ),
            (
                {"net": {"a": of("w"), "b": of("w", "v")}},
                {"a": of("w"), "b": of("w", "v")},
                [("net", "")],
            ),
            (
                {"a": of("w"), "b": of("w", "v")},
                {"net": {"a": of("w"), "b": of("w", "v")}},
                [("", "net")],
            ),
            ({"a": of("x", "y")}, {"a": of("x", "z")}, [("a.y", "a.z")]),
            (
                {"h": [{"fc": of("w"), "g": of("w")} for _ in range(2)]},
                {"h": [{"lin": of("w"), "g": of("w")} for _ in range(2)]},
                [("h.*.fc", "h.*.lin")],
            ),
            (
                {"a": of("w"), "b": of("v")},
                {"c": of("w"), "d": of("v")},
                [("a", "c"), ("b", "d")],
            ),
        ],
    )
    def test_that_fit_are_told(self, tree, like, rules, tmp_path):
        text = told(tmp_path, tree, like)
        given = ", ".join(f'rename("{old}", "{new}")' for old, new in rules)
        assert f"renamed: `migrations=[{given}]`, of `equinox.migrations`." in text
        load(tmp_path / "x", like, migrations=[rename(*rule) for rule in rules])

    @pytest.mark.parametrize(
        ("tree", "like"),
        [
            ({"a": of("w"), "b": of("w")}, {"c": of("w"), "d": of("w")}),
            ({"a": of("w", size=3)}, {"b": of("w")}),
            ({"a": of("w", "v")}, {"b": of("w"), "a": of("v")}),
            ({"a": of("w")}, {"a": of("w"), "b": of("w")}),
            ({"a*": of("w")}, {"b": of("w")}),
        ],
        ids=["two that are alike", "other shape", "half of a node", "nothing left", "a star"],
    )
    def test_that_do_not_are_not(self, tree, like, tmp_path):
        assert "rename" not in told(tmp_path, tree, like)

    def test_are_more_than_the_rules_that_are_there(self, tmp_path):
        tree = {"a": of("w"), "b": of("v")}
        text = told(tmp_path, tree, {"c": of("w"), "d": of("v")}, migrations=rename("a", "c"))
        assert 'If it was renamed: `migrations=[..., rename("b", "d")]`' in text

    def test_no_more_than_four(self, tmp_path):
        tree = {f"a{i}": of("w", size=i + 2) for i in range(6)}
        text = told(tmp_path, tree, {f"b{i}": of("w", size=i + 2) for i in range(6)})
        assert text.count("rename(") == 4
        assert 'rename("a3", "b3"), ...]`' in text


def test_a_mapping_is_no_path():
    with pytest.raises(TypeError, match=r"`path` is a `dict`.*`from_torch.*`migrate.*`from_paths"):
        load({"a": jnp.ones(2)}, of("a"))
