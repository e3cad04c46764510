"""Run programs on downstream packages under the `equinox` that is importable, each in many ways.

    python tests/downstream/run.py OUT.json [PACKAGE or PACKAGE.PROGRAM] ...

Without names, the programs of every package that is installed are run. Numbers are written as they
are, and with them what was warned, printed or raised, and how long it took.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import pkgutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import programs
from program import Program

SUFFIX = "_programs"
SCALES = [0.9, 1.0, 1.1]
FEWEST_CALLS, MOST_CALLS, SECONDS_OF_CALLS = 3, 25, 0.1


def packages() -> list[str]:
    """Give the packages that there are programs for and that are installed."""
    modules = sorted(module.name for module in pkgutil.iter_modules(programs.__path__))
    names = [name.removesuffix(SUFFIX) for name in modules]
    return [name for name in names if importlib.util.find_spec(name)]


def is_chosen(label: str, names: list[str]) -> bool:
    return not names or any(f"{label}.".startswith(f"{name}.") for name in names)


def ways(program: Program) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give each way in which the program is run, by name."""
    argument = program.argument

    def run(x: jax.Array) -> Any:
        return jax.tree.map(jnp.asarray, program.run(x))

    def total(x: jax.Array) -> Any:
        leaves = jax.tree.leaves(run(x))
        return sum(jnp.sum(leaf) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))

    many = jnp.stack([(scale * argument).astype(argument.dtype) for scale in SCALES])
    jitted = jax.jit(run)
    yield "plain", lambda: run(argument)
    yield "jit", lambda: jitted(argument)
    if program.vmap:
        jitted_vmap = jax.jit(jax.vmap(run))
        yield "jit vmap", lambda: jitted_vmap(many)
    if program.grad:
        jitted_grad = jax.jit(jax.grad(total))
        yield "jit grad", lambda: jitted_grad(argument)
    if program.vmap and program.grad:
        jitted_vmap_grad = jax.jit(jax.vmap(jax.grad(total)))
        yield "jit vmap grad", lambda: jitted_vmap_grad(many)


def numbers(tree: Any) -> dict[str, Any]:
    """Give each leaf by its path: its dtype, its shape and its values, exactly."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = np.asarray(leaf)
        if values.dtype.kind == "c":
            values = np.stack([np.real(values), np.imag(values)], axis=-1)
        elif values.dtype.kind not in "biu":
            values = values.astype(np.float64)
        found[jax.tree_util.keystr(path)] = {
            "type": f"{leaf.dtype}{list(leaf.shape)}",
            "values": values.ravel().tolist(),
        }
    return found


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = jax.block_until_ready(call())
    return value, time.perf_counter() - start


def repeated(call: Callable[[], Any]) -> float:
    """Give the median time of calls that are no first ones."""
    times: list[float] = []
    while len(times) < FEWEST_CALLS or (len(times) < MOST_CALLS and sum(times) < SECONDS_OF_CALLS):
        times.append(timed(call)[1])
    return statistics.median(times)


@contextlib.contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Give a record of what is warned, printed or raised inside."""
    seen: dict[str, Any] = {"error": None}
    out, err = io.StringIO(), io.StringIO()
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.simplefilter("always")
        try:
            yield seen
        except Exception as error:  # an exception is an outcome like any other
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
            seen["error"] = {"kinds": kinds, "message": str(error)}
    seen["warnings"] = [[w.category.__name__, str(w.message)] for w in caught]
    seen["stdout"], seen["stderr"] = out.getvalue(), err.getvalue()


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """Call it once and record what came of it, then again for the time that it takes."""
    with watched() as seen:
        value, seen["first"] = timed(call)
        seen["numbers"] = numbers(value)
        jax.effects_barrier()
    if seen["error"] is None:
        with watched():
            seen["repeated"] = repeated(call)
            jax.effects_barrier()
    return seen


def run_package(package: str, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what came of importing the package, and of each of its programs that is chosen."""
    with watched() as seen:
        module, seen["first"] = timed(
            lambda: importlib.import_module(f"{programs.__name__}.{package}{SUFFIX}").PROGRAMS
        )
    yield f"{package}", {"import": seen}
    if seen["error"] is not None:
        return
    for name, program in module.items():
        label = f"{package}.{name}"
        if is_chosen(label, names):
            yield label, {way: outcome(call) for way, call in ways(program)}
            jax.clear_caches()


def main() -> None:
    """Write what came of every chosen program to the file that is given."""
    names = sys.argv[2:]
    outcomes: dict[str, Any] = {}
    for package in packages():
        if not names or any(name.split(".")[0] == package for name in names):
            outcomes.update(run_package(package, names))
    equinox = importlib.metadata.version("equinox")
    told = {"equinox": equinox, "jax": jax.__version__, "programs": outcomes}
    Path(sys.argv[1]).write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
