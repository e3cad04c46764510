"""`transpose` and `convert`, and what other rules of arrays refuse when they are made."""

import jax
import numpy as np
import pytest

from eqx_filter.migrations import (
    convert,
    join,
    migrate,
    rename,
    reverse,
    split,
    stack,
    transpose,
    unstack,
)

A = np.arange(24.0).reshape(2, 3, 4)
V = np.arange(3.0)
KEY = jax.random.key(0)


class TestTranspose:
    def test_all_axes_or_those_that_are_told(self):
        found = migrate({"a.x": A, "a.v": V, "a.n": 2}, transpose("a"))
        np.testing.assert_array_equal(found["a.x"], A.T, strict=True)
        np.testing.assert_array_equal(found["a.v"], V, strict=True)
        assert found["a.n"] == 2
        found = migrate({"a": A}, transpose("a", [2, 0, 1]))
        np.testing.assert_array_equal(found["a"], A.transpose(2, 0, 1), strict=True)

    def test_is_a_view(self):
        assert np.shares_memory(migrate({"a": A}, transpose("a"))["a"], A)

    def test_way_back(self):
        rule = transpose("a", (2, 0, 1))
        assert reverse(rule) == (transpose("a", (1, 2, 0)),)
        assert reverse(transpose("a")) == (transpose("a"),)

    def test_refusals(self):
        with pytest.raises(ValueError, match=r"`axes` of `transpose` has each of 0 to 1 once; got"):
            transpose("a", (0, 2))
        told = (
            r"`transpose\('a', \(1, 0\)\)` cannot be applied to `a\.v` of the arrays: it has the "
            r"shape \(3,\), of which \(1, 0\) are not all axes"
        )
        with pytest.raises(ValueError, match=told):
            migrate({"a.v": V}, transpose("a", (1, 0)))


class TestConvert:
    def test_function_and_way_back(self):
        rule = convert("a", np.negative, np.negative)
        found = migrate({"a": A, "b": V}, rule)
        np.testing.assert_array_equal(found["a"], -A, strict=True)
        assert found["b"] is V
        np.testing.assert_array_equal(migrate(found, reverse(rule))["a"], A, strict=True)

    def test_others_may_follow(self):
        rules = [convert("a", lambda x: x[0]), split("a", ["b", "c"], axis=1)]
        found = migrate({"a": A}, rules)
        np.testing.assert_array_equal(found["c"], A[0, :, 2:], strict=True)

    def test_no_way_back(self):
        with pytest.raises(ValueError, match=r"`convert\('a', .*\)` has no way back\. Pass a fun"):
            reverse(convert("a", np.negative))

    @pytest.mark.parametrize("function", [lambda _: None, lambda _: "text", lambda _: KEY])
    def test_what_is_no_array_is_refused(self, function):
        told = r"`convert\('a', .*\)` gives .* for `a\.x`, and must give an array of numbers"
        with pytest.raises(ValueError, match=told):
            migrate({"a.x": A}, convert("a", function))

    def test_what_its_function_raises_has_a_note(self):
        with pytest.raises(ZeroDivisionError) as caught:
            migrate({"a.x": A}, convert("a", lambda _: 1 // 0))
        [note] = caught.value.__notes__
        assert note.startswith("It was raised in `convert('a', ")
        assert note.endswith("for `a.x`.")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rename("a", None), r"A pattern of a rule is a text, .*; got None"),
        (lambda: rename(3, "a"), r"A pattern of a rule is a text, .*; got 3"),
        (lambda: convert("a", 3), r"`convert` takes a function as `function`; 3 cannot"),
        (lambda: convert("a", abs, 3), r"`convert` takes a function as `back`; 3 cannot"),
    ],
)
def test_arguments_of_other_kinds(make, told):
    with pytest.raises(TypeError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: split("a", "b"), r"`split` has a list of patterns for the parts; got 'b'"),
        (lambda: join([], "b"), r"`join` has a list of patterns for the parts; got \[\]"),
        (lambda: split("*", ["b"]), r"Patterns of `split` have the same stars"),
        (lambda: join(["*.a", "b"], "*"), r"Patterns of `join` have the same stars"),
        (lambda: split("a", ["b", "c"], sizes=[1]), r"there are 2 parts, and 1 sizes"),
        (lambda: split("a", ["b", "c"], sizes=[7, -1]), r"from 0 on; got \(7, -1\)"),
        (lambda: join(["b", "c"], "a", sizes=[1.0, 2]), r"of `join` are integers .* \(1\.0, 2\)"),
        (lambda: stack("a.**", "a"), r"`stack` has a pattern of numbered .* got `a\.\*\*` and `a`"),
        (lambda: stack("a", "a"), r"`stack` has a pattern of numbered nodes"),
        (lambda: unstack("*.b", "b.*"), r"`unstack` has a pattern of .* got `b\.\*` and `\*\.b`"),
    ],
)
def test_patterns_that_do_not_fit(make, told):
    with pytest.raises(ValueError, match=told):
        make()
