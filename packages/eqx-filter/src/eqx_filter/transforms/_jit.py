"""`filter_jit`: `jax.jit` that traces the arrays of its arguments and holds the rest static."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from eqx_pytree import Module, Partial, field, module_update_wrapper

from ._cache import as_tree, programs_of
from ._lowered import Lowered
from ._options import Options, filter_jit_options

_P = ParamSpec("_P")
_T = TypeVar("_T")


class JitWrapper(Module):
    """A jitted callable. It is a PyTree: what it wraps is its child."""

    fun: Callable[..., Any]
    options: Options = field(static=True)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        fun = self.fun
        return programs_of(fun, self.options)(fun, args, kwargs)

    def lower(self, /, *args: Any, **kwargs: Any) -> Lowered:
        """Lower the program of this call, as `jax.jit(...).lower` does.

        **Arguments:** those of the function; an array may be a `jax.ShapeDtypeStruct`.

        **Returns:** a [`Lowered`][]; its `compile` gives a program to call.
        """
        return Lowered(programs_of(self.fun, self.options), self.fun, args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Partial(self, instance)


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
        `compiler_options`.

    **Returns:** a callable with the signature of `fun`, and `lower`.

    **Raises:** `ValueError` for an unknown `donate`, or an argument of `jax.jit` that is decided
    leaf by leaf; `TypeError` for a keyword that `jax.jit` does not have, or if `fun` cannot be
    called. At a call: `ValueError` naming the leaf that can be neither traced nor hashed, or both
    places of an array that is donated and passed twice; `TypeError` naming an array of strings or
    objects.
    """
    options = filter_jit_options(donate, jitkwargs)
    if fun is None:
        return functools.partial(_wrap, options)
    return _wrap(options, fun)


def _wrap(options: Options, fun: Callable[..., Any]) -> Any:
    if not callable(fun):
        message = f"`filter_jit` wraps a function; {fun!r} is not a callable object."
        raise TypeError(message)
    return module_update_wrapper(JitWrapper(as_tree(fun), options))
