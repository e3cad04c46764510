"""Run programs on downstream packages once more, strictly: annotations and leaks are looked for.

    python tests/downstream/strict.py [--all] [PACKAGE or PACKAGE.PROGRAM] ...

The annotations of Diffrax, Optimistix and Lineax are checked at each call, by jaxtyping and
beartype; and JAX's leak checker watches that nothing keeps a tracer past its trace. Each program is
run in the most involved of its ways. What fails here, and not without the checks, is told. Each
takes some ten seconds, since the leak checker compiles all of it anew: of the packages with very
many programs those in CHOSEN are run, one of each kind, or those named, or with `--all` all.
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

CHOSEN = {
    "diffrax": [
        *("euler", "tsit5", "kvaerno3", "pid_with_coefficients", "few_checkpoints", "tree_state"),
        *("direct_adjoint", "backsolve_adjoint", "sde_heun_adaptive", "event_between_steps"),
        *("dense_output", "save_at_times", "stop_at_max_steps"),
    ],
    "lineax": [
        *("lu", "qr", "svd", "gmres", "cg", "tall_lsmr", "tridiagonal", "jacobian", "singular"),
        *("solve_a_tree", "solve_complex", "jvp_of_a_solve", "batch_of_matrices"),
    ],
    "optimistix": [
        *("levenberg_marquardt", "newton", "bfgs", "nelder_mead", "fixed_point_iteration"),
        *("bisect", "newton_through_the_steps", "keep_aux", "minimise_over_a_tree"),
    ],
}
"""A program for each kind of solver, of matrix, of derivative, of what is saved and how it ends."""


def failure(call: Callable[[], Any], checks: contextlib.AbstractContextManager) -> str | None:
    """Give what a call raises, in a line or two, or None."""
    with run.watched() as seen, checks:
        jax.block_until_ready(call())
        jax.effects_barrier()
    error = seen["error"]
    return None if error is None else f"{error['kinds'][0]}: {error['message'][:1000]}"


def is_chosen(package: str, name: str, names: list[str], *, everything: bool) -> bool:
    """Say whether to run a program: it is named itself, or its package is and it is CHOSEN."""
    if f"{package}.{name}" in names:
        return True
    named = run.is_chosen(f"{package}.{name}", names)
    return named and (everything or name in CHOSEN.get(package, [name]))


def failures(names: list[str], *, everything: bool) -> Iterator[str]:
    """Give what fails under the checks alone, and tell how many programs were run."""
    count = 0
    for package in run.packages():
        if names and not any(name.split(".")[0] == package for name in names):
            continue
        module = importlib.import_module(f"{programs.__name__}.{package}{run.SUFFIX}")
        missing = set(CHOSEN.get(package, [])) - module.PROGRAMS.keys()
        if missing:
            message = f"CHOSEN names programs that are not there: {sorted(missing)}."
            raise ValueError(message)
        for name, program in module.PROGRAMS.items():
            if not is_chosen(package, name, names, everything=everything):
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
        names = [it for it in sys.argv[1:] if it != "--all"]
        for told in failures(names, everything="--all" in sys.argv):
            failed = True
            print(told, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
