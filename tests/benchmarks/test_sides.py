"""Each side enters what `rows.py` declares, in the module of its topic, and it can be run."""

import pytest

LIBRARIES = {"plain": "jax", "equinox": "equinox", "nnx": "flax", "haiku": "haiku"}


@pytest.fixture(params=LIBRARIES)
def name(request):
    oldest = "0.12.2" if request.param == "nnx" else None  # the first that it is written for
    pytest.importorskip(LIBRARIES[request.param], minversion=oldest)
    return request.param


@pytest.fixture
def side(name):
    from sides import load

    return load(name)


def test_rows_are_declared_and_stand_in_the_module_of_their_topic(name, side):
    from rows import TOPICS

    topics = {row: topic for topic, rows in TOPICS.items() for row in rows}
    for row, prepare in {**side.rows, **side.figures}.items():
        assert prepare.__module__ == f"sides.{name}.{topics[row]}"


def test_families_are_declared(side):
    from rows import FAMILIES

    assert set(side.families) <= set(FAMILIES)


def test_ours_has_every_row_and_every_family():
    from rows import FAMILIES, ROWS
    from sides import load

    side = load("equinox")
    assert {**side.rows, **side.figures}.keys() == ROWS.keys()
    assert side.families.keys() == FAMILIES.keys()


def test_rows_of_a_quick_run_can_be_run_and_one_way_of_each_layer_and_loop(side):
    """The other ways are run by `nox -s bench` in full."""
    from rows import ROWS

    for name, prepare in side.rows.items():
        stands_for_others = name.endswith("_forward_traced") or name.startswith("narrow_lax_")
        if not ROWS[name].slow and (stands_for_others or not ROWS[name].full):
            prepare()()


def test_every_line_of_a_family_is_declared_and_can_be_run(side):
    from rows import FAMILIES

    for family, grow in side.families.items():
        at = grow()
        for size in (2, 4):
            lines = at(size)
            timed = {line for line, its in FAMILIES[family].lines.items() if not its.memory}
            assert set(lines) <= timed
            for what in lines.values():
                if not isinstance(what, float):
                    what()


def test_a_fresh_function_is_another_that_does_the_same():
    from sides.settings import fresh

    def function(x):
        return x, LIBRARIES

    again = fresh(function)
    assert again is not function
    assert again(1) == function(1)
