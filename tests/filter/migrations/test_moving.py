"""`rename`, `copy`, `drop` and `default`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.migrations import copy, default, drop, migrate, rename, reverse

A, B = np.arange(3.0), np.ones((2, 2))


class TestRename:
    def test_a_node_moves_with_all_below_and_the_rest_stays(self):
        found = migrate({"lin.weight": B, "lin.bias": A, "n": 3}, rename("lin", "layers.0"))
        assert list(found) == ["layers.0.weight", "layers.0.bias", "n"]
        assert found["layers.0.weight"] is B
        assert found["n"] == 3

    def test_names_may_change_places(self):
        rules = [rename("a", "x"), rename("b", "a"), rename("x", "b")]
        found = migrate({"a.w": A, "b.w": B}, rules)
        assert found["a.w"] is B
        assert found["b.w"] is A

    def test_what_is_below_another_node_must_not_have_its_name(self):
        told = r"`rename\('a', 'b'\)` would give one name, `b.w`, to two arrays: those of `a.w` and"
        with pytest.raises(ValueError, match=told):
            migrate({"a.w": A, "b.w": B}, rename("a", "b"))

    def test_no_name_is_refused_with_the_nearest(self):
        told = (
            r"`rename\('lin', 'b'\)` finds no name in the arrays that `lin` stands for; the "
            r"nearest are `line`\. Pass `optional=True`"
        )
        with pytest.raises(ValueError, match=told):
            migrate({"line.weight": A, "other.part": B}, rename("lin", "b"))
        told = r"stands for; there are `other`\. Pass"
        with pytest.raises(ValueError, match=told):
            migrate({"other": B}, rename("lin", "b"))
        assert migrate({"other": B}, rename("lin", "b", optional=True)) == {"other": B}

    def test_stars_must_be_the_same(self):
        told = r"stars in the same order.*`a\.\*` has `\*`, and `b\.\*\*` has `\*\*`"
        with pytest.raises(ValueError, match=told):
            rename("a.*", "b.**")
        with pytest.raises(ValueError, match=r"`a` has none, and `b\.\*\.\*` has `\*`, `\*`"):
            rename("a", "b.*.*")


class TestCopy:
    def test_both_names_have_one_array(self):
        found = migrate({"embedding.weight": B}, copy("embedding", "head"))
        assert list(found) == ["embedding.weight", "head.weight"]
        assert found["head.weight"] is B

    def test_what_is_there_stays(self):
        found = migrate({"a.w": A, "b.w": B}, copy("a", "b"))
        assert found["b.w"] is B

    def test_the_way_back_drops_the_second(self):
        rules = copy("a.*", "b.*")
        assert list(migrate(migrate({"a.w": A}, rules), reverse(rules))) == ["a.w"]

    def test_two_to_one_are_refused(self):
        with pytest.raises(ValueError, match=r"`copy\(.*\)` would give one name, `1zz`, to two"):
            migrate({"x1zy": A, "x1yz": B}, copy("x*y*", "*z*"))


class TestDrop:
    def test_leaves_out_what_is_below(self):
        assert migrate({"a.w": A, "ab": B}, drop("a")) == {"ab": B}

    def test_no_name_is_refused_unless_it_is_optional(self):
        with pytest.raises(ValueError, match=r"`drop\('b'\)` finds no name in the arrays"):
            migrate({"a": A}, drop("b"))
        assert list(migrate({"a": A}, drop("b", optional=True))) == ["a"]

    def test_way_back(self):
        with pytest.raises(ValueError, match=r"`drop\('b'\)` has no way back: what it drops"):
            reverse(drop("b"))
        optional = drop("b", optional=True)
        assert reverse(optional) == (optional,)


class TestDefault:
    LIKE = {  # noqa: RUF012
        "a": jax.ShapeDtypeStruct((2,), jnp.float16),
        "b": np.arange(2),
        "n": 1.0,
        "layers.0.s": np.zeros(1),
        "layers.1.s": np.zeros(1),
        "layers.1.s.t": np.zeros(1),
    }

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("a", 2.0, np.full(2, 2, np.float16)),
            ("a", np.float64(2), np.full(2, 2, np.float16)),
            ("b", True, np.ones(2, np.int64)),
            ("a", jnp.ones_like, np.ones(2, np.float16)),
            ("a", [1.0, 2.0], np.array([1.0, 2.0])),
            ("b", None, np.arange(2)),
        ],
    )
    def test_values(self, name, value, expected):
        found = migrate({}, default(name, value), self.LIKE)[name]
        np.testing.assert_array_equal(found, expected, strict=True)

    @pytest.mark.parametrize(
        ("name", "value"), [("a", 1j), ("b", 1.5), ("i", 300), ("i", -(2**70)), ("k", 1.0)]
    )
    def test_a_number_without_a_place_in_the_dtype_is_refused(self, name, value):
        like = {**self.LIKE, "i": np.zeros(2, np.int8), "k": jax.random.key(0)}
        with pytest.raises(
            ValueError, match=rf"gives .* to `{name}`, which is of dtype .* no place"
        ):
            migrate({}, default(name, value), like)

    def test_keys_are_refused(self):
        like = {"k": jax.random.key(0)}
        for value in (like["k"], lambda key: key, jax.random.split(like["k"])):
            with pytest.raises(ValueError, match=r"`default\('k', .*\)` gives PRNG keys for `k`"):
                migrate({}, default("k", value), like)

    def test_its_repr_tells_of_arrays_by_dtype_and_shape(self):
        assert repr(default("a", np.ones((2, 3)))) == "default('a', float64[2,3])"
        assert repr(default("a", jnp.ones(2))) == "default('a', float32[2])"

    def test_what_its_function_raises_has_a_note(self):
        with pytest.raises(ZeroDivisionError) as caught:
            migrate({}, default("a", lambda _: 1 // 0), self.LIKE)
        assert caught.value.__notes__[0].endswith("for `a`.")

    def test_numbers_stay_numbers(self):
        assert migrate({}, default("n", 2.0), self.LIKE) == {"n": 2.0}

    def test_what_is_there_stays(self):
        assert migrate({"a": A}, default("a", 2.0), self.LIKE)["a"] is A

    def test_stars_stand_for_leaves_of_like(self):
        found = migrate({"layers.1.s": A}, default("layers.*.s", 1), self.LIKE)
        assert list(found) == ["layers.1.s", "layers.0.s"]
        np.testing.assert_array_equal(found["layers.0.s"], [1.0])

    def test_later_rules_rename_it(self):
        assert list(migrate({}, [default("x", [1]), rename("x", "a")], self.LIKE)) == ["a"]

    def test_the_way_back_leaves_it_out(self):
        assert migrate({"a": A, "x": B}, reverse(default("x"))) == {"a": A}

    def test_refusals(self):
        with pytest.raises(ValueError, match=r"`default\('c'\)` gives a value to `c`, which is no"):
            migrate({}, default("c"), self.LIKE)
        told = r"`default\('a'\)` takes `a` from `like`, where it is a `jax\.ShapeDtypeStruct`"
        with pytest.raises(ValueError, match=told):
            migrate({}, default("a"), self.LIKE)
        told = r"`default\('c\.\*'\)` finds no leaf of `like`, which has `a`, `b`, `n`,"
        with pytest.raises(ValueError, match=told):
            migrate({}, default("c.*"), self.LIKE)
