"""`noinline`: a function that a program calls, instead of containing it once for every call."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.interpreters import ad

from eqx_pytree import Module, field, module_update_wrapper

from ..compiled import filter_jit
from ..derivatives import filter_jvp
from ..rules._filtered import (
    filter_primitive_bind,
    filter_primitive_def,
    filter_primitive_jvp,
    filter_primitive_transpose,
)
from ..rules._finalise import register_impl_finalisation
from ..rules._vprim import create_vprim
from ..shared._jax import struct_of_aval
from ..shared._naming import refuse_uncallable
from ..shared._predicates import ABSTRACT_TOO, is_inexact, is_none
from ..tracing import filter_eval_shape
from ..trees._partition import combine, filter, partition
from ._numbered import ByNumber, Numbered, numbered, on_host, traced_number


class NoInline(Module):
    """A function that is compiled on its own; see `noinline`."""

    fun: Callable[..., Any]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return filter_primitive_bind(noinline_p, Plain(), (self.fun, args, kwargs))


class NoInlineByNumber(Module):
    """A function that programs which hold its number can exchange; see `noinline`."""

    fun: Numbered
    abstract_fn: Callable[..., Any] = field(static=True)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun.value()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        call = ByNumber(self.abstract_fn)
        return filter_primitive_bind(noinline_p, call, (self.fun, args, kwargs))


def noinline(fn: Callable[..., Any], abstract_fn: Callable[..., Any] | None = None) -> Any:
    """Make a function that a program calls, so that it is traced and lowered once.

    However often it is called with arguments of the same shapes, dtypes and static leaves, in one
    program or in several, it is traced once, and a program has it once; this holds for its
    derivatives and batches, each of which is a function of that kind again.

    **Arguments:**

    - `fn`: a function, or any callable PyTree, of which the arrays are arguments too.
    - `abstract_fn`: tells the output's structure, shapes and dtypes. It is called as
        `abstract_fn(filter(fn, is_array), *args, **kwargs)`. With it, programs do not know `fn`,
        but call it on the host when they run: so functions of one `abstract_fn` that differ in
        static leaves or in code can be exchanged, as arguments of `jax.jit` too, without a new
        trace of what calls them. What of such functions is no array is kept for good.

    **Returns:** a callable PyTree. Outside of compiled programs it calls `fn` itself.

    **Raises:** `TypeError` if `fn` cannot be called; when it runs, `ValueError` if it returns other
    shapes or dtypes than `abstract_fn` told.
    """
    refuse_uncallable("noinline", fn=fn)
    if abstract_fn is None:
        return module_update_wrapper(NoInline(fn))
    refuse_uncallable("noinline", abstract_fn=abstract_fn)
    return NoInlineByNumber(numbered(fn), abstract_fn)


@dataclasses.dataclass(frozen=True)
class Plain:
    """How a function is called: as it is."""

    by_number: ClassVar[bool] = False

    def __call__(self, operands: Any) -> Any:
        fun, args, kwargs = operands
        return fun(*args, **kwargs)

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        return filter_eval_shape(_program, self, operands)


@dataclasses.dataclass(frozen=True)
class Pushforward:
    """The derivative of a call along a direction; linear in the tangents."""

    call: Any

    @property
    def by_number(self) -> bool:
        """Whether the function is known by its number."""
        return self.call.by_number

    def __call__(self, operands: Any) -> Any:
        primals, tangents = operands
        return filter_jvp(self.call, (primals,), (tangents,))[1]

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        if traced_number(self, operands) is not None:
            return filter(self.call.shapes(operands[0]), _is_inexact)
        return filter_eval_shape(_program, self, operands)


@dataclasses.dataclass(frozen=True)
class Pullback:
    """The transpose of a call in the operands whose structs it is given."""

    call: Any

    @property
    def by_number(self) -> bool:
        """Whether the function is known by its number."""
        return self.call.by_number

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
        if traced_number(self, operands) is not None:
            return jtu.tree_map(_struct, operands[1])
        return filter_eval_shape(_program, self, operands)


@filter_jit
def _program(call: Any, operands: Any) -> Any:
    number = traced_number(call, operands)
    return call(operands) if number is None else on_host(_program, call, operands, number)


def _is_inexact(leaf: Any) -> bool:
    return isinstance(leaf, ABSTRACT_TOO) and is_inexact(leaf.dtype)


def _shapes(call: Any, operands: Any) -> Any:
    return call.shapes(_structs(operands))


def _structs(tree: Any) -> Any:
    """The tree with a struct for each abstract value; `filter_eval_shape` knows those."""
    return jtu.tree_map(lambda x: struct_of_aval(x) if isinstance(x, ShapedArray) else x, tree)


def _struct(x: Any) -> jax.ShapeDtypeStruct:
    return x if isinstance(x, jax.ShapeDtypeStruct) else struct_of_aval(jax.typeof(x))


def _differentiate(primals: Any, tangents: Any) -> Any:
    call, operands = primals
    out = filter_primitive_bind(noinline_p, call, operands)
    return out, filter_primitive_bind(noinline_p, Pushforward(call), (operands, tangents[1]))


def _transpose(inputs: Any, cotangents: Any) -> Any:
    call, operands = inputs
    linear, known = partition(operands, ad.is_undefined_primal, is_leaf=ad.is_undefined_primal)
    structs = jtu.tree_map(
        lambda x: struct_of_aval(x.aval),
        linear,
        is_leaf=ad.is_undefined_primal,
    )
    found = filter_primitive_bind(noinline_p, Pullback(call), (known, structs, cotangents))
    return None, found


def _call(call: Any, operands: Any) -> Any:
    number = traced_number(call, operands)
    if isinstance(number, jax.core.Tracer):
        return on_host(_program, call, operands, number)
    return call(operands)


noinline_p = create_vprim(
    "noinline",
    filter_primitive_def(_program),
    filter_primitive_def(_shapes),
    filter_primitive_jvp(_differentiate),
    filter_primitive_transpose(_transpose),
)
"""The primitive of `noinline`."""
noinline_p.def_impl(filter_primitive_def(_call))
register_impl_finalisation(noinline_p)
