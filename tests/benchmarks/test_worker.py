"""What the measuring process answers, and what it holds between questions."""

import gc
import weakref

import pytest


@pytest.fixture
def side():
    from sides import Side

    return Side()


@pytest.fixture
def worker(side):
    from worker import Worker

    return Worker(side)


def test_a_row_is_prepared_once_and_timed_at_each_question(side, worker):
    prepared = []

    @side.row
    def flatten():
        prepared.append(1)
        return lambda: None

    assert 0 < worker.answer("flatten") < 1
    assert 0 < worker.answer("flatten") < 1
    assert prepared == [1]


def test_a_figure_is_what_the_function_measured_after_a_first_time(side, worker):
    figures = iter([1.0, 2.0, 3.0])

    @side.figure
    def import_time():
        return lambda: next(figures)

    assert worker.answer("import_time") == 2.0
    assert worker.answer("import_time") == 3.0


def test_what_the_side_does_not_have_is_none(worker):
    assert worker.answer("flatten") is None
    assert worker.answer("leaves", "flatten", 10) is None
    assert worker.count("leaves", [10]) is None


def test_a_family_grows_once_for_all_its_lines(side, worker):
    sizes = []

    @side.family
    def variants():
        def at(size):
            sizes.append(size)
            return {"one": lambda: None, "turn": lambda: None, "wrap": 3.0}

        return at

    for size in (1, 10):
        for line in ("one", "turn"):
            assert worker.answer("variants", line, size) > 0
    assert worker.answer("variants", "wrap", 10) == 3.0  # a figure, which is not timed
    assert worker.answer("variants", "partition", 10) is None
    assert sizes == [1, 10]


def test_rows_are_kept_until_a_family_takes_their_place(side, worker):
    class Big:
        pass

    big = {name: Big() for name in ("flatten", "variants")}
    alive = {name: weakref.ref(it) for name, it in big.items()}

    @side.row
    def flatten():
        held = big.pop("flatten")
        return lambda: held

    @side.row
    def unflatten():
        return lambda: None

    @side.family
    def variants():
        held = big.pop("variants")
        return lambda size: {"one": lambda: held}

    worker.answer("flatten")
    worker.answer("unflatten")
    assert alive["flatten"]() is not None
    worker.answer("variants", "one", 1)
    gc.collect()
    assert alive["flatten"]() is None
    worker.answer("unflatten")
    gc.collect()
    assert alive["variants"]() is None


def test_a_side_whose_library_is_not_there_is_left_out(monkeypatch, capsys):
    import worker

    monkeypatch.setitem(worker.LIBRARIES, "plain", "no_such_library")
    assert worker.loaded(["plain"]) == ({}, {})
    assert "no_such_library is not installed: plain is left out" in capsys.readouterr().err
