"""`filter_grad` and `filter_value_and_grad`: gradients for the floating arrays of one argument."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import field, warn_user

from ..paths._selectors import Where
from ..shared._describe import describe_value
from ..shared._naming import function_name, named_arguments
from ..shared._predicates import (
    is_array,
    is_inexact_array_like,
    is_number_or_array,
)
from ..shared._wrapper import Wrapper, check_keywords, wrap
from ._kinds import note_kinds
from ._wrt import mask_of

_P = ParamSpec("_P")
_X = TypeVar("_X")
_Value = TypeVar("_Value")
_Aux = TypeVar("_Aux")
_Of = Callable[Concatenate[_X, _P], _Value]
"""A function whose first argument is differentiated."""

GRAD_KEYWORDS = tuple(
    name
    for name in list(inspect.signature(jax.value_and_grad).parameters)[1:]
    if name not in ("argnums", "has_aux")
)


def value_and_grad_of_leaves(
    fun: Callable[[Any], Any], tree: Any, mask: Sequence[bool], **options: Any
) -> tuple[Any, Any]:
    """Differentiate `fun(tree)` with respect to the leaves of `tree` that `mask` picks.

    Returns what `jax.value_and_grad` does; the gradient has the structure of `tree`, and None for
    every other leaf.
    """
    leaves, structure = jtu.tree_flatten(tree)
    picked = [leaf for leaf, m in zip(leaves, mask, strict=True) if m]

    def of_picked(picked: Sequence[Any]) -> Any:
        remaining = iter(picked)
        merged = [next(remaining) if m else leaf for leaf, m in zip(leaves, mask, strict=True)]
        return fun(structure.unflatten(merged))

    try:
        value, gradients = jax.value_and_grad(of_picked, **options)(picked)
    except (TypeError, ValueError) as error:
        note_kinds(error)
        raise
    remaining = iter(gradients)
    return value, structure.unflatten([next(remaining) if m else None for m in mask])


def refuse_undifferentiable(
    fun: Any, out: Any, *, has_aux: bool, holomorphic: bool = False, **others: Any
) -> None:
    """Refuse what a function returned if it has no gradient.

    **Raises:** `TypeError`.
    """
    name = f"`{function_name(fun)}`"
    if has_aux and not (isinstance(out, (tuple, list)) and len(out) == 2):
        message = (
            f"With `has_aux`, {name} must return a pair `(value, aux)`; it returned "
            f"{describe_value(out)}."
        )
        raise TypeError(message)
    value = out[0] if has_aux else out
    if hasattr(type(value), "__jax_array__") and not is_array(value):
        return  # JAX refuses it, and says how to convert it
    if not is_number_or_array(value):
        rule = "Gradient only defined for scalar-output functions"
        way_out = "To return more than a scalar, pass `has_aux=True`"
    elif jnp.ndim(value):
        rule = "Gradient only defined for scalar-output functions"
        way_out = "Return its sum or mean, or use `filter_jacrev`"
    elif holomorphic and not jnp.iscomplexobj(value):
        rule = "grad with holomorphic=True requires complex outputs"
        way_out = "Leave `holomorphic` out"
    elif not holomorphic and not is_inexact_array_like(value):
        rule, way_out = "grad requires real-valued outputs", "Return a floating number"
    elif not holomorphic and jnp.iscomplexobj(value):
        rule = "grad requires real-valued outputs"
        way_out = "Return a real number, such as its `abs`, or pass `holomorphic=True`"
    else:
        return
    message = f"{rule}; {name} returned {describe_value(value)}. {way_out}."
    raise TypeError(message)


class ValueAndGradWrapper(Wrapper):
    """A callable that returns value and gradient."""

    has_aux: bool = field(static=True)
    gradkwargs: dict[str, Any] = field(static=True)
    wrt: Any = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if not args:
            raise TypeError(_no_first_argument(kwargs))
        first, *others = args

        def of_first(first: Any) -> Any:
            out = self.fun(first, *others, **kwargs)
            refuse_undifferentiable(self.fun, out, has_aux=self.has_aux, **self.gradkwargs)
            return out

        name = "" if self.wrt is None else next(named_arguments(self.fun, args, {}))[0]
        mask = mask_of(self.wrt, first, name)
        if mask and not any(mask):
            warn_user(_nothing_to_differentiate(self.fun, args))
        return value_and_grad_of_leaves(
            of_first, first, mask, has_aux=self.has_aux, **self.gradkwargs
        )


def _nothing_to_differentiate(fun: Any, args: Any) -> str:
    name, first = next(named_arguments(fun, args, {}))
    kinds = sorted({type(leaf).__name__ for leaf in jtu.tree_leaves(first)})
    told = ", ".join(f"`{kind}`" for kind in kinds) or "none"
    return (
        f"`{name}` of `{function_name(fun)}` has no floating array to differentiate by, so its "
        f"gradient is None everywhere; its leaves are {told}. Pass arrays, such as "
        "`jnp.asarray(2.0)` instead of 2.0, and instances of classes that are PyTrees."
    )


class GradWrapper(ValueAndGradWrapper):
    """A callable that returns the gradient, and the auxiliary output if there is one."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        value, gradient = super().__call__(*args, **kwargs)
        return (gradient, value[1]) if self.has_aux else gradient


@overload
def filter_value_and_grad(
    fun: _Of[_X, _P, _Value],
    *,
    has_aux: Literal[False] = False,
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> _Of[_X, _P, tuple[_Value, _X]]: ...


@overload
def filter_value_and_grad(
    fun: _Of[_X, _P, tuple[_Value, _Aux]],
    *,
    has_aux: Literal[True],
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> _Of[_X, _P, tuple[tuple[_Value, _Aux], _X]]: ...


@overload
def filter_value_and_grad(
    *, has_aux: bool = False, wrt: Where | None = None, **gradkwargs: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def filter_value_and_grad(
    fun: Callable[..., Any] | None = None,
    *,
    has_aux: bool = False,
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> Any:
    """Make a function that computes the value of `fun` and its gradient.

    The gradient is taken with respect to every floating or complex array, JAX's or NumPy's, in
    the first argument, which may be any PyTree. To differentiate several arguments, pass them as a
    tuple; to differentiate fewer leaves, pass `wrt`, or `partition` first.

    **Arguments:**

    - `fun`: a pure function that returns a scalar of shape `()`, floating; or a pair of that and
        any auxiliary output, if `has_aux`. Without it, a decorator is returned.
    - `has_aux`: whether `fun` returns such a pair.
    - `wrt`: what is differentiated, by a selector over the first argument, or anything that `by`
        takes: a path, a type, a function, a mask such as `trainable(model)`. No gradient work is
        done for the rest. Below a node that is selected, other leaves than floating and complex
        arrays are left out.
    - `gradkwargs`: other arguments of `jax.value_and_grad`, such as `holomorphic`.

    **Returns:** a callable that returns `(value, gradient)`, or `((value, aux), gradient)`. The
    gradient has the structure of the first argument, with None for leaves that are no such arrays,
    or not selected; elsewhere its shapes and dtypes.

    **Raises:** `ValueError` if `argnums` is passed; `TypeError` for a keyword that
    `jax.value_and_grad` does not have. At a call: `TypeError` without a positional argument, if
    `fun` returns anything else, or if `wrt` names a leaf that has no gradient; `ValueError` if it
    selects nothing to differentiate.
    """
    return _make(ValueAndGradWrapper, "filter_value_and_grad", fun, has_aux, gradkwargs, wrt)


@overload
def filter_grad(
    fun: _Of[_X, _P, Any],
    *,
    has_aux: Literal[False] = False,
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> _Of[_X, _P, _X]: ...


@overload
def filter_grad(
    fun: _Of[_X, _P, tuple[Any, _Aux]],
    *,
    has_aux: Literal[True],
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> _Of[_X, _P, tuple[_X, _Aux]]: ...


@overload
def filter_grad(
    *, has_aux: bool = False, wrt: Where | None = None, **gradkwargs: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def filter_grad(
    fun: Callable[..., Any] | None = None,
    *,
    has_aux: bool = False,
    wrt: Where | None = None,
    **gradkwargs: Any,
) -> Any:
    """Make a function that computes the gradient of `fun`.

    **Arguments:** as `filter_value_and_grad`.

    **Returns:** a callable that returns the gradient, or `(gradient, aux)` if `has_aux`.

    **Raises:** as `filter_value_and_grad`.
    """
    return _make(GradWrapper, "filter_grad", fun, has_aux, gradkwargs, wrt)


def _make(
    wrapper: type[ValueAndGradWrapper],
    caller: str,
    fun: Callable[..., Any] | None,
    has_aux: bool,
    gradkwargs: dict[str, Any],
    wrt: Where | None,
) -> Any:
    if "argnums" in gradkwargs:
        message = (
            f"`argnums` should not be passed to `{caller}`, which differentiates the first "
            "argument. If you need to differentiate multiple objects, pass them as one tuple."
        )
        raise ValueError(message)
    check_keywords(caller, gradkwargs, GRAD_KEYWORDS)
    return wrap(caller, wrapper, fun, has_aux, gradkwargs, wrt)


def _no_first_argument(kwargs: dict[str, Any]) -> str:
    names = "`equinox.filter_{grad, value_and_grad}`"
    if kwargs:
        given = ", ".join(f"`{name}`" for name in kwargs)
        return (
            f"Functions wrapped with {names} must have their first argument passed by position, "
            f"not keyword, as it is what is differentiated. Passed by keyword: {given}."
        )
    return (
        f"Functions wrapped with {names} must have at least one positional argument, as the first "
        "is what is differentiated. None was passed."
    )
