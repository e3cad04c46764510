"""The order of the questions, the medians, and how much is asked."""

import sys

import pytest


class Prepared:
    """A process that gives prepared answers, and notes who was asked."""

    def __init__(self, answers):
        self.answers = {side: iter(its) for side, its in answers.items()}
        self.asked = []

    def ask(self, side, *question):
        self.asked.append(side)
        return next(self.answers[side])


def places_of(process, *names):
    from asking import Place

    return {name: Place(process, name) for name in names}


def test_sides_are_asked_in_turn_and_another_begins_each_round():
    from asking import Answers

    process = Prepared({"a": [1, 2, 9], "b": [5, 4, 3], "c": [None, None, None]})
    answers = Answers(places_of(process, "a", "b", "c"), "row")
    for number in range(3):
        answers.ask(number)
    assert answers.medians() == {"a": 2, "b": 4}
    assert process.asked == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_a_round_asks_for_every_row_and_later_ones_not_for_what_is_slow():
    from asking import Plan, measure_rows
    from rows import ROWS

    process = Prepared({"plain": iter(range(1000))})
    figures = measure_rows(places_of(process, "plain"), Plan(rounds=3, slow=1))
    assert list(figures) == list(ROWS)
    slow = sum(row.slow for row in ROWS.values())
    assert len(process.asked) == 3 * len(ROWS) - 2 * slow
    assert figures["flatten"] == {"plain": len(ROWS)}
    assert figures["import_time"]["plain"] < len(ROWS)


def test_a_quick_run_asks_for_less():
    from asking import Plan
    from rows import FAMILIES

    family = FAMILIES["leaves"]
    assert Plan(15, 15).sizes(family) == [10, 100, 1_000, 10_000]
    assert Plan(5, 3, quick=True).sizes(family) == [10, 100, 1_000]
    left_out = set(Plan(15, 15).rows()) - set(Plan(5, 3, quick=True).rows())
    assert "attention_forward_compiled" in left_out
    assert "flatten" not in left_out


def test_a_run_of_the_core_is_a_full_one_without_single_layers_and_loops():
    from asking import Plan
    from rows import FAMILIES, ROWS

    core, family = Plan(15, 15, core=True), FAMILIES["leaves"]
    assert core.sizes(family) == Plan(15, 15).sizes(family)
    assert core.sizes(FAMILIES["tokens"]) == [128, 1_024]
    assert core.rows() == {name: row for name, row in ROWS.items() if not row.full}


def test_a_size_that_takes_seconds_is_measured_in_few_rounds():
    from asking import Plan
    from rows import FAMILIES

    plan, family = Plan(15, 15), FAMILIES["tokens"]
    assert [plan.rounds_of(family, size) for size in family.sizes] == [15, 15, 3, 3]
    assert plan.rounds_of(FAMILIES["leaves"], 10_000) == 15


def test_only_what_is_asked_for_is_measured():
    from asking import Plan

    plan = Plan(1, 1, only="leaves")
    assert list(plan.rows()) == []
    assert list(plan.families()) == ["leaves"]


def test_growth_keeps_each_side_by_size():
    from asking import Plan, measure_growth

    process = Prepared({"plain": iter(range(1, 100)), "haiku": [None] * 99})
    growth = measure_growth(places_of(process, "plain", "haiku"), Plan(1, 1, only="leaves"))
    sizes = ["10", "100", "1000", "10000"]
    assert growth["leaves"]["flatten"] == {"plain": dict(zip(sizes, (1, 4, 7, 10), strict=True))}


def test_a_process_that_ends_early_is_named(monkeypatch, tmp_path):
    import asking

    script = tmp_path / "ends.py"
    script.write_text("raise SystemExit(3)\n", encoding="utf-8")
    monkeypatch.setattr(asking, "WORKER", script)
    with pytest.raises(RuntimeError, match=r"ends.py plain` ended early, with code 3"):
        asking.Process(sys.executable, "plain")


def test_a_process_answers_until_it_is_closed(monkeypatch, tmp_path):
    import asking

    script = tmp_path / "echo.py"
    script.write_text(
        'import sys\nprint(\'{"plain": "1"}\', flush=True)\n'
        "for line in sys.stdin:\n    print(line, end='', flush=True)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(asking, "WORKER", script)
    process = asking.Process(sys.executable, "plain")
    assert process.versions == {"plain": "1"}
    assert process.ask("plain", "flatten") == ["plain", "flatten"]
    process.close()
    assert process.process.returncode == 0
