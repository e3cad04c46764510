"""The programs of a jitted function, found again at each call.

Per call: one flatten, one tuple of the leaves' types, one or two look-ups, `jax.jit`'s own call on
the traced leaves in a row, one unflatten. The kind of call that came last is compared first. All
else is worked out once, when a call of a new kind comes, and is kept with the function itself: when
the function dies, its programs do.
"""

import contextlib
import importlib
import inspect
import itertools
import operator
import os
import threading
import types
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import is_own_key, static_key

from ..errors._primitive import checks_in
from ..errors._report import Check, raise_failure, raise_recorded
from ..errors._stack import boundary, runner
from ..shared._naming import callable_names, code_of, leaf_names
from ..shared._packed import Packed, as_array, pack
from ..shared._predicates import ARRAY_TYPES, is_array_like
from ..shared._processes import devices_of
from ..shared._shardings import lay_out, of_leaves
from ._binding import Binding
from ._blame import name_arguments
from ._donation import begin_quiet, quiet_ends_here, refuse_donated_twice
from ._hidden import holds_tracers, warn_of_hidden_arrays
from ._options import Options
from ._tables import Table, TableByStructure

making = threading.RLock()
"""Held where a plan or a program is made, so that threads that come at once share one."""

_MOST_TRACES = 64
"""Traces of one program that are remembered, for `debug.explain_retrace`."""

listener: Any = None
"""Told of traces and calls while anyone asks `debug.explain_retrace`."""

_ANY_ARRAYS = inspect.signature(lambda *dynamic: None)

_flatten = jtu.default_registry.flatten
"""`jax.tree_util.tree_flatten` without its frame."""


def _as_array_if_it_fits(leaf: Any) -> Any:
    """An array of a number, as `jax.jit` returns it; it refuses integers that are too large."""
    try:
        return as_array(leaf)
    except OverflowError:
        return leaf


class Programs:
    """What has been compiled for one function under one set of options.

    `fun` is the function itself where it is no PyTree. Otherwise it is None, and the callable of
    each call is flattened with the arguments: its arrays are inputs, the rest is static.
    """

    def __init__(self, options: Options, fun: Callable[..., Any] | None, like: Any) -> None:
        self.options = options
        self.fun = fun
        self.binding = Binding(like, fill_defaults=options.fill_defaults)
        self.full = self.binding.full
        self.filter = options.filter
        self.name = getattr(like, "__name__", None) or type(like).__name__
        self.code = code_of(like)
        self.plans = TableByStructure()
        self.plans_by_mask = TableByStructure()
        self.latest: tuple[Any, Any] = None, None
        self.report: Callable[[str], object] | None = None

    def __call__(self, fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the program of this call, compiling it if there is none."""
        program, dynamic = self.find(fun, args, kwargs)
        if listener is not None:
            listener.called(program, dynamic)
        return program(dynamic)

    def find(
        self,
        fun: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        array_types: tuple[type, ...] = ARRAY_TYPES,
    ) -> tuple["Program", Sequence[Any]]:
        """The program of a call, and the leaves to pass to it."""
        if kwargs or len(args) < self.full:
            args, kwargs = self.binding(args, kwargs)
        tree = (args, kwargs) if self.fun is not None else (fun, args, kwargs)
        leaves, structure = _flatten(tree)
        traced = None if self.filter is None else self.filter(self, tree, leaves)
        kind = structure, tuple(map(type, leaves)), traced, array_types
        latest, plan = self.latest
        if kind != latest:
            plan = self._plan(kind, leaves)
            self.latest = kind, plan
        return plan.find(leaves), plan.dynamic(leaves)

    def _plan(self, kind: Any, leaves: Sequence[Any]) -> "Plan":
        """The plan of a kind of calls; NumPy's arrays come to the same one as JAX's."""
        plan = self.plans.get(kind)
        return plan if plan is not None else self._make_plan(kind, leaves)

    def _make_plan(self, kind: Any, leaves: Sequence[Any]) -> "Plan":
        structure, types, traced, array_types = kind
        if traced is None:
            traced = tuple(isinstance(leaf, array_types) for leaf in leaves)
        mask = structure, traced, tuple(itertools.compress(types, map(operator.not_, traced)))
        with making:
            plan = self.plans_by_mask.get(mask)
            if plan is None:
                plan = Plan(self, structure, leaves, traced)
                self.plans_by_mask.keep(mask, plan)
            self.plans.keep(kind, plan)
        return plan

    def all(self) -> list["Program"]:
        """Every program that is kept."""
        return [it for plan in self.plans_by_mask.values() for it in list(plan.variants.values())]

    def apply(self, tree: Any) -> Any:
        """Call the function on what was flattened, put together again."""
        if self.fun is not None:
            args, kwargs = tree
            return self.fun(*args, **kwargs)
        fun, args, kwargs = tree
        return fun(*args, **kwargs)

    def names(self, tree: Any) -> list[str]:
        """Name each leaf of a call by argument and path; arrays may be stood for by anything."""
        *fun, args, kwargs = tree
        like = self.fun or fun[0]
        if fun and jtu.all_leaves(fun):
            return [self.name, *leaf_names(self.binding.signature or like, args, kwargs)]
        return [name for f in fun for name in callable_names(f)] + leaf_names(like, args, kwargs)


class Plan:
    """What calls have in common that trace the same leaves of the same structure."""

    def __init__(
        self, programs: Programs, structure: Any, leaves: Sequence[Any], traced: Sequence[bool]
    ) -> None:
        self.programs = programs
        self.structure = structure
        self.dynamic_places = [i for i, is_traced in enumerate(traced) if is_traced]
        self.static_places = [i for i, is_traced in enumerate(traced) if not is_traced]
        self.dynamic = _getter(self.dynamic_places)
        self.static = _getter(self.static_places)
        self.donated = self._donated()
        self.jit = {**programs.options.jit, **self._in_shardings()}
        self.by_value = all(is_own_key(leaves[i]) for i in self.static_places)
        self.variants = Table()

    def find(self, leaves: Sequence[Any]) -> "Program":
        """The program for the static leaves among `leaves`."""
        static = self.static(leaves)
        try:
            key = static if self.by_value else tuple(map(_leaf_key, static))
            program = self.variants.get(key)
        except TypeError as error:
            raise ValueError(self._unhashable(static)) from error
        return program if program is not None else self._make_program(key, static)

    def _make_program(self, key: Hashable, static: Sequence[Any]) -> "Program":
        with making:
            closure = next(filter(holds_tracers, static), None)
            kept = self.variants if closure is None else _Passing(closure, self)
            program = kept.get(key)
            if program is None:
                names = lambda: self.static(self.names(static))  # noqa: E731
                warn_of_hidden_arrays(static, names, self.programs.name)
                program = Program(self, static)
                kept.keep(key, program)
        return program

    def merge(self, dynamic: Sequence[Any], static: Sequence[Any]) -> Any:
        """Put traced and static leaves together into the tree that was flattened."""
        leaves: list[Any] = [None] * self.structure.num_leaves
        for place, leaf in zip(self.dynamic_places, dynamic, strict=True):
            leaves[place] = leaf
        for place, leaf in zip(self.static_places, static, strict=True):
            leaves[place] = leaf
        return self.structure.unflatten(leaves)

    def same_call(self, other: "Plan") -> bool:
        """Whether two plans trace the same leaves of the same structure."""
        return self.structure == other.structure and self.dynamic_places == other.dynamic_places

    def names(self, static: Sequence[Any]) -> list[str]:
        """Name each leaf, where the static ones are these."""
        return self.programs.names(self.merge(self.dynamic_places, static))

    def _donated(self) -> tuple[int, ...]:
        """Which of the traced leaves are donated, by their position among them."""
        donate = self.programs.options.donated_args
        *fun, args, _ = self.structure.children()
        if donate is None:
            return ()
        given: list[bool] = [donate(-1)] * sum(part.num_leaves for part in fun)
        for i, arg in enumerate(args.children()):
            given += [donate(i)] * arg.num_leaves
        given += [donate(-1)] * (self.structure.num_leaves - len(given))
        return tuple(i for i, place in enumerate(self.dynamic_places) if given[place])

    def _in_shardings(self) -> dict[str, Any]:
        """The sharding of each traced leaf, as `jax.jit` takes them, if any were asked for."""
        asked = self.programs.options.in_shardings
        if asked is None or self.programs.options.in_plans is not None:
            return {}
        *fun, args, kwargs = self.structure.unflatten(range(self.structure.num_leaves))
        shardings = of_leaves("in_shardings", None, fun)
        shardings += of_leaves("in_shardings", asked, args)
        shardings += of_leaves("in_shardings", None, kwargs)
        return {"in_shardings": tuple(shardings[i] for i in self.dynamic_places)}

    def _unhashable(self, static: Sequence[Any]) -> str:
        names = self.names(static)
        for place, leaf in zip(self.static_places, static, strict=True):
            try:
                hash(_leaf_key(leaf))
            except TypeError as error:
                why = "the filter holds it static" if is_array_like(leaf) else "it is no array"
                told = f"`{names[place]}`, a `{type(leaf).__name__}` ({why}; {error})"
                break
        else:
            told = "A static leaf"
        return (
            f"{told}, passed to `{self.programs.name}`, can be neither traced nor hashed. Pass an "
            "array, and one that the filter traces; or a value that has a hash, such as a tuple or "
            "a frozenset; or register its type as a PyTree node, so that its leaves are seen."
        )


class Program:
    """A function with its static leaves fixed: `jax.jit` over the traced leaves in a row."""

    def __init__(self, plan: Plan, static: Sequence[Any]) -> None:
        self.plan = plan
        self.static = static
        self.layout: Any = None
        self.donates = bool(plan.donated)
        self.traces: deque[tuple[Any, ...]] = deque(maxlen=_MOST_TRACES)
        self.placements: deque[tuple[Any, ...]] = deque(maxlen=_MOST_TRACES)
        self.quiet = plan.programs.options.silences and self.donates
        self.unseen = False  # traced since its final form was last looked at
        self.checks: frozenset[Check] = frozenset()
        self.records = True  # or may, as long as no checks were looked for
        self.alone = threading.RLock()

        def traced(*dynamic: Any) -> Any:
            return self._trace(dynamic)

        traced.__name__ = traced.__qualname__ = plan.programs.name
        traced.__signature__ = _ANY_ARRAYS
        if plan.programs.code is not None:
            traced.__wrapped__ = plan.programs.code  # errors of JAX's name its file and line
        self.jitted = jax.jit(traced, donate_argnums=plan.donated or None, **plan.jit)

    @runner
    def __call__(self, dynamic: Sequence[Any]) -> Any:
        """Run it, and give the output its structure."""
        if self.records:
            return self.run(self._execute, dynamic)
        try:
            out = self._execute(dynamic) if self.donates else self.jitted(*dynamic)
            if self.unseen:
                return self.run(lambda _: out, dynamic)
            if self.checks:
                _wait(out)
        except Exception as error:
            self._explain(error, dynamic)
            raise
        return self.layout.rebuild(out) if type(out) is tuple else self.rebuild(out)

    @runner
    def run(self, execute: Callable[[Sequence[Any]], Any], dynamic: Sequence[Any]) -> Any:
        """Run it, or what was compiled of it; if it holds checks, wait, so that they raise here.

        **Raises:** `EquinoxRuntimeError`.
        """
        # Of a program that records its failures, one runs at a time: each finds its own.
        with self.alone if self.records else contextlib.nullcontext():
            try:
                out = execute(dynamic)
                if self.unseen and not any(isinstance(x, jax.core.Tracer) for x in dynamic):
                    self._look_for_checks(dynamic)
                if self.checks:
                    _wait(out)
            except Exception as error:
                self._explain(error, dynamic)
                raise
            if self.records and self.checks:
                raise_recorded(self.checks, devices_of(_first(out)))
        return self.rebuild(out)

    def _execute(self, dynamic: Sequence[Any]) -> Any:
        if not self.donates:
            return self.jitted(*dynamic)
        refuse_donated_twice(dynamic, self.plan.donated, self._names)
        with quiet_ends_here():
            return self.jitted(*dynamic)

    def _look_for_checks(self, dynamic: Sequence[Any]) -> None:
        """See which checks the program holds, once it was traced anew.

        They are read from its final form: a function that was traced before brings its checks along
        without being traced again.
        """
        self.unseen = False
        self.checks |= checks_in(self.jitted.trace(*dynamic).jaxpr.jaxpr)
        self.records = any(check.records for check in self.checks)

    def _explain(self, error: Exception, dynamic: Sequence[Any]) -> None:
        """Raise a better error, if this is of a check, or of a leaf that cannot be traced."""
        if isinstance(error, TypeError):
            self._refuse_untraceable(dynamic)
        name_arguments(error, self._names)
        raise_failure(error)

    def _names(self) -> Sequence[str]:
        """Name each traced leaf."""
        return self.plan.dynamic(self.plan.names(self.static))

    def rebuild(self, out: Any) -> Any:
        """Give what `jitted` returned the structure in which the function returned it."""
        if type(out) is tuple:
            return self.layout.rebuild(out)
        return out.unpack() if type(out) is Packed else out

    @boundary
    def _trace(self, dynamic: Sequence[Any]) -> Any:
        """Call the function, and return its arrays in a row if they are laid out as before.

        A tuple is what `jax.jit` returns fastest. The static leaves and the structure may change
        from one shape of the inputs to another; where they do, they travel with the arrays.
        """
        self._tell_of_trace(dynamic)
        self.unseen = True
        if self.quiet:
            begin_quiet()
        programs = self.plan.programs
        tree = self.plan.merge(dynamic, self.static)
        if programs.options.in_plans is not None:
            *fun, args, kwargs = tree
            tree = (*fun, lay_out("in_shardings", args, programs.options.in_plans), kwargs)
        result = programs.apply(tree)
        if programs.options.numbers_to_arrays:
            result = jtu.tree_map(_as_array_if_it_fits, result)
        out = pack(lay_out("out_shardings", result, programs.options.out_shardings))
        if self.layout is None:
            self.layout = out.layout
        if self.layout != out.layout:
            return out
        return out.arrays[0] if out.layout.is_array else tuple(out.arrays)

    def _tell_of_trace(self, dynamic: Sequence[Any]) -> None:
        avals = tuple(map(aval_of, dynamic))
        if listener is None and asked_by_environment():
            importlib.import_module("eqx_filter.debug")
        if listener is not None:
            listener.traced(self, avals)
        self.traces.append(avals)

    @runner
    def lower(self, dynamic: Sequence[Any]) -> Any:
        """Lower it for these inputs."""
        with quiet_ends_here():
            try:
                return self.jitted.lower(*dynamic)
            except Exception as error:
                self._explain(error, dynamic)
                raise

    def _refuse_untraceable(self, dynamic: Sequence[Any]) -> None:
        for name, leaf in zip(self._names(), dynamic, strict=True):
            if not is_array_like(leaf):
                kind = f"`{type(leaf).__name__}`"
                if hasattr(leaf, "dtype"):
                    kind += f" of dtype `{leaf.dtype}`"
                programs = self.plan.programs
                way_out = "Pass numbers, or a tuple instead of an array."
                if programs.filter is not None:
                    way_out = "Leave it out of the filter, as `filter_fn=is_array` does."
                message = (
                    f"`{name}`, a {kind} passed to `{programs.name}`, is to be traced, and JAX has "
                    f"no such arrays. {way_out}"
                )
                raise TypeError(message) from None


class _Passing:
    """Programs of a function that closes over tracers: they live with it, and not beyond its trace.

    They are in the `__dict__` of the function, if it has one.
    """

    def __init__(self, closure: Any, plan: Plan) -> None:
        is_method = isinstance(closure, types.MethodType)  # whose `__dict__` is its function's
        held = {} if is_method else getattr(closure, "__dict__", {})
        self.programs = held.setdefault(_PASSING, {})
        self.plan = plan

    def get(self, key: Hashable) -> "Program | None":
        return self.programs.get((self.plan, key))

    def keep(self, key: Hashable, program: "Program") -> None:
        self.programs[self.plan, key] = program


_PASSING = "__eqx_passing_programs__"


def _wait(out: Any) -> None:
    """Wait until a program is done, by any of its results: it raises if the program failed."""
    for first in _first(out):
        if not isinstance(first, jax.core.Tracer):
            first.block_until_ready()


def _first(out: Any) -> list[Any]:
    """The first array of what a program returned; all of them lie on the same devices."""
    return [out] if isinstance(out, jax.Array) else jtu.tree_leaves(out)[:1]


def aval_of(array: Any) -> tuple[Any, Any, bool]:
    """Shape, dtype and weak type: what a trace depends on."""
    return array.shape, array.dtype, getattr(array, "weak_type", False)


def asked_by_environment() -> bool:
    """Whether `EQX_EXPLAIN_RETRACE` is set, and not to 0."""
    return os.environ.get("EQX_EXPLAIN_RETRACE", "0") not in ("", "0")


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    if len(places) > 1:
        return operator.itemgetter(*places)
    if not places:
        return lambda leaves: ()
    place = places[0]
    return lambda leaves: (leaves[place],)


def _leaf_key(leaf: Any) -> Hashable:
    """The key of a static leaf; refused if it has no hash, since it could change under a program.

    **Raises:** `TypeError`.
    """
    hash(leaf)
    return static_key(leaf)
