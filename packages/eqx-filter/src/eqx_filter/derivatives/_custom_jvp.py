"""`filter_custom_jvp`: a function with a forward-mode rule of its own."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.custom_derivatives import SymbolicZero, zero_from_primal

from eqx_pytree import Partial, warn_user

from ..shared._gaps import MisfitError, first_other_shape, leaf_by_leaf, let_vary_too
from ..shared._naming import function_name
from ..shared._packed import Packed, as_array, pack
from ..shared._predicates import is_array, is_differentiable, is_none
from ._closed_over import naming_closed_over


class filter_custom_jvp:  # noqa: N801
    """Give a function a rule for its Jacobian-vector products.

        @filter_custom_jvp
        def log1pexp(x):
            return jnp.log1p(jnp.exp(x))

        @log1pexp.def_jvp
        def log1pexp_jvp(primals, tangents):
            (x,), (t,) = primals, tangents
            return log1pexp(x), t * jax.nn.sigmoid(x)

    **Arguments:** `fn`, a function; its arguments and its result are any PyTrees. Keyword arguments
    cannot be differentiated.

    The rule is called as `rule(primals, tangents, **kwargs)`. `primals` is the tuple of arguments;
    `tangents` has their structure, with None for each leaf that is not perturbed. It returns the
    output and its tangents, with None for tangents of zero. As an attribute of a class it is a
    method, and `self` is the first of the primals.

    **Raises**, at a call: `AttributeError` without a rule. When differentiated: `ValueError` for a
    perturbed keyword argument or an array that the function holds itself, or if the tangents do not
    fit the output; `TypeError` if the rule returns no pair; `jax.errors.UnexpectedTracerError`
    naming a traced value that the function closes over.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        if not callable(fn):
            message = f"`filter_custom_jvp` wraps a function; {fn!r} is not a callable object."
            raise TypeError(message)
        self.fn = fn
        self.rule: Callable[..., Any] | None = None
        functools.update_wrapper(self, fn, updated=())

    def def_jvp(self, fn_jvp: Callable[..., Any]) -> None:
        """Set the rule."""
        self.rule = fn_jvp

    def defjvp(self, fn_jvp: Callable[..., Any]) -> None:
        """Set a rule that is given zeros instead of None as tangents; deprecated."""
        message = (
            "`filter_custom_jvp.defjvp` is deprecated in favour of `def_jvp`, whose rule is given "
            "None as the tangent of what is not perturbed."
        )
        warn_user(message)

        def rule(primals: Any, tangents: Any, **kwargs: Any) -> Any:
            return fn_jvp(primals, jtu.tree_map(_or_zeros, tangents, primals, is_leaf=is_none))

        self.rule = rule

    def defjvps(self, *a: Any, **kw: Any) -> None:
        """Refuse; set one rule for all arguments with `def_jvp`."""
        message = "`filter_custom_jvp.defjvps` is not implemented: use `def_jvp`."
        raise NotImplementedError(message)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Partial(self, instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if self.rule is None:
            message = (
                f"No JVP defined for `{function_name(self.fn)}`, wrapped by `filter_custom_jvp`: "
                "set a rule with `def_jvp`."
            )
            raise AttributeError(message)
        rule = self.rule
        numbers: list[Any] = []

        def of_arrays(packed: Packed) -> Packed:
            fn, args, kwargs = packed.unpack()
            out = fn(*args, **kwargs)
            numbers[:] = [leaf if _is_number(leaf) else None for leaf in jtu.tree_leaves(out)]
            return pack(_with_arrays_for_numbers(out))

        def rule_of_arrays(primals: tuple[Packed], tangents: tuple[Packed]) -> Any:
            [packed], [moved] = primals, tangents
            found = [None if isinstance(t, SymbolicZero) else as_array(t) for t in moved.arrays]
            fn, args, kwargs = packed.unpack()
            fn_tangents, arg_tangents, others = packed.layout.rebuild_with_gaps(found)
            _refuse_tangents(fn, fn_tangents, others)
            returned = rule(args, arg_tangents, **kwargs)
            return _packed_pair(rule, returned)

        run = jax.custom_jvp(of_arrays)
        run.defjvp(rule_of_arrays, symbolic_zeros=True)
        with naming_closed_over(self.fn, rule):
            out = run(pack((self.fn, args, kwargs))).unpack()
        return _with_known_numbers(out, numbers) if any(map(_is_number, numbers)) else out


def _with_arrays_for_numbers(tree: Any) -> Any:
    """Give each floating or complex number as an array, since a rule may give it a tangent."""
    return jtu.tree_map(lambda leaf: jnp.asarray(leaf) if _is_number(leaf) else leaf, tree)


def _with_known_numbers(tree: Any, numbers: list[Any]) -> Any:
    """Give the numbers again that a function returned, where nothing was traced."""
    leaves, structure = jtu.tree_flatten(tree)
    pairs = zip(leaves, numbers, strict=True)
    return structure.unflatten(
        leaf if number is None or isinstance(leaf, jax.core.Tracer) else number
        for leaf, number in pairs
    )


def _is_number(leaf: Any) -> bool:
    """Whether it is a number of Python's that can have a tangent."""
    return type(leaf) in (float, complex)


def _or_zeros(tangent: Any, primal: Any) -> Any:
    return jnp.zeros_like(primal) if tangent is None and is_differentiable(primal) else tangent


def _refuse_tangents(fn: Any, fn_tangents: Any, keyword_tangents: dict[str, Any]) -> None:
    for name, tangents in keyword_tangents.items():
        if jtu.tree_leaves(tangents):
            message = (
                f"Received keyword tangent: `{name}`, a keyword argument of "
                f"`{function_name(fn)}`, is differentiated. Pass it by position."
            )
            raise ValueError(message)
    for path, _ in jtu.tree_flatten_with_path(fn_tangents)[0]:
        message = (
            f"`{function_name(fn)}{jtu.keystr(path)}` is differentiated, and the rule is not told "
            "of what the function itself holds. Pass it as an argument."
        )
        raise ValueError(message)


def _packed_pair(rule: Any, returned: Any) -> tuple[Packed, Packed]:
    """What a rule returned, as JAX takes it: two trees of one structure."""
    if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
        message = (
            f"`{function_name(rule)}` must return a pair `(primals_out, tangents_out)`; it "
            f"returned a `{type(returned).__name__}`."
        )
        raise TypeError(message)
    out, tangents = returned
    try:
        given = leaf_by_leaf(tangents, out)
    except MisfitError as error:
        raise ValueError(_misfit(rule, *error.args)) from None
    misshapen = first_other_shape(tangents, out)
    if misshapen is not None:
        raise TypeError(_misfit(rule, *misshapen))
    out = _with_arrays_for_numbers(out)
    packed = pack(out)
    found = [
        zero_from_primal(leaf, symbolic_zeros=True)
        if tangent is None
        else let_vary_too(tangent, leaf)
        for leaf, tangent in zip(jtu.tree_leaves(out), given, strict=True)
        if is_array(leaf)
    ]
    return packed, Packed(packed.layout, found)


def _misfit(rule: Any, path: Any, told: str) -> str:
    return (
        f"The tangents that `{function_name(rule)}` returns must have the structure and shapes of "
        f"the output, with None where they are zero; at `tangents_out{jtu.keystr(path)}`: {told}."
    )
