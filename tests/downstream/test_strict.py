"""What fails under checks alone is told."""

import contextlib

import jax
import pytest


@pytest.fixture
def strict(script):
    return script("strict")


def test_what_keeps_a_tracer_is_told(strict):
    kept = []

    def keep(x):
        kept.append(x)
        return x

    run = lambda: jax.jit(keep)(1.0)  # noqa: E731
    assert "Leaked trace" in strict.failure(run, jax.checking_leaks())
    assert strict.failure(run, contextlib.nullcontext()) is None


def test_what_is_sound_passes(strict):
    assert strict.failure(lambda: jax.jit(lambda x: 2 * x)(1.0), jax.checking_leaks()) is None


@pytest.mark.parametrize(
    ("name", "names", "everything", "expected"),
    [
        ("tsit5", [], False, True),
        ("tsit5", ["diffrax"], False, True),
        ("tsit5", ["lineax"], True, False),
        ("dopri8", ["diffrax"], False, False),
        ("dopri8", ["diffrax"], True, True),
        ("dopri8", ["diffrax.dopri8"], False, True),
    ],
)
def test_one_of_each_kind_is_run_unless_more_are_asked_for(
    strict, name, names, everything, expected
):
    assert strict.is_chosen("diffrax", name, names, everything=everything) is expected
