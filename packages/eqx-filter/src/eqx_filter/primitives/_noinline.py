"""`noinline`: a function that a program calls, instead of containing it once for every call."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.interpreters import ad

from eqx_pytree import Module, field, module_update_wrapper

from .._naming import refuse_uncallable
from .._partition import combine, partition
from .._predicates import is_none
from ..transforms import filter_eval_shape, filter_jit, filter_jvp
from ._filtered import (
    filter_primitive_bind,
    filter_primitive_def,
    filter_primitive_jvp,
    filter_primitive_transpose,
)
from ._finalise import register_impl_finalisation
from ._vprim import create_vprim


class NoInline(Module):
    """A function that is compiled on its own; see `noinline`."""

    fun: Callable[..., Any]
    abstract_fn: Callable[..., Any] | None = field(static=True)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        call = Plain(self.abstract_fn)
        return filter_primitive_bind(noinline_p, call, (self.fun, args, kwargs))


def noinline(fn: Callable[..., Any], abstract_fn: Callable[..., Any] | None = None) -> Any:
    """Make a function that a program calls, so that it is traced and lowered once.

    However often it is called with arguments of the same shapes, dtypes and static leaves, in one
    program or in several, it is traced once, and a program has it once; this holds for its
    derivatives and batches, each of which is a function of that kind again.

    **Arguments:**

    - `fn`: a function, or any callable PyTree, of which the arrays are arguments too.
    - `abstract_fn`: a function of the same arguments that tells the output's structure, shapes and
        dtypes; with it, `fn` is traced only when a program that calls it is compiled.

    **Returns:** a callable PyTree. Outside of compiled programs it calls `fn` itself.

    **Raises:** `TypeError` if `fn` cannot be called.
    """
    refuse_uncallable("noinline", fn=fn)
    if abstract_fn is not None:
        refuse_uncallable("noinline", abstract_fn=abstract_fn)
    return module_update_wrapper(NoInline(fn, abstract_fn))


@dataclasses.dataclass(frozen=True)
class Plain:
    """How a function is called: as it is."""

    abstract_fn: Callable[..., Any] | None

    def __call__(self, operands: Any) -> Any:
        fun, args, kwargs = operands
        return fun(*args, **kwargs)

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        fun, args, kwargs = operands
        if self.abstract_fn is not None:
            return filter_eval_shape(self.abstract_fn, *args, **kwargs)
        return filter_eval_shape(_program, self, (fun, args, kwargs))


@dataclasses.dataclass(frozen=True)
class Pushforward:
    """The derivative of a call along a direction; linear in the tangents."""

    call: Any

    def __call__(self, operands: Any) -> Any:
        primals, tangents = operands
        return filter_jvp(self.call, (primals,), (tangents,))[1]

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        return filter_eval_shape(_program, self, operands)


@dataclasses.dataclass(frozen=True)
class Pullback:
    """The transpose of a call in the operands whose structs it is given."""

    call: Any

    def __call__(self, operands: Any) -> Any:
        known, structs, cotangents = operands

        def of_linear(linear: Any) -> list[Any]:
            out = self.call(combine(linear, known))
            pairs = zip(jtu.tree_leaves(out, is_none), given, strict=True)
            return [leaf for leaf, cotangent in pairs if cotangent is not None]

        given = jtu.tree_leaves(cotangents, is_none)
        [transposed] = jax.linear_transpose(of_linear, structs)(
            [cotangent for cotangent in given if cotangent is not None]
        )
        return transposed

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        return filter_eval_shape(_program, self, operands)


@filter_jit
def _program(call: Any, operands: Any) -> Any:
    return call(operands)


def _shapes(call: Any, operands: Any) -> Any:
    return call.shapes(_structs(operands))


def _structs(tree: Any) -> Any:
    """The tree with a struct for each abstract value; `filter_eval_shape` knows those."""

    def struct(leaf: Any) -> Any:
        if isinstance(leaf, ShapedArray):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=leaf.weak_type)
        return leaf

    return jtu.tree_map(struct, tree)


def _differentiate(primals: Any, tangents: Any) -> Any:
    call, operands = primals
    out = filter_primitive_bind(noinline_p, call, operands)
    return out, filter_primitive_bind(noinline_p, Pushforward(call), (operands, tangents[1]))


def _transpose(inputs: Any, cotangents: Any) -> Any:
    call, operands = inputs
    linear, known = partition(operands, ad.is_undefined_primal, is_leaf=ad.is_undefined_primal)
    structs = jtu.tree_map(
        lambda x: jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype),
        linear,
        is_leaf=ad.is_undefined_primal,
    )
    found = filter_primitive_bind(noinline_p, Pullback(call), (known, structs, cotangents))
    return None, found


def _call(call: Any, operands: Any) -> Any:
    return call(operands)


noinline_p = create_vprim(
    "noinline",
    filter_primitive_def(_program),
    filter_primitive_def(_shapes),
    filter_primitive_jvp(_differentiate),
    filter_primitive_transpose(_transpose),
)
noinline_p.def_impl(filter_primitive_def(_call))
register_impl_finalisation(noinline_p)
