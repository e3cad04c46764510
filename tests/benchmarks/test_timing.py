"""What a measurement is, and what counts as memory."""

import jax
import jax.numpy as jnp
import pytest


class Clock:
    """A clock that goes on only while the function that is timed is called."""

    def __init__(self, each):
        self.each = each
        self.calls = 0

    def perf_counter(self):
        return self.each * self.calls

    def call(self):
        self.calls += 1


def timed_by(monkeypatch, clock):
    import timing

    monkeypatch.setattr(timing, "time", clock)
    return timing.Timed(clock.call, budget=0.01)


@pytest.mark.parametrize(("each", "calls"), [(1e-7, 100_000), (0.002, 5), (0.008, 1), (1.0, 1)])
def test_what_is_quick_is_called_until_it_takes_as_long_as_the_budget(monkeypatch, each, calls):
    timed = timed_by(monkeypatch, Clock(each))
    assert timed.calls == calls


def test_seconds_of_one_call(monkeypatch):
    timed = timed_by(monkeypatch, Clock(0.001))
    assert timed.measure() == pytest.approx(0.001)


def test_what_takes_long_is_called_once_for_each_measurement(monkeypatch):
    clock = Clock(0.02)
    timed = timed_by(monkeypatch, clock)
    before = clock.calls
    timed.measure()
    assert clock.calls == before + 1


def grow_bytes(size):
    def grow():
        made = []

        def at(count):
            made.extend(bytearray(size) for _ in range(count - len(made)))
            return {}

        return at

    return grow


def test_memory_is_counted_for_each_thing_and_given_back():
    from timing import memory

    size = 100_000  # so much that what else happens in this process makes no difference
    counted = memory(grow_bytes(size), [10, 100])
    assert counted["held"] == {10: pytest.approx(size, rel=0.1), 100: pytest.approx(size, rel=0.1)}
    assert abs(counted["kept"][100]) < size / 10
    assert counted["programs"] == {100: 0}


def test_programs_that_are_kept_are_counted():
    from timing import memory

    kept = []

    def grow():
        def at(count):
            for number in range(count):
                kept.append(jax.jit(lambda x, number=number: x + number))
                kept[-1](jnp.ones(2))

        return at

    assert memory(grow, [2])["programs"][2] >= 1
    kept.clear()
