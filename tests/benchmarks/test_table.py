"""How figures are told: units, ratios, what is missing, what is reached."""

import pytest


def line_of(text, title):
    [line] = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (2.345e-6, "us", "2.35 us"),
        (0.2805, "ms", "280 ms"),
        (1234e-6, "us", "1,234 us"),
        (5e-8, "us", "0.05 us"),
        (0.5, "", "0.5"),
        (0.0, "", "0"),
        (21_486.2, "B", "21,486 B"),
        (None, "us", ""),
    ],
)
def test_figure(value, unit, told):
    from table import figure

    assert figure(value, unit) == told


def test_a_row_has_every_side_and_both_ratios(results):
    from table import rows_table

    text = rows_table(results)
    head = text.splitlines()[0]
    assert head == (
        "| work | plain JAX 0.10.2 | ours | equinox 0.13.8 | Flax NNX 0.12.8 "
        "| ours / plain | ours / equinox | to reach |"
    )
    assert line_of(text, "flatten a 9-layer MLP")[1:] == [
        *("2 us", "3 us", "12 us", "50 us"),
        *("1.50", "0.25", "2.00x plain ✓"),
    ]


def test_what_a_side_does_not_have_is_an_empty_cell(results):
    from table import rows_table

    assert line_of(rows_table(results), "tree_at")[1:] == [
        *("", "15 us", "150 us", ""),
        *("", "0.10", "0.33x equinox ✓"),
    ]


def test_a_target_may_be_met_missed_or_absolute(results):
    from table import rows_table

    text = rows_table(results)
    assert line_of(text, "jit call, model in, model out")[-1] == "1.30x plain ✗"
    assert line_of(text, "import, over `import jax`")[-1] == "0.35x equinox ✓"
    assert line_of(text, "share of the work for which a jitted call blocks")[-1] == "0.1 ✓"


def test_without_the_peer_its_column_its_ratio_and_its_marks_are_left_out(results):
    from table import rows_table

    del results["versions"]["peer"]
    for figures in results["rows"].values():
        figures.pop("peer", None)
    text = rows_table(results)
    assert "equinox 0.13.8" not in text
    assert line_of(text, "tree_at")[1:] == ["", "15 us", "", "", "0.33x equinox"]


def test_growth_is_told_from_the_smallest_size_to_the_largest(results):
    from table import growth_table

    text = growth_table(results)
    assert "| **leaves of a model: 10 → 1,000** |" in text
    assert line_of(text, "flatten, for each leaf")[1:] == [
        *("100 → 100 ns", "200 → 150 ns", "2,000 ns (at 10)"),
        "1.0x ✓",
    ]


def test_what_grows_more_than_plain_jax_is_marked(results):
    from table import growth_table

    assert line_of(growth_table(results), "call them in turn")[-1] == "10.0x ✗"
    results["growth"]["variants"]["turn"]["plain"]["1000"] = 26e-6
    assert line_of(growth_table(results), "call them in turn")[-1] == "10.0x ✓"


def test_memory_is_told_in_bytes_and_programs_by_their_number(results):
    from table import growth_table

    text = growth_table(results)
    assert line_of(text, "Python memory, for each variant")[2] == "25,000 → 24,000 B"
    assert line_of(text, "Python memory kept, for each that was dropped")[2] == "140 B"
    assert line_of(text, "programs kept, for each that was dropped")[2] == "0"


def test_every_line_of_a_table_has_as_many_cells(results):
    from table import markdown

    for part in markdown(results).split("\n\n"):
        assert len({line.count("|") for line in part.splitlines()}) == 1


@pytest.mark.parametrize("missing", ["rows", "growth"])
def test_what_was_not_measured_has_no_table(results, missing):
    from table import markdown

    results[missing] = {}
    text = markdown(results)
    assert ("| work |" in text) == (missing != "rows")
    assert ("| as it grows |" in text) == (missing != "growth")
