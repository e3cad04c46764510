"""`jitf`, `gradf`, `value_and_grad_f`: the filter is passed, as a function or as booleans."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import field, static_key

from ..compiled._jit import jit_with
from ..compiled._options import JIT_KEYWORDS, Options, known_options
from ..compiled._programs import Programs
from ..shared._naming import function_name
from ..shared._predicates import is_array, is_inexact_array_like
from ..shared._wrapper import Wrapper, check_keywords, wrap
from ._asked import Filter
from ._grad import GRAD_KEYWORDS, refuse_undifferentiable, value_and_grad_of_leaves


def jitf(
    fun: Callable[..., Any], *, filter_fn: Any = None, filter_tree: Any = None, **kwargs: Any
) -> Any:
    """Compile a function; of its arguments, the leaves that a filter picks are traced.

    **Arguments:**

    - `fun`: a pure function.
    - `filter_fn`: `leaf -> bool`, called on every leaf of every argument; where true the leaf is
        traced, else it is static. `is_array_like` traces all that can be traced.
    - `filter_tree`: a tree of booleans with the structure of the arguments: one tree for one
        argument, or a tuple or list of trees. Arguments that `static_argnums` names are left out.
        Precisely one of `filter_fn` and `filter_tree` is passed.
    - `kwargs`: other arguments of `jax.jit`. A leaf is static if the filter says so, or if it is in
        an argument named by `static_argnums` or `static_argnames`. `donate_argnums` donates the
        traced leaves of those arguments.

    **Returns:** a callable with the signature of `fun`. A number that it returns comes back as an
    array, as from `jax.jit`; a leaf that is no array, such as a string, as it is.

    **Raises:** `ValueError` if both or neither of `filter_fn` and `filter_tree` is passed, or if a
    leaf of `filter_tree` is no bool; `TypeError` for a keyword that `jax.jit` does not have. At a
    call: `ValueError` that says where the structure of `filter_tree` differs, or which leaf is
    static and cannot be hashed; `TypeError` naming the leaf that is traced and is no array, and as
    `jax.jit` for a NumPy array of strings or objects that `fun` returns.
    """
    return jit_with("jitf", _jitf_options(filter_fn, filter_tree, kwargs), fun)


def _jitf_options(filter_fn: Any, filter_tree: Any, kwargs: dict[str, Any]) -> Options:
    asked = Filter("jitf", filter_fn, filter_tree)
    jit = dict(kwargs)
    static_args = _as_tuple(jit.pop("static_argnums", ()))
    static_names = _as_tuple(jit.pop("static_argnames", ()))
    donated = _as_tuple(jit.pop("donate_argnums", ()))
    check_keywords("jitf", jit, JIT_KEYWORDS)

    def filter(programs: Programs, tree: Any, leaves: Sequence[Any]) -> tuple[bool, ...]:
        *fun, args, call_kwargs = tree
        mask = [is_array(leaf) for leaf in jtu.tree_leaves(fun)] if fun else []
        static = _static_positions(programs, static_args, static_names, len(args))
        if asked.fn is not None and not static and not static_names:
            return (*mask, *asked.mask_of_leaves(leaves[len(mask) :]))
        if asked.fn is None and call_kwargs:
            raise TypeError(_keywords_without_filter(programs.name, call_kwargs))
        answers = iter(asked.mask([arg for i, arg in enumerate(args) if i not in static]))
        for i, arg in enumerate(args):
            count = len(jtu.tree_leaves(arg))
            mask += [False if i in static else next(answers) for _ in range(count)]
        for name in sorted(call_kwargs):
            below = asked.mask_of_leaves(jtu.tree_leaves(call_kwargs[name]))
            mask += [name not in static_names and answer for answer in below]
        return tuple(mask)

    key = "jitf", asked.key, static_key(kwargs)
    return known_options(
        key,
        lambda: Options(
            made_by=(_jitf_options, (filter_fn, filter_tree, kwargs)),
            jit=jit,
            donated_args=(lambda arg: arg in donated) if donated else None,
            filter=filter,
            fill_defaults=False,
            numbers_to_arrays=True,
        ),
    )


def _keywords_without_filter(name: str, kwargs: dict[str, Any]) -> str:
    given = ", ".join(f"`{keyword}`" for keyword in kwargs)
    return (
        f"`filter_tree` of `jitf` speaks of positional arguments, and `{name}` was called with "
        f"the keywords {given}. Pass them by position, or use `filter_fn`."
    )


def _static_positions(
    programs: Programs, numbers: tuple[int, ...], names: tuple[str, ...], count: int
) -> set[int]:
    """Positions of the arguments that are static, by number or by name."""
    positions = {number % count if number < 0 else number for number in numbers} if count else set()
    signature = programs.binding.signature
    if names and signature is not None:
        positions |= {i for i, name in enumerate(signature.parameters) if name in names}
    return positions


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, (int, str)) else tuple(value)


class ValueAndGradfWrapper(Wrapper):
    """What `value_and_grad_f` returns."""

    filter: Filter = field(static=True)
    argnums: int | tuple[int, ...] = field(static=True)
    has_aux: bool = field(static=True)
    gradkwargs: dict[str, Any] = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        positions = _positions(self.fun, self.argnums, len(args))
        chosen = tuple(args[i] for i in positions)

        def of_chosen(chosen: tuple[Any, ...]) -> Any:
            merged = list(args)
            for i, arg in zip(positions, chosen, strict=True):
                merged[i] = arg
            out = self.fun(*merged, **kwargs)
            refuse_undifferentiable(self.fun, out, has_aux=self.has_aux, **self.gradkwargs)
            return out

        mask = self.filter.mask(chosen)
        if not self.gradkwargs.get("allow_int", False):
            self._refuse_undifferentiable(positions, chosen, mask)
        value, gradients = value_and_grad_of_leaves(
            of_chosen, chosen, mask, has_aux=self.has_aux, **self.gradkwargs
        )
        return value, gradients[0] if isinstance(self.argnums, int) else gradients

    def _refuse_undifferentiable(
        self, positions: Sequence[int], chosen: tuple[Any, ...], mask: Sequence[bool]
    ) -> None:
        for (path, leaf), asked in zip(jtu.tree_flatten_with_path(chosen)[0], mask, strict=True):
            if asked and not is_inexact_array_like(leaf):
                position = positions[path[0].idx]
                message = (
                    f"`{self.filter.caller}` requires real- or complex-valued leaves, and "
                    f"`args[{position}]{jtu.keystr(path[1:])}` of `{function_name(self.fun)}` is a "
                    f"`{type(leaf).__name__}`{_of_dtype(leaf)}. Leave it out of the filter, as "
                    "`filter_fn=is_inexact_array` does, convert it to a floating dtype, or pass "
                    "`allow_int=True`."
                )
                raise TypeError(message)


class GradfWrapper(ValueAndGradfWrapper):
    """What `gradf` returns."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        value, gradient = super().__call__(*args, **kwargs)
        return (gradient, value[1]) if self.has_aux else gradient


def gradf(
    fun: Callable[..., Any], *, filter_fn: Any = None, filter_tree: Any = None, **kwargs: Any
) -> Any:
    """Make a function that computes the gradient of `fun` with respect to the leaves of a filter.

    **Arguments:**

    - `fun`: a pure function that returns a floating scalar of shape `()`.
    - `filter_fn`: `leaf -> bool`, called on every leaf of the arguments that `argnums` names; where
        true the leaf is differentiated. `is_inexact_array` picks all floating JAX arrays.
    - `filter_tree`: a tree of booleans with the structure of those arguments: one tree for one
        argument, or a tuple or list of trees. Precisely one of `filter_fn` and `filter_tree` is
        passed.
    - `kwargs`: other arguments of `jax.grad`: `argnums`, `has_aux`, `holomorphic`, ...

    **Returns:** a callable that returns the gradient: for an int `argnums` with the structure of
    that argument, for a sequence a tuple of such. It is None for each leaf that is not
    differentiated. With `has_aux`, `(gradient, aux)`, as `jax.grad`.

    **Raises:** `ValueError` if both or neither of `filter_fn` and `filter_tree` is passed, or if a
    leaf of `filter_tree` is no bool; `TypeError` for a keyword that `jax.grad` does not have. At a
    call: `ValueError` that says where the structure of `filter_tree` differs, `TypeError` if
    `argnums` names an argument that was not passed by position.
    """
    return _make_grad(GradfWrapper, "gradf", fun, Filter("gradf", filter_fn, filter_tree), kwargs)


def value_and_grad_f(
    fun: Callable[..., Any], *, filter_fn: Any = None, filter_tree: Any = None, **kwargs: Any
) -> Any:
    """Make a function that computes the value of `fun`, and what `gradf` computes.

    **Arguments:** as `gradf`.

    **Returns:** a callable that returns `(value, gradient)`; with `has_aux`,
    `((value, aux), gradient)`, as `jax.value_and_grad`.

    **Raises:** as `gradf`.
    """
    asked = Filter("value_and_grad_f", filter_fn, filter_tree)
    return _make_grad(ValueAndGradfWrapper, "value_and_grad_f", fun, asked, kwargs)


def _make_grad(
    wrapper: type[ValueAndGradfWrapper],
    caller: str,
    fun: Callable[..., Any],
    asked: Filter,
    kwargs: dict[str, Any],
) -> Any:
    gradkwargs = dict(kwargs)
    argnums = gradkwargs.pop("argnums", 0)
    has_aux = gradkwargs.pop("has_aux", False)
    check_keywords(caller, gradkwargs, GRAD_KEYWORDS)
    argnums = argnums if isinstance(argnums, int) else tuple(argnums)
    return wrap(caller, wrapper, fun, asked, argnums, has_aux, gradkwargs)


def _of_dtype(leaf: Any) -> str:
    return f" of dtype `{leaf.dtype}`" if hasattr(leaf, "dtype") else ""


def _positions(fun: Any, argnums: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    for number in numbers:
        if not -count <= number < count:
            message = (
                f"`argnums={argnums}` asks for argument {number} of `{function_name(fun)}`, which "
                f"was called with {count} by position. Pass what is differentiated by position."
            )
            raise TypeError(message)
    return tuple(number % count for number in numbers)
