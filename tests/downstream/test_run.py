"""In what ways a program is run, and what is recorded of it."""

import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

X = jnp.array([1.0, 2.0])


@pytest.fixture
def run(script):
    return script("run")


def outcomes(run, function, **options):
    program = run.Program(function, X, **options)
    return {way: run.outcome(call) for way, call in run.ways(program)}


def values(outcome):
    return {place: it["values"] for place, it in outcome["numbers"].items()}


def test_runs_in_every_way(run):
    found = outcomes(run, lambda x: {"y": x**2, "n": 3})
    assert [values(it) for it in found.values()] == [
        {"['n']": [3], "['y']": [1.0, 4.0]},
        {"['n']": [3], "['y']": [1.0, 4.0]},
        {"['n']": [3, 3, 3], "['y']": np.ravel([(s * X) ** 2 for s in run.SCALES]).tolist()},
        {"": [2.0, 4.0]},
        {"": np.ravel([2 * (s * X) for s in run.SCALES]).tolist()},
    ]
    assert list(found) == ["plain", "jit", "jit vmap", "jit grad", "jit vmap grad"]
    assert all(it["first"] > 0 and it["repeated"] > 0 for it in found.values())


def test_leaves_out_what_may_not_be_done(run):
    assert list(outcomes(run, jnp.sin, grad=False)) == ["plain", "jit", "jit vmap"]
    assert list(outcomes(run, jnp.sin, vmap=False)) == ["plain", "jit", "jit grad"]


def test_records_types_and_what_is_no_number(run):
    found = outcomes(run, lambda x: (x[0] * 1j, x / 0, x > 1), grad=False, vmap=False)["plain"]
    assert [it["type"] for it in found["numbers"].values()] == [
        "complex64[]",
        "float32[2]",
        "bool[2]",
    ]
    assert list(values(found).values()) == [[0.0, 1.0], [float("inf")] * 2, [False, True]]


def test_records_warnings_and_what_is_printed(run):
    def tells(x):
        warnings.warn("a deprecation", DeprecationWarning, stacklevel=2)
        jax.debug.print("50%")
        sys.stderr.write("20%")
        return x

    found = outcomes(run, tells, grad=False, vmap=False)["plain"]
    assert found["warnings"] == [["DeprecationWarning", "a deprecation"]]
    assert (found["stdout"].strip(), found["stderr"]) == ("50%", "20%")


def test_an_error_is_an_outcome(run):
    def fails(x):
        message = "why"
        raise KeyError(message)

    found = outcomes(run, fails, grad=False)
    assert len(found) == 3
    for it in found.values():
        assert it["error"] == {
            "kinds": ["KeyError", "LookupError", "Exception", "BaseException"],
            "message": "'why'",
        }
        assert "numbers" not in it


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], True),
        (["a"], True),
        (["a.b"], True),
        (["c", "a"], True),
        (["a.bc"], False),
        (["c"], False),
    ],
)
def test_programs_are_chosen_by_package_or_name(run, names, chosen):
    assert run.is_chosen("a.b", names) is chosen
