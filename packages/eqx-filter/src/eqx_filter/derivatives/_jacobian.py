"""`filter_jacfwd`, `filter_jacrev` and `filter_hessian`: derivatives of first and second order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import field

from ..paths._selectors import Where
from ..shared._naming import function_name, named_arguments
from ..shared._packed import pack
from ..shared._predicates import is_array, is_differentiable
from ..shared._wrapper import Wrapper, wrap
from ..trees._partition import combine, partition
from ._kinds import note_kinds
from ._vjp import split_aux
from ._wrt import mask_of


class JacobianWrapper(Wrapper):
    """A callable that returns the Jacobian with respect to its first argument."""

    has_aux: bool = field(static=True)
    reverse: bool = field(static=True)
    wrt: Any = None

    def __call__(self, x: Any, /, *args: Any, **kwargs: Any) -> Any:
        moving, still = self._split(x)
        if not jtu.tree_leaves(moving):
            raise ValueError(_nothing_to_differentiate(self.fun, x))

        def of_moving(moving: Any) -> Any:
            out = self.fun(combine(moving, still), *args, **kwargs)
            out, aux = split_aux(self.fun, out) if self.has_aux else (out, None)
            _refuse_other_leaves(self.fun, out)
            return out, pack(aux)

        transform = jax.jacrev if self.reverse else jax.jacfwd
        try:
            jacobian, aux = transform(of_moving, has_aux=True)(moving)
        except (TypeError, ValueError) as error:
            note_kinds(error)
            raise
        return (jacobian, aux.unpack()) if self.has_aux else jacobian

    def _split(self, x: Any) -> tuple[Any, Any]:
        """What is differentiated, and the rest."""
        if self.wrt is None:
            return partition(x, is_differentiable)
        [(name, _), *_] = named_arguments(self.fun, (x,), {})
        return partition(x, jtu.tree_structure(x).unflatten(mask_of(self.wrt, x, name)))


def filter_jacfwd(
    fun: Callable[..., Any], has_aux: bool = False, *, wrt: Where | None = None
) -> Callable[..., Any]:
    """Make a function that computes a Jacobian column by column, by forward-mode differentiation.

    The Jacobian is taken with respect to every floating array, JAX's or NumPy's, in the first
    argument, which may be any PyTree. Forward mode suits functions with few inputs.

    **Arguments:**

    - `fun`: a pure function that returns a PyTree of arrays; or a pair of that and any auxiliary
        output, if `has_aux`.
    - `has_aux`: whether `fun` returns such a pair.
    - `wrt`: what is differentiated, as for `filter_value_and_grad`.

    **Returns:** a callable that returns the Jacobian, or `(jacobian, aux)`. For each array of the
    output there is a PyTree with the structure of the first argument: `∂out/∂leaf`, of shape
    `out.shape + leaf.shape`, for each floating array, and None for every other leaf.

    **Raises:** `TypeError` if `fun` cannot be called. At a call: `ValueError` if the first argument
    holds no floating array, or `wrt` selects none, `TypeError` for complex ones, or if the output
    holds anything but arrays and numbers.
    """
    return wrap("filter_jacfwd", JacobianWrapper, fun, has_aux, False, wrt)


def filter_jacrev(
    fun: Callable[..., Any], has_aux: bool = False, *, wrt: Where | None = None
) -> Callable[..., Any]:
    """Make a function that computes a Jacobian row by row, by reverse-mode differentiation.

    Reverse mode suits functions with few outputs.

    **Arguments**, **Returns**, **Raises:** as `filter_jacfwd`; each array of the output must be
    floating.
    """
    return wrap("filter_jacrev", JacobianWrapper, fun, has_aux, True, wrt)


def filter_hessian(
    fun: Callable[..., Any], has_aux: bool = False, *, wrt: Where | None = None
) -> Callable[..., Any]:
    """Make a function that computes second derivatives, forward over reverse.

    **Arguments:** as `filter_jacfwd`.

    **Returns:** a callable that returns the Hessian, or `(hessian, aux)`: for each array of the
    output a PyTree with the structure of the first argument, of PyTrees with that structure;
    `∂²out/∂one∂other` is of shape `out.shape + one.shape + other.shape`.

    **Raises:** as `filter_jacrev`.
    """
    if not callable(fun):
        return wrap("filter_hessian", JacobianWrapper, fun)
    return filter_jacfwd(filter_jacrev(fun, has_aux, wrt=wrt), has_aux, wrt=wrt)


def _nothing_to_differentiate(fun: Any, x: Any) -> str:
    kinds = ", ".join(sorted({f"`{type(leaf).__name__}`" for leaf in jtu.tree_leaves(x)}))
    return (
        f"The first argument of `{function_name(fun)}` holds no floating array to differentiate "
        f"by; its leaves are {kinds or 'none'}. Pass arrays: `jnp.asarray(2.0)` instead of 2.0."
    )


def _refuse_other_leaves(fun: Any, out: Any) -> None:
    for path, leaf in jtu.tree_flatten_with_path(out)[0]:
        if not is_array(leaf) and not isinstance(leaf, (bool, int, float, complex)):
            message = (
                f"`{function_name(fun)}` must return arrays to have a Jacobian; "
                f"`out{jtu.keystr(path)}` is a `{type(leaf).__name__}`. Return it as auxiliary "
                "output, with `has_aux=True`."
            )
            raise TypeError(message)
