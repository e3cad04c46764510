"""What counts as a difference between two runs of a program, and how it is told."""

import copy

import pytest

ULP = 2.0**-23
HIDDEN = "Traceback (most recent call last):\n  File 'a.py'\nequinox.EquinoxRuntimeError: "
FINE = {
    "error": None,
    "warnings": [["UserWarning", "of jax"]],
    "stdout": "0.00%\n100.00%\n",
    "stderr": "\r0.00%\r40.00%\r100.00%",
    "first": 0.5,
    "repeated": 0.002,
    "numbers": {
        "['x']": {"type": "float32[2]", "values": [1.0, 2.0]},
        "['n']": {"type": "int32[]", "values": [3]},
    },
}


@pytest.fixture
def compare(script):
    return script("compare")


@pytest.fixture
def differences(compare):
    """Give the places at which an outcome differs from one that was changed."""

    def places(ours, peer):
        found = compare.differences(ours, peer, "program", compare.Tally())
        return [difference.place for difference in found]

    return places


def with_values(values, place="['x']"):
    outcome = copy.deepcopy(FINE)
    outcome["numbers"][place]["values"] = values
    return outcome


def failed(message, *kinds, **others):
    return {**FINE, "error": {"kinds": [*kinds, "Exception"], "message": message}, **others}


def test_an_outcome_does_not_differ_from_itself(differences):
    assert differences(FINE, copy.deepcopy(FINE)) == []


@pytest.mark.parametrize("values", [[1.0 + ULP, 2.0], [1.0, 2.0 - 2 * ULP]])
def test_rounding_is_allowed(differences, values):
    assert differences(with_values(values), FINE) == []


def test_rounding_is_told_by_the_largest_value_of_the_array(differences):
    assert differences(with_values([1e-8, 2.0]), with_values([2e-8, 2.0])) == []
    assert differences(with_values([1e-8, 1e-8]), with_values([2e-8, 1e-8])) == [
        "value['x']: by 5.0e-01"
    ]


@pytest.mark.parametrize(
    "values", [[1.0 + 1e-4, 2.0], [float("nan"), 2.0], [float("inf"), 2.0], [-1.0, 2.0]]
)
def test_other_numbers_differ(differences, values):
    [place] = differences(with_values(values), FINE)
    assert place.startswith("value['x']: by ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_equal_to_itself(differences, value):
    assert differences(with_values([value, 2.0]), with_values([value, 2.0])) == []


def test_integers_are_exact(differences):
    [place] = differences(with_values([4], "['n']"), FINE)
    assert place.startswith("value['n']: by ")


def test_types_and_structures_differ(differences):
    other = copy.deepcopy(FINE)
    other["numbers"]["['n']"]["type"] = "float32[]"
    assert differences(other, FINE) == ["value['n']: type"]
    del other["numbers"]["['n']"]
    assert differences(other, FINE) == ["structure"]


def test_errors_are_compared_by_type(differences):
    ours, peer = failed("A.", "OursError", "ValueError"), failed("A.", "ValueError")
    assert differences(ours, peer) == []
    assert differences(peer, ours) == ["error"]
    assert differences(FINE, peer) == differences(peer, FINE) == ["error"]


@pytest.mark.parametrize(
    ("ours", "peer"),
    [
        ("It failed. Ours adds.", "It failed."),
        ("Batch index (0,) had error:\nIt failed.\nMore.", f"{HIDDEN}It failed.\n\nElse."),
        (f"{HIDDEN}It failed.", f"Below.\n{HIDDEN}It failed.\n-----\n"),
        ("`x` is wrong at `y`.", "Wrong: `x`!"),
    ],
)
def test_messages_agree_by_first_sentence_or_names(differences, ours, peer):
    assert differences(failed(ours, "ValueError"), failed(peer, "ValueError")) == []


@pytest.mark.parametrize(
    ("ours", "peer"), [("It failed.", "It broke."), ("`x` is wrong.", "Wrong: `y`!")]
)
def test_messages_differ(differences, ours, peer):
    assert differences(failed(ours, "E"), failed(peer, "E")) == ["error: message"]


def test_a_warning_of_ours_alone_differs(differences):
    warned = {**FINE, "warnings": [*FINE["warnings"], ["UserWarning", "of ours"]]}
    assert differences(warned, FINE) == ["warnings of ours alone"]
    assert differences(FINE, warned) == []


def test_a_progress_meter_is_compared_by_its_percentages(differences):
    assert differences({**FINE, "stderr": "\r0.00%\r100.00%| 9.1%/s"}, FINE) == []
    assert differences({**FINE, "stderr": "\r0.00%\r99.00%"}, FINE) == ["printed"]
    assert differences({**FINE, "stdout": "100.00%\n"}, FINE) == ["printed"]


def test_the_report_without_differences(compare):
    programs = {"pack": {"import": {**FINE, "numbers": {}}}, "pack.one": {"jit": FINE}}
    text, fine = compare.report(programs, programs)
    assert fine
    assert "1 programs, 2 runs: 0 differ" in text
    assert "| pack.one | 0.50 | 0.50 | 1.00 | 2.00 | 2.00 | 1.00 |" in text
    assert '- UserWarning: `"of jax"`: pack, pack.one' in text


def test_the_report_with_a_difference(compare):
    ours, peer = {"pack.one": {"jit": with_values([5.0, 2.0])}}, {"pack.one": {"jit": FINE}}
    text, fine = compare.report(ours, peer)
    assert not fine
    assert "- **pack.one (jit)**\n  - value['x']: by 8.0e-01\n    - ours: `[5.0, 2.0]`" in text


def test_a_program_that_one_side_did_not_run_is_a_difference(compare):
    ours = {"pack.one": {"plain": FINE, "jit": FINE}}
    text, fine = compare.report(ours, {"pack.one": {"plain": FINE}})
    assert not fine
    assert "1 programs, 1 runs: 1 differ" in text
    assert '- **pack.one (jit)**\n  - one side\n    - ours: `"run"`' in text
