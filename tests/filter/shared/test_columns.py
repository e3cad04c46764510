"""Columns of a table, shortened where they are too wide."""

from eqx_filter.shared._columns import GAP, WIDTH, fit, line_of, widths_of

HEADER = ("path", "number")


def test_columns_are_as_wide_as_what_they_hold():
    assert widths_of(HEADER, [HEADER, ("a", "12345678")], {}) == [4, 8]


def test_the_widest_is_shortened_and_no_further_than_told():
    lines = [HEADER, ("a" * 90, "1" * 20)]
    assert widths_of(HEADER, lines, {"path": 16}) == [WIDTH - GAP - 20, 20]
    assert widths_of(HEADER, lines, {"path": 85}) == [85, 20]


def test_a_line_is_padded_and_paths_are_told_by_their_ends():
    line = line_of(HEADER, ("layers.0.weight", "7"), [9, 6], left=["path"], paths=["path"])
    assert line == "…0.weight       7"
    assert line_of(HEADER, ("a", "7"), [3, 3], left=HEADER, paths=()) == "a    7"


def test_fit():
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcdef", 4, from_left=True) == "…def"
