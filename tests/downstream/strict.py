"""Run programs on downstream packages once more, strictly: annotations and leaks are looked for.

    python tests/downstream/strict.py [PACKAGE or PACKAGE.PROGRAM] ...

The annotations of Diffrax, Optimistix and Lineax are checked at each call, by jaxtyping and
beartype; and JAX's leak checker watches that nothing keeps a tracer past its trace. Each program is
run in the most involved of its ways. What fails here, and not without the checks, is told.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jaxtyping
import programs
import run

ANNOTATED = ("diffrax", "lineax", "optimistix")


def failure(call: Callable[[], Any], checks: contextlib.AbstractContextManager) -> str | None:
    """Give what a call raises, in a line or two, or None."""
    with run.watched() as seen, checks:
        jax.block_until_ready(call())
        jax.effects_barrier()
    error = seen["error"]
    return None if error is None else f"{error['kinds'][0]}: {error['message'][:1000]}"


def failures(names: list[str]) -> Iterator[str]:
    """Give what fails under the checks alone, and tell how many programs were run."""
    count = 0
    for package in run.packages():
        if names and not any(name.split(".")[0] == package for name in names):
            continue
        module = importlib.import_module(f"{programs.__name__}.{package}{run.SUFFIX}")
        for name, program in module.PROGRAMS.items():
            if not run.is_chosen(f"{package}.{name}", names):
                continue
            count += 1
            *_, (way, call) = run.ways(program)
            told = failure(call, jax.checking_leaks())
            if told is not None:
                *_, (_, again) = run.ways(program)
                if failure(again, contextlib.nullcontext()) is None:
                    yield f"{package}.{name}, {way}: {told}"
            jax.clear_caches()
    print(f"{count} programs were run strictly.")


def main() -> None:
    """Fail if any of the chosen programs does."""
    checked = [name for name in ANNOTATED if importlib.util.find_spec(name)]
    with jaxtyping.install_import_hook(checked, "beartype.beartype"):
        failed = False
        for told in failures(sys.argv[1:]):
            failed = True
            print(told, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
