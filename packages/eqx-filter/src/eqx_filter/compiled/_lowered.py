"""Programs ahead of time: what `filter_jit(f).lower(...)` and its `compile` return."""

from typing import Any

from eqx_pytree import static_key

from ..shared._predicates import ABSTRACT_TOO
from ._programs import Program, Programs


class Lowered:
    """A program before compilation. Attributes not found here are those of `jax.stages.Lowered`."""

    def __init__(
        self, programs: Programs, fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._programs = programs
        self._fun = fun
        self._program, dynamic = programs.find(fun, args, kwargs, ABSTRACT_TOO)
        self.lowered = self._program.lower(dynamic)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "lowered"), name)

    def compile(self, compiler_options: dict[str, Any] | None = None) -> "Compiled":
        """Compile; `compiler_options` as in `jax.stages.Lowered.compile`."""
        compiled = self.lowered.compile(compiler_options)
        return Compiled(compiled, self._programs, self._program, self._fun)


class Compiled:
    """A compiled program. Attributes not found here are those of `jax.stages.Compiled`."""

    def __init__(self, compiled: Any, programs: Programs, program: Program, fun: Any) -> None:
        self.compiled = compiled
        self._programs = programs
        self._program = program
        self._fun = fun

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "compiled"), name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program on arguments of the same structure, shapes, dtypes and static leaves.

        **Raises:** `TypeError` that says what differs.
        """
        program, dynamic = self._programs.find(self._fun, args, kwargs)
        if program is not self._program:
            difference = _difference(self._program, program)
            if difference is not None:
                raise TypeError(difference)
        return self._program.run(lambda dynamic: self.compiled(*dynamic), dynamic)


def _difference(expected: Program, given: Program) -> str | None:
    """Say what keeps a call from a program compiled for another; None if nothing does."""
    head = f"`{expected.plan.programs.name}` was compiled for other arguments: "
    if expected.plan.structure != given.plan.structure:
        before, now = expected.plan.structure, given.plan.structure
        return f"{head}their structure was {before}, and is {now}."
    names = expected.plan.names(expected.static)
    if not expected.plan.same_call(given.plan):
        changed = set(expected.plan.dynamic_places) ^ set(given.plan.dynamic_places)
        told = ", ".join(f"`{names[i]}`" for i in sorted(changed))
        return f"{head}{told} changed between an array and a static value."
    places = expected.plan.static_places
    changes = [
        f"`{names[place]}` was {old!r} and is {new!r}"
        for place, old, new in zip(places, expected.static, given.static, strict=True)
        if static_key(old) != static_key(new)
    ]
    return f"{head}{', '.join(changes)}." if changes else None
