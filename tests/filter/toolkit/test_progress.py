"""Progress meters, eager, compiled, in loops and in batches."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    AbstractProgressMeter,
    NoProgressMeter,
    TextProgressMeter,
    TqdmProgressMeter,
)

EIGHTHS = jnp.linspace(0.0, 1.0, 9)
LINES = [f"{12.5 * i:.2f}%" for i in range(9)]


class Bar:
    """Stands for `tqdm.tqdm`: keeps what is drawn."""

    made: list

    def __init__(self, total, **options):
        assert total == 100
        self.n, self.drawn, self.closed = 0, [0], 0
        Bar.made.append(self)

    def refresh(self):
        self.drawn.append(self.n)

    def close(self):
        self.drawn.append(self.n)
        self.closed += 1


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    Bar.made = []
    return Bar.made


@pytest.fixture
def lines(capsys):
    def read():
        jax.effects_barrier()
        return capsys.readouterr().out.splitlines()

    return read


def run(meter, values):
    """Step over the values in a loop."""
    state, _ = jax.lax.scan(lambda state, x: (meter.step(state, x), None), meter.init(), values)
    meter.close(state)


def run_one_by_one(meter, values):
    state = meter.init()
    for value in values:
        state = meter.step(state, value)
    meter.close(state)


def run_while(meter, values):
    def body(carry):
        state, i = carry
        return meter.step(state, values[i]), i + 1

    out = jax.lax.while_loop(lambda carry: carry[1] < len(values), body, (meter.init(), 0))
    meter.close(out[0])


WAYS = {
    "one by one": run_one_by_one,
    "scan": run,
    "while": run_while,
    "compiled": jax.jit(run, static_argnums=0),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_text(way, lines):
    way(TextProgressMeter(), EIGHTHS)
    assert lines() == LINES
    way(TextProgressMeter(), EIGHTHS)
    assert lines() == LINES


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [(0.25, [0, 37.5, 75, 100]), (0.2, [0, 25, 50, 75, 100]), (2.0, [0, 100])],
    ids=str,
)
def test_text_needs_more_than_the_minimum(minimum, expected, lines):
    run(TextProgressMeter(minimum_increase=minimum), EIGHTHS)
    assert lines() == [f"{x:.2f}%" for x in expected]
    run(TextProgressMeter(jnp.array(minimum)), EIGHTHS)
    assert lines() == [f"{x:.2f}%" for x in expected]


def test_text_of_unusual_progress(lines):
    run_one_by_one(TextProgressMeter(), [0.5, 0.25, float("nan"), 0.75, 1.5])
    assert lines() == ["0.00%", "50.00%", "75.00%", "150.00%", "100.00%"]
    run_one_by_one(TextProgressMeter(), [np.float64(0.25), jnp.float16(0.5), 1])
    assert lines() == ["0.00%", "25.00%", "50.00%", "100.00%"]
    run_one_by_one(TextProgressMeter(), [jnp.array([0.75, 0.5])])
    assert lines() == ["0.00%", "50.00%", "100.00%"]


def test_text_of_a_batch_is_its_slowest(lines):
    batch = jnp.stack([EIGHTHS, EIGHTHS / 2])
    expected = [f"{x / 2:.2f}%" for x in (0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100)] + ["100.00%"]
    jax.vmap(lambda values: run(TextProgressMeter(), values))(batch)
    assert lines() == expected
    jax.jit(jax.vmap(lambda values: run(TextProgressMeter(), values)))(batch)
    assert lines() == expected


def test_a_state_may_come_from_another_batch(lines):
    meter = TextProgressMeter()
    state = jax.vmap(lambda x: meter.step(meter.init(), x))(jnp.array([0.25, 0.5]))
    state = jax.vmap(meter.step)(state, jnp.array([0.75, 0.5]))
    meter.close(state)
    assert lines() == ["0.00%", "25.00%", "50.00%", "100.00%"]


def test_two_meters_in_one_program(lines):
    @jax.jit
    def program():
        meters = TextProgressMeter(), TextProgressMeter()
        states = [meter.step(meter.init(), 0.5) for meter in meters]
        for meter, state in zip(meters, states, strict=True):
            meter.close(state)
        return states

    one, other = program()
    assert sorted(lines()) == sorted(2 * ["0.00%", "50.00%", "100.00%"])
    assert one.meter_idx != other.meter_idx


@pytest.mark.parametrize("remat", [jax.checkpoint, lambda fun: fun], ids=["remat", "plain"])
def test_it_has_no_derivative_and_stops_none(remat, lines):
    def function(x):
        run(TextProgressMeter(), EIGHTHS * x)
        return x**2

    assert jax.grad(remat(function))(1.0) == 2
    assert lines()[:9] == LINES
    assert jax.jvp(function, (1.0,), (1.0,))[1] == 2
    assert lines() == LINES
    assert jax.linearize(function, 1.0)[1](1.0) == 2


def test_the_state_keeps_its_types():
    for meter in (TextProgressMeter(), NoProgressMeter()):
        state = meter.init()
        after = meter.step(state, jnp.array([1, 2], jnp.int8))
        assert jax.tree_util.tree_map(jax.typeof, after) == jax.tree_util.tree_map(
            jax.typeof, state
        )


def test_nothing(lines):
    for way in WAYS.values():
        way(NoProgressMeter(), EIGHTHS)
    assert NoProgressMeter().init() is None
    assert lines() == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_bar(way, bars):
    way(TqdmProgressMeter(3), EIGHTHS)
    jax.effects_barrier()
    [bar] = bars
    assert bar.drawn == [0, 0, 37.5, 75, 100]
    assert bar.closed == 1
    way(TqdmProgressMeter(3), EIGHTHS)
    jax.effects_barrier()
    assert bars[1].drawn == bar.drawn


def test_bar_of_a_batch_is_its_slowest(bars):
    batch = jnp.stack([EIGHTHS, EIGHTHS / 2])
    jax.jit(jax.vmap(lambda values: run(TqdmProgressMeter(4), values)))(batch)
    jax.effects_barrier()
    [bar] = bars
    assert bar.drawn == [0, 0, 25, 50, 100]


def test_bar_of_unusual_progress(bars):
    run_one_by_one(TqdmProgressMeter(1), [float("nan"), -1, 0.123456, jnp.inf])
    [bar] = bars
    assert bar.drawn == [0, 0, 12.35, 100, 100]


def test_a_bar_is_closed_once(bars):
    meter = TqdmProgressMeter()
    state = meter.init()
    meter.close(state)
    meter.close(state)
    meter.step(state, 0.5)
    jax.effects_barrier()
    assert bars[0].closed == 1
    assert bars[0].drawn == [0, 100]


def test_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ValueError, match=r"`tqdm`, which is not installed.*`pip install tqdm`"):
        TqdmProgressMeter()


def test_meters_are_modules(bars):
    assert repr(TextProgressMeter()) == "TextProgressMeter()"
    assert repr(TqdmProgressMeter(refresh_steps=5)) == "TqdmProgressMeter(refresh_steps=5)"
    assert TextProgressMeter(0.5) == TextProgressMeter(0.5)
    assert jax.tree_util.tree_leaves(TextProgressMeter(0.5)) == [0.5]


def test_meters_of_ones_own(lines):
    class Counts(AbstractProgressMeter):
        def init(self):
            return jnp.array(0)

        def step(self, state, progress):
            return state + 1

        def close(self, state):
            jax.debug.print("{}", state)

    run(Counts(), EIGHTHS)
    assert lines() == ["9"]
    with pytest.raises(TypeError, match=r"abstract"):
        AbstractProgressMeter()
