"""`split`, `join`, `stack` and `unstack`, applied."""

import numpy as np
import pytest

from eqx_filter.migrations import convert, join, migrate, reverse, split, stack, unstack
from eqx_filter.migrations._entries import Kept

W, V = np.arange(24.0).reshape(6, 4), np.arange(6.0)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, strict=True)


class TestSplit:
    def test_equal_parts_of_all_below(self):
        found = migrate({"0.qkv.w": W, "x": V, "0.qkv.b": V}, split("*.qkv", ["*.q", "*.k", "*.v"]))
        assert_same(
            found,
            {
                **{f"0.{name}.w": W[2 * i : 2 * i + 2] for i, name in enumerate("qkv")},
                "x": V,
                **{f"0.{name}.b": V[2 * i : 2 * i + 2] for i, name in enumerate("qkv")},
            },
        )

    def test_sizes_on_another_axis_and_views(self):
        found = migrate({"a": W}, split("a", ["b", "c"], axis=-1, sizes=[1, 3]))
        assert_same(found, {"b": W[:, :1], "c": W[:, 1:]})
        assert np.shares_memory(found["c"], W)

    def test_numbers_are_those_of_every_part(self):
        assert migrate({"a.n": 3}, split("a", ["b", "c"])) == {"b.n": 3, "c.n": 3}

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"axis": 1}, r"`a\.w` of the arrays: its axis 1 is of 4, which is not .* of 3 equal"),
            ({"axis": 2}, r"`a\.w` of the arrays: it has the shape \(6, 4\), and no axis 2"),
            ({"sizes": (1, 2, 4)}, r"its axis 0 is of 6, which is not that of sizes \(1, 2, 4\)"),
        ],
    )
    def test_refusals(self, options, told):
        with pytest.raises(ValueError, match=told):
            migrate({"a.w": W}, split("a", ["q", "k", "v"], **options))

    def test_parts_need_names_of_their_own(self):
        with pytest.raises(ValueError, match=r"would give one name, `b`, to two arrays: .* `a`"):
            migrate({"a": W}, split("a", ["b", "b"]))


class TestReading:
    def test_what_is_taken_apart_is_computed_once(self):
        calls = []

        def function(array):
            calls.append(array.shape)
            return array + 1

        for rule in (split("a", ["b", "c", "d"]), unstack("a", "a.*")):
            calls.clear()
            found = migrate({"a": W}, [convert("a", function), rule])
            assert calls == [W.shape] * 2  # once for its shape, once for its values
            np.testing.assert_array_equal(
                np.concatenate([np.atleast_2d(it) for it in found.values()]), W + 1
            )

    def test_it_is_let_go_after_the_last_part(self):
        made = []

        def read(checked):
            made.append(checked)
            return W

        kept = Kept(read, 2)
        assert kept(False) is W
        assert kept(True) is W
        assert kept(False) is W
        assert made == [False, True]
        kept(True)
        assert made == [False, True, True]


class TestJoin:
    def test_is_the_way_back(self):
        rule = split("*.a", ["*.b", "*.c"], axis=1, sizes=(1, 3))
        given = {"0.a.w": W, "1.a.w": -W, "1.a.n": 2}
        there = migrate(given, rule)
        assert_same(migrate(there, reverse(rule)), given)
        back = join(["*.b", "*.c"], "*.a", axis=1, sizes=[1, 3])
        assert reverse(rule) == (back,)
        assert reverse(back) == (rule,)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"b.w": W}, r"`b\.w` of the arrays: there is `b\.w`, and no `c\.w`, which comes with"),
            ({"b.w": W, "c.w": V}, r"`c\.w` .*: it has the shape \(6,\), and `b\.w` has \(6, 4\)"),
            ({"b.w": W, "c.w": W[:, 1:]}, r"they must differ on axis 0 alone"),
            ({"b.w": W, "c.w": 3}, r"`c\.w` .* it is of the kind `number`, and `b\.w` is `array`"),
            ({"b.w": W, "c.w": W.astype("f4")}, r"`c\.w` .*: its dtype is float32, and that of"),
            ({"b.n": 1, "c.n": 2}, r"`c\.n` .*: its number is 2, and that of `b\.n` is 1; they"),
            ({"b.w": np.ones(()), "c.w": np.ones(())}, r"has the shape \(\), and no axis 0"),
        ],
    )
    def test_refusals(self, given, told):
        with pytest.raises(ValueError, match=told):
            migrate(given, join(["b", "c"], "a"))


class TestStack:
    GIVEN = {"m.0.w": W, "m.1.w": -W, "m.0.n": 2, "m.1.n": 2}  # noqa: RUF012

    def test_there_and_back(self):
        rule = stack("m.*", "m")
        found = migrate(self.GIVEN, rule)
        assert_same(found, {"m.w": np.stack([W, -W]), "m.n": 2})
        back = migrate(found, reverse(rule))
        assert_same(dict(sorted(back.items())), dict(sorted(self.GIVEN.items())))
        assert reverse(reverse(rule)) == (rule,)

    def test_each_node_by_itself(self):
        given = {"a.m.0.w": W, "b.m.1.w": V, "b.m.0.w": -V}
        found = migrate(given, stack("*.m.*", "*.m"))
        assert_same(found, {"a.m.w": W[None], "b.m.w": np.stack([-V, V])})

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"m.0.w": W, "m.2.w": W}, r"`m\.w` is of numbers from 0 on without a gap; got 0, 2"),
            ({"m.0.w": W, "m.a.w": W}, r"without a gap; got 0, a"),
            (
                {"m.0.w": W, "m.1.w": W, "m.0.b": V},
                r"`m\.0\.b` of the arrays: `m\.b` is of 1, and others of its node are of 2",
            ),
            ({"m.0.w": W, "m.1.w": V}, r"`m\.1\.w` .*: it has the shape \(6,\), and `m\.0\.w` has"),
        ],
    )
    def test_refusals(self, given, told):
        with pytest.raises(ValueError, match=told):
            migrate(given, stack("m.*", "m"))

    def test_refusals_of_the_way_back(self):
        rule = unstack("m", "m.*")
        with pytest.raises(ValueError, match=r"`m\.w` of the arrays: it has the shape \(\)"):
            migrate({"m.w": np.ones(())}, rule)
        told = r"`m\.v` .* it has the shape \(2,\), and others of its node have 6 first"
        with pytest.raises(ValueError, match=told):
            migrate({"m.w": W, "m.v": V[:2]}, rule)

    def test_numbers_alone_stay_since_nothing_tells_how_many(self):
        assert migrate({"m.n": 2}, unstack("m", "m.*")) == {"m.n": 2}
