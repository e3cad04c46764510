"""What the sides share, so that all do the same work: sizes, inputs, and how to tell."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

WIDTH = 8
LAYERS, DEEP = 9, 100
CHECKS = 20
X, BATCH = jnp.ones(WIDTH), jnp.ones((4, WIDTH))
PARTS, LARGE_BATCH = 8, jnp.ones((32, WIDTH))
OPTIMISER = optax.adam(1e-3)
HEADS, HEAD_SIZE = 8, 64
HELD, NEW = 1_024, 128  # tokens of a cache, and those that are added to it one by one
LONG = 4_096
WIDE, RANK, MANY = 1_024, 8, jnp.ones((64, 1_024))  # a product, an update of it, and vectors
STEPS, HIDDEN, GROUP, MANY_STEPS = 1_000, 64, 32, 10_000  # of sequences
ROOM = 8e9  # bytes of temporary memory that a program may take


def key() -> jax.Array:
    return jax.random.PRNGKey(0)


def tokens(size: int) -> tuple[jax.Array, ...]:
    """Queries, keys and values of attention."""
    shape = (size, HEADS, HEAD_SIZE)
    return tuple(jax.random.normal(each, shape) for each in jax.random.split(key(), 3))


def sequences(steps: int, *batch: int) -> jax.Array:
    return jax.random.normal(key(), (*batch, steps, HIDDEN))


def lengths() -> jax.Array:
    """How many steps of each sequence of a batch are there: from half of them to all."""
    return jnp.linspace(STEPS // 2, STEPS, GROUP).astype(int)


def enter_sequences(
    side: Any,
    run: Callable[[str, Any, jax.Array], jax.Array],
    last: Callable[[str, Any, jax.Array, jax.Array], jax.Array],
    weights: Callable[[str], Any],
) -> None:
    """Enter the rows of sequences: by kind of cell, `run` gives outputs, `last` where one ends."""

    def gradient(kind: str) -> Callable[[Any, jax.Array], Any]:
        return jax.grad(lambda weights, xs: jnp.sum(run(kind, weights, xs) ** 2))

    def enter(name: str, kind: str, function: Callable[..., Any], *arguments: jax.Array) -> None:
        def prepare() -> Callable[[], Any]:
            compiled, its = jax.jit(function), weights(kind)
            return lambda: jax.block_until_ready(compiled(its, *arguments))

        prepare.__name__, prepare.__module__ = name, run.__module__
        side.row(prepare)

    for kind in ("lstm", "gru"):
        for batch, xs in {"": sequences(STEPS, GROUP), "_one": sequences(STEPS, 1)}.items():
            forward = functools.partial(run, kind)
            enter(f"{kind}_run{batch}_forward", kind, forward, xs)
            enter(f"{kind}_run{batch}_gradient", kind, gradient(kind), xs)
    masked = jax.grad(lambda *arguments: jnp.sum(last("lstm", *arguments) ** 2))
    enter("masked_run_gradient", "lstm", masked, sequences(STEPS, GROUP), lengths())

    def lstm_compile() -> Callable[[], float]:
        arguments = weights("lstm"), sequences(STEPS, GROUP)
        return lambda: seconds_to_compile(gradient("lstm"), *arguments)

    lstm_compile.__module__ = run.__module__
    side.figure(lstm_compile)


def scalars(count: int) -> list[jax.Array]:
    """As many arrays of one number, no two of them the same object."""
    return [jnp.asarray(float(i)) for i in range(count)]


def large_leaves() -> list[jax.Array]:
    """200 MB in 20 arrays."""
    return [jnp.arange(2_500_000.0) + i for i in range(20)]


def many_leaves() -> dict[str, jax.Array]:
    """200 MB in 2,000 arrays."""
    return {f"leaf{i}": jnp.arange(25_000.0) + i for i in range(2_000)}


def scratch_file() -> Path:
    """Where a side saves; the folder goes when the process ends."""
    folder = tempfile.mkdtemp(prefix=".saving-", dir=".")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder).resolve() / "saved.eqx"


def heavy(x: jax.Array) -> jax.Array:
    for _ in range(6):
        x = jnp.tanh(x @ x)
    return x


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as a new object, which nothing has been traced for yet."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, function.__closure__
    )


def both_ways(
    side: Any,
    make_model: Callable[[], Any],
    trace: Callable[[Callable[[Any], Any], Any], Any],
    *functions: Callable[[Any], Any],
) -> None:
    """Enter two rows for each function of a model: it is called, and it is traced anew."""

    def enter(function: Callable[[Any], Any]) -> None:
        def eager() -> Callable[[], Any]:
            model = make_model()
            return lambda: function(model)

        def traced() -> Callable[[], Any]:
            model = make_model()
            return lambda: trace(fresh(function), model)

        for prepare in (eager, traced):
            prepare.__name__ = f"{function.__name__}_{prepare.__name__}"
            prepare.__module__ = function.__module__
            side.row(prepare)

    for function in functions:
        enter(function)


def blocked_share(call: Callable[[jax.Array], jax.Array]) -> float:
    """The share of the work for which the call itself holds up its caller."""
    big = jnp.ones((700, 700)) / 700
    call(big).block_until_ready()
    start = time.perf_counter()
    out = call(big)
    returned = time.perf_counter()
    out.block_until_ready()
    return (returned - start) / (time.perf_counter() - start)


def compile_seconds(attend: Callable[..., jax.Array]) -> float:
    """Seconds of this process's cores for compiling the gradient of attention anew."""
    gradient = jax.grad(lambda *arrays: attend(*arrays).sum(), (0, 1, 2))
    return seconds_to_compile(gradient, *tokens(LONG))


def seconds_to_compile(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of this process's cores for compiling a function anew."""
    lowered = jax.jit(fresh(function)).lower(*arguments)
    start = time.process_time()
    lowered.compile()
    return time.process_time() - start


def import_seconds(module: str) -> float:
    """Seconds that importing a module adds to `import jax`, in a fresh interpreter."""
    code = (
        "import time, jax; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    # The first time writes the bytecode that later times read, as with any installed library.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True
    )
    return float(ran.stdout.split()[-1])
