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
