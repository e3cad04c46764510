"""Patterns over names, and what their stars stand for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqx_filter.migrations._stars import Match, Stars
from eqx_filter.paths._glob import Pattern


@pytest.mark.parametrize(
    ("pattern", "name", "stars", "rest"),
    [
        ("lin", "lin.weight", (), "weight."),
        ("lin", "lin", (), ""),
        ("", "lin.weight", (), "lin.weight."),
        ("", "", (), ""),
        ("layers.*", "layers.10.weight", ("10",), "weight."),
        ("*_proj", "q_proj.bias", ("q",), "bias."),
        ("*_*", "a_b_c", ("a_b", "c"), ""),
        ("a*b*c.x", "abbcbc.x", ("bbc", ""), ""),
        ("*ab*b", "abab", ("", "a"), ""),
        (r"*\.*e", r"\.\ee.w", ("", r"\e"), "w."),
        ("*.b*c.*", "x.bac.1", ("x", "a", "1"), ""),
        ("**.weight", "weight", ("",), ""),
        ("**.weight", "a.b.weight", ("a.b.",), ""),
        ("**.attn", "attn.attn.w", ("",), "attn.w."),
        ("a.**.z", "a.b.c.z.y", ("b.c.",), "y."),
        ("layers[*].weight", "layers.1.weight", ("1",), ""),
        (r"a\.b.*", r"a\.b.c", ("c",), ""),
        ("*", r"a\.b", (r"a\.b",), ""),
    ],
)
def test_stars_are_told_apart_and_put_back(pattern, name, stars, rest):
    found = Stars(pattern).match(name)
    assert found == Match(stars, rest)
    assert Stars(pattern).name(found) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("lin", "linear.weight"),
        ("layers.*", "layers"),
        ("*.weight", "a.b.weight"),
        (r"a\*", "ab"),
        ("a.b", "a"),
    ],
)
def test_other_names_do_not_match(pattern, name):
    assert Stars(pattern).match(name) is None


@pytest.mark.parametrize(
    ("old", "new", "name", "expected"),
    [
        ("transformer.h.*", "blocks.*", "transformer.h.3.ln.bias", "blocks.3.ln.bias"),
        ("model.**", "**", "model.a.b", "a.b"),
        ("**", "inner.**", "a.b", "inner.a.b"),
        ("", "inner", "a.b", "inner.a.b"),
        ("inner", "", "inner.a.b", "a.b"),
        ("h.*.attn.*", "blocks.*.in_proj_*", "h.0.attn.weight", "blocks.0.in_proj_weight"),
        ("**.a", "**.b", "a", "b"),
    ],
)
def test_what_matched_is_put_into_another_pattern(old, new, name, expected):
    assert Stars(new).name(Stars(old).match(name)) == expected


@given(
    st.text("ab*", min_size=1, max_size=7).filter(lambda it: set(it) != {"*"}),
    st.text("ab", min_size=1, max_size=7),
)
def test_several_stars_in_a_part_are_those_of_a_regular_expression(pattern, name):
    groups = re.sub(r"\*+", "(.*)", pattern)
    expected = re.fullmatch(groups, name)
    found = Stars(pattern).match(name)
    assert (found is None) == (expected is None)
    assert found is None or found.stars == expected.groups()
    assert Pattern(pattern).matches(name, 1) == (expected is not None)


def test_many_stars_take_no_longer_than_they_need():
    pattern, name = "*a" * 40 + "*b", "a" * 400
    assert Stars(pattern).match(name) is None
    assert not Pattern(f"{pattern}.c").matches(f"{name}.c", 2)
    assert Stars(f"{pattern}*").match(f"{name}b").stars[:2] == ("a" * 360, "")


def test_no_pattern():
    with pytest.raises(ValueError, match=r"`a\.\.b` is no path: it has an empty part"):
        Stars("a..b")
