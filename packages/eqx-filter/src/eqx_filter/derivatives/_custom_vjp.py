"""`filter_custom_vjp`: a function with a reverse-mode rule of its own."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.custom_derivatives import SymbolicZero

from eqx_pytree import Partial, warn_user

from ..shared._gaps import MisfitError, first_other_shape, leaf_by_leaf, let_vary_too
from ..shared._naming import function_name
from ..shared._packed import Packed, as_array, pack
from ..shared._predicates import is_array, is_differentiable, is_none
from ._closed_over import naming_closed_over


class filter_custom_vjp:  # noqa: N801
    """Give a function a rule for its vector-Jacobian products.

        @filter_custom_vjp
        def clip_gradient(x, limit):
            return x

        @clip_gradient.def_fwd
        def fwd(perturbed, x, limit):
            return x, None

        @clip_gradient.def_bwd
        def bwd(residuals, cotangent, perturbed, x, limit):
            return jnp.clip(cotangent, -limit, limit)

    **Arguments:** `fn`, a function; its arguments and its result are any PyTrees. It can be
    differentiated with respect to its first argument only, `vjp_arg`.

    The forward rule is called as `fwd(perturbed, vjp_arg, *args, **kwargs)`, where `perturbed` has
    the structure of `vjp_arg` and says of each leaf whether it is differentiated. It returns the
    output and residuals, which are any PyTree. The backward rule is called as
    `bwd(residuals, cotangent, perturbed, vjp_arg, *args, **kwargs)`; the cotangent has the
    structure of the output, with None for each leaf that has none or whose cotangent is zero. It
    returns a cotangent for each floating array of `vjp_arg`, in the structure of `vjp_arg`, with
    None for zero and for all other leaves. As an attribute of a class it is a method.

    **Raises**, at a call: `RuntimeError` without both rules. When differentiated: `RuntimeError`
    for any other argument that is differentiated or if the backward rule returns another structure,
    `ValueError` for another shape, `TypeError` if the forward rule returns no pair;
    `jax.errors.UnexpectedTracerError` naming a traced value that the function closes over.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        if not callable(fn):
            message = f"`filter_custom_vjp` wraps a function; {fn!r} is not a callable object."
            raise TypeError(message)
        self.fn = fn
        self.fn_fwd: Callable[..., Any] | None = None
        self.fn_bwd: Callable[..., Any] | None = None
        functools.update_wrapper(self, fn, updated=())

    def def_fwd(self, fn_fwd: Callable[..., Any]) -> None:
        """Set the forward rule."""
        self.fn_fwd = fn_fwd

    def def_bwd(self, fn_bwd: Callable[..., Any]) -> None:
        """Set the backward rule."""
        self.fn_bwd = fn_bwd

    def defvjp(self, fn_fwd: Callable[..., Any], fn_bwd: Callable[..., Any]) -> None:
        """Set rules that are not told what is perturbed, and given zeros for None; deprecated."""
        message = (
            "`filter_custom_vjp.defvjp` is deprecated in favour of `def_fwd` and `def_bwd`, which "
            "are told what is perturbed, and given None as the cotangent of what is not."
        )
        warn_user(message)

        def fwd(perturbed: Any, /, *args: Any, **kwargs: Any) -> Any:
            out, residuals = fn_fwd(*args, **kwargs)
            zeros = jtu.tree_map(lambda x: jnp.zeros_like(x) if is_differentiable(x) else None, out)
            return out, (residuals, zeros)

        def bwd(held: Any, cotangent: Any, perturbed: Any, /, *args: Any, **kwargs: Any) -> Any:
            residuals, zeros = held
            filled = jtu.tree_map(
                lambda g, zero: zero if g is None else g, cotangent, zeros, is_leaf=is_none
            )
            return fn_bwd(residuals, filled, *args, **kwargs)

        self.fn_fwd, self.fn_bwd = fwd, bwd

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Partial(self, instance)

    def __call__(self, vjp_arg: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        fwd, bwd = self.fn_fwd, self.fn_bwd
        if fwd is None or bwd is None:
            message = (
                f"`def_fwd` or `def_bwd` not yet called for {function_name(self.fn)}: "
                "`filter_custom_vjp` needs both rules before the function is called."
            )
            raise RuntimeError(message)

        def of_arrays(arg: Packed, rest: Packed) -> Packed:
            fn, args, kwargs = rest.unpack()
            return pack(fn(arg.unpack(), *args, **kwargs))

        def fwd_of_arrays(arg: Packed, rest: Packed) -> Any:
            flags = [bool(x.perturbed) for x in arg.arrays]
            perturbed = arg.layout.rebuild_with_gaps(flags, gap=False)
            _refuse_perturbed(rest)
            vjp_arg, (_, args, kwargs) = _values(arg), _values(rest)
            returned = fwd(perturbed, vjp_arg, *args, **kwargs)
            if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
                message = (
                    f"`{function_name(fwd)}` must return a pair `(out, residuals)`; it returned a "
                    f"`{type(returned).__name__}`."
                )
                raise TypeError(message)
            out, residuals = returned
            return pack(out), pack((residuals, perturbed, vjp_arg, args, kwargs))

        def bwd_of_arrays(held: Packed, out: Packed) -> Any:
            residuals, perturbed, vjp_arg, args, kwargs = held.unpack()
            found = [None if _is_zero(g) else as_array(g) for g in out.arrays]
            cotangent = out.layout.rebuild_with_gaps(found)
            returned = bwd(residuals, cotangent, perturbed, vjp_arg, *args, **kwargs)
            return _cotangents(bwd, vjp_arg, returned), None

        run = jax.custom_vjp(of_arrays)
        run.defvjp(fwd_of_arrays, bwd_of_arrays, symbolic_zeros=True)
        with naming_closed_over(self.fn, fwd, bwd):
            return run(pack(vjp_arg), pack((self.fn, args, kwargs))).unpack()


def _is_zero(cotangent: Any) -> bool:
    """Whether it is symbolically zero; JAX hands on the Python numbers that other rules return."""
    is_float0 = getattr(cotangent, "dtype", None) == jax.dtypes.float0
    return is_float0 or isinstance(cotangent, SymbolicZero)


def _values(packed: Packed) -> Any:
    return packed.layout.rebuild([as_array(x.value) for x in packed.arrays])


def _refuse_perturbed(rest: Packed) -> None:
    flags = [x.perturbed or None for x in rest.arrays]
    fn, args, kwargs = rest.layout.rebuild_with_gaps(flags)
    name = function_name(rest.unpack()[0])
    for where, told in ((fn, name), (args, "args"), (kwargs, "kwargs")):
        for path, _ in jtu.tree_flatten_with_path(where)[0]:
            message = (
                "Unexpected tangent. `*args` and `**kwargs` to `filter_custom_vjp` cannot be "
                f"autodifferentiated, nor can what the function itself holds: "
                f"`{told}{jtu.keystr(path)}` of `{name}` is. Pass all that is differentiated in "
                "the first argument, as a tuple."
            )
            raise RuntimeError(message)


def _cotangents(bwd: Any, vjp_arg: Any, returned: Any) -> Packed:
    """What the backward rule returned, as JAX takes it."""
    try:
        cotangents = leaf_by_leaf(returned, vjp_arg)
    except MisfitError as error:
        raise RuntimeError(_misfit(bwd, *error.args)) from None
    misshapen = first_other_shape(returned, vjp_arg)
    if misshapen is not None:
        raise ValueError(_misfit(bwd, *misshapen))
    pairs = zip(cotangents, jtu.tree_leaves(vjp_arg), strict=True)
    return Packed(
        pack(vjp_arg).layout, [let_vary_too(g, leaf) for g, leaf in pairs if is_array(leaf)]
    )


def _misfit(bwd: Any, path: Any, told: str) -> str:
    return (
        f"What `{function_name(bwd)}` returns, the custom_vjp gradients, must have the same "
        "structure and shapes as the first argument, with None for zero and for leaves that are no "
        f"floating arrays; at `gradients{jtu.keystr(path)}`: {told}."
    )
