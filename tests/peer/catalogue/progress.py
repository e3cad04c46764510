"""Progress meters: what is told, in loops and batches, and their states."""

import contextlib
import importlib.machinery
import io
import sys
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

EIGHTHS = jnp.linspace(0.0, 1.0, 9)
Text = eqxi.TextProgressMeter


class Bar:
    """Stands for `tqdm.tqdm`, and keeps what it is at in the end."""

    made: list = []  # noqa: RUF012

    def __init__(self, *args, total=None, **options):
        self.total, self.n, self.last_print_t = total, 0, 0.0
        self.closed = 0
        Bar.made.append(self)

    def update(self, n=1):
        self.n += n

    def refresh(self, *args, **options):
        pass

    def close(self):
        self.closed += 1


def printed(case):
    """What the case prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        case()
        jax.effects_barrier()
    return text.getvalue()


def one_by_one(meter, values):
    state = meter.init()
    for value in values:
        state = meter.step(state, value)
    meter.close(state)


def scan(meter, values):
    state = meter.init()
    state, _ = jax.lax.scan(lambda state, x: (meter.step(state, x), None), state, values)
    meter.close(state)


def while_loop(meter, values):
    def body(carry):
        state, i = carry
        return meter.step(state, values[i]), i + 1

    out = jax.lax.while_loop(lambda carry: carry[1] < len(values), body, (meter.init(), 0))
    meter.close(out[0])


def batched(meter, values):
    jax.vmap(lambda x: scan(meter, x))(jnp.stack([values, values / 2]))


WAYS = {
    "one by one": one_by_one,
    "scan": scan,
    "while": while_loop,
    "jit": lambda meter, values: jax.jit(lambda x: scan(meter, x))(values),
    "vmap": batched,
    "vmap, jit": lambda meter, values: jax.jit(lambda x: batched(meter, x))(values),
    "grad": lambda meter, values: jax.grad(lambda x: (scan(meter, x * values), x)[1])(1.0),
}


@over(WAYS)
def case_text(way):
    return printed(lambda: way(Text(), EIGHTHS))


@over(WAYS)
def case_text_of_few(way):
    return printed(lambda: way(Text(0.25), EIGHTHS))


@over(WAYS)
def case_nothing(way):
    return printed(lambda: way(eqxi.NoProgressMeter(), EIGHTHS))


PROGRESS = {
    "floats": [0.25, 0.5],
    "numpy": [np.float64(0.25), np.float32(0.5)],
    "arrays": [jnp.array(0.25), jnp.array(0.5)],
    "float16": [jnp.array(0.5, jnp.float16)],
    "integers": [0, 1],
    "one": [0.5, 1.0],
    "close to one": [0.99999],
    "more than one": [1.5, 2.5],
    "backwards": [0.5, 0.25, 0.1],
    "not a number": [float("nan"), 0.5],
    "infinite": [float("inf")],
    "vector": [jnp.array([0.5, 0.75])],
    "small steps": [0.01, 0.015, 0.03, 0.04, 0.06],
    "none": [],
    "None": [None],
}


@over(PROGRESS)
def case_text_of(values):
    return printed(lambda: one_by_one(Text(), values))


@over(PROGRESS)
def case_nothing_of(values):
    return printed(lambda: one_by_one(eqxi.NoProgressMeter(), values))


def with_tqdm(case):
    spec = importlib.machinery.ModuleSpec("tqdm", None)
    tqdm = types.SimpleNamespace(tqdm=Bar, __spec__=spec)
    with mock.patch.dict(sys.modules, {"tqdm": tqdm}):
        Bar.made.clear()
        case()
        jax.effects_barrier()
        return [(bar.n, bar.total, bar.closed) for bar in Bar.made]


@over(WAYS)
def case_bar(way):
    return with_tqdm(lambda: way(eqxi.TqdmProgressMeter(3), EIGHTHS))


@over({"middle": 0.5, "start": 0.0, "end": 1.0, "float16": jnp.float16(0.25)})
def case_bar_at(progress):
    def case():
        meter = eqxi.TqdmProgressMeter()
        meter.step(meter.init(), progress)

    return with_tqdm(case)


def case_bar_closed_at_once():
    def case():
        meter = eqxi.TqdmProgressMeter()
        meter.close(meter.init())

    return with_tqdm(case)


def case_bar_without_tqdm():
    with mock.patch.dict(sys.modules, {"tqdm": None}):
        return eqxi.TqdmProgressMeter()


def case_text_not_closed():
    return printed(lambda: Text(0.25).step(Text(0.25).init(), 1.0))


def case_text_without_steps():
    return printed(lambda: Text().close(Text().init()))


def case_text_twice():
    compiled = jax.jit(lambda: scan(Text(0.25), EIGHTHS))
    return printed(lambda: (compiled(), compiled()))


MADE = {
    "text": lambda: Text(),
    "text, by name": lambda: Text(minimum_increase=0.5),
    "text, of an array": lambda: Text(jnp.array(0.5)),
    "text, twice": lambda: Text(0.1, 0.2),
    "nothing": lambda: eqxi.NoProgressMeter(),
    "nothing, of a number": lambda: eqxi.NoProgressMeter(3),
    "equal": lambda: Text(0.5) == Text(0.5),
    "unequal": lambda: Text(0.5) == Text(0.25),
    "leaves": lambda: jax.tree_util.tree_leaves(Text(0.5)),
    "abstract": lambda: eqxi.AbstractProgressMeter(),
    "state of nothing": lambda: eqxi.NoProgressMeter().init(),
    "kinds": lambda: [
        issubclass(kind, eqxi.AbstractProgressMeter) and issubclass(kind, eqx.Module)
        for kind in (eqxi.NoProgressMeter, Text, eqxi.TqdmProgressMeter)
    ],
    "abstract methods": lambda: sorted(eqxi.AbstractProgressMeter.__abstractmethods__),
    "repr": lambda: [repr(Text()), repr(Text(0.5)), repr(eqxi.NoProgressMeter())],
    "progress of the state": lambda: float(Text().step(Text().init(), 0.5).progress),
    "shapes of the state": lambda: [
        x.shape for x in jax.tree_util.tree_leaves(jax.eval_shape(lambda: Text().init()))
    ],
    "step without a state": lambda: Text().step(None, 0.5),
    "close without a state": lambda: Text().close(None),
}


@over(MADE)
def case_meter(case):
    with contextlib.redirect_stdout(io.StringIO()):
        return case()
