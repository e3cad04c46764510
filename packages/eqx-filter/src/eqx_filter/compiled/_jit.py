"""`filter_jit`: `jax.jit` that traces the arrays of its arguments and holds the rest static."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from eqx_pytree import field

from ..shared._wrapper import Wrapper, as_tree, wrap
from ._cache import programs_of
from ._lowered import Lowered
from ._options import Options, filter_jit_options

_P = ParamSpec("_P")
_T = TypeVar("_T")


class JitWrapper(Wrapper):
    """A jitted callable."""

    options: Options = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        fun = self.fun
        return programs_of(fun, self.options)(fun, args, kwargs)

    def lower(self, /, *args: Any, **kwargs: Any) -> Lowered:
        """Lower the program of this call, as `jax.jit(...).lower` does.

        **Arguments:** those of the function; an array may be a `jax.ShapeDtypeStruct`.

        **Returns:** a `Lowered`; its `compile` gives a program to call.
        """
        return Lowered(programs_of(self.fun, self.options), self.fun, args, kwargs)


@overload
def filter_jit(
    fun: Callable[_P, _T], *, donate: str = "none", **jitkwargs: Any
) -> Callable[_P, _T]: ...


@overload
def filter_jit(
    *, donate: str = "none", **jitkwargs: Any
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]: ...


def filter_jit(
    fun: Callable[..., Any] | None = None, *, donate: str = "none", **jitkwargs: Any
) -> Any:
    """Compile a function; arrays among its arguments are traced, all other leaves are static.

    Arguments and results are any PyTrees. JAX arrays, NumPy arrays and NumPy scalars are traced.
    Other leaves are compared by type and value, and each new value compiles a new program. A
    callable that is a PyTree, such as a Module or a method of one, is an input too: its arrays are
    traced. One function has one set of programs however often it is wrapped. A call does not wait
    for its result.

    **Arguments:**

    - `fun`: a pure function. Without it, a decorator is returned.
    - `donate`: whose memory may be reused for the result; the arrays are gone after the call.
        `"all"` inputs, `"all-except-first"`, or `"none"`. `"warn"` and `"warn-except-first"` are
        the same, and warn where a donated array was of no use.
    - `jitkwargs`: other arguments of `jax.jit`, such as `inline`, `keep_unused`,
        `compiler_options`. `in_shardings` and `out_shardings` are PyTree prefixes, of the tuple of
        positional arguments and of the output, of shardings for the arrays, and None for what lies
        where it lies. A `ShardingPlan` may stand for them.

    **Returns:** a callable with the signature of `fun`, and `lower`.

    **Raises:** `ValueError` for an unknown `donate`, or an argument of `jax.jit` that is decided
    leaf by leaf; `TypeError` for a keyword that `jax.jit` does not have, or if `fun` cannot be
    called. At a call: `ValueError` naming the leaf that can be neither traced nor hashed, or both
    places of an array that is donated and passed twice; `TypeError` naming an array of strings or
    objects.
    """
    return jit_with("filter_jit", filter_jit_options(donate, jitkwargs), fun)


def jit_with(caller: str, options: Options, fun: Any) -> Any:
    """Wrap a function, or make a decorator where there is none."""
    return wrap(caller, lambda fun: JitWrapper(as_tree(fun), options), fun)
