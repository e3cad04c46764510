"""`filter_closure_convert`: a function and the arrays that it closes over, apart."""

import types
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import Module, field, static_key, tree_pformat

from ..shared._naming import function_name
from ..shared._packed import Layout, pack
from ..shared._predicates import ABSTRACT_TOO
from ._abstract import filter_eval_shape, trace_of_arrays


class Signature:
    """What a function was traced for, or gave then: shapes, dtypes and static leaves.

    The function's name is for messages, and does not count when two are compared.
    """

    def __init__(self, name: str, tree: Any) -> None:
        self.name = name
        self.struct = jtu.tree_map(_struct, tree)
        leaves, self.structure = jtu.tree_flatten(self.struct)
        self.key = tuple(map(_key, leaves))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signature):
            return NotImplemented
        return self.structure == other.structure and self.key == other.key

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return tree_pformat(self.struct, struct_as_array=True)


class ClosureConverted(Module):
    """A function as a program and the arrays that it closed over; these are its leaves.

    As the program is no part of the structure, two of one signature have the same: a solver's state
    may hold one that is made anew at each step.
    """

    jaxpr: Any
    consts: list[Any]
    signature: Signature = field(static=True)
    out: Signature = field(static=True, repr=False)
    layout: Layout = field(static=True, repr=False)

    @property
    def in_struct(self) -> Any:
        """The arguments as `(args, kwargs)`, with `jax.ShapeDtypeStruct`s for arrays."""
        return self.signature.struct

    @property
    def out_struct(self) -> Any:
        """The output, with `jax.ShapeDtypeStruct`s for arrays."""
        return self.out.struct

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        _refuse_other_arguments(self.signature, args, kwargs)
        arrays = pack((args, kwargs)).arrays
        return self.layout.rebuild(jax.core.eval_jaxpr(self.jaxpr, self.consts, *arrays))


class NothingClosedOver(Module):
    """A function that closes over nothing, checked to be called as it was converted."""

    fun: Callable[..., Any]
    signature: Signature = field(static=True)

    @property
    def in_struct(self) -> Any:
        """The arguments as `(args, kwargs)`, with `jax.ShapeDtypeStruct`s for arrays."""
        return self.signature.struct

    @property
    def out_struct(self) -> Any:
        """The output, with `jax.ShapeDtypeStruct`s for arrays."""
        args, kwargs = self.signature.struct
        return filter_eval_shape(self.fun, *args, **kwargs)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        _refuse_other_arguments(self.signature, args, kwargs)
        return self.fun(*args, **kwargs)


def filter_closure_convert(
    fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> ClosureConverted | NothingClosedOver:
    """Turn a function that closes over arrays into a PyTree that has them as leaves.

    So that they can be differentiated by, or passed into a custom rule.

    **Arguments:**

    - `fn`: a function, or any callable PyTree. It is traced once.
    - `args`, `kwargs`: arguments like those that it will be called with; arrays may be
        `jax.ShapeDtypeStruct`s.

    **Returns:** a callable PyTree. It takes arguments of the same structure, shapes, dtypes and
    static leaves. Its attributes `in_struct` and `out_struct` tell of `(args, kwargs)` and of the
    output, with `jax.ShapeDtypeStruct`s for arrays.

    **Raises:** `TypeError` if `fn` cannot be called. The callable raises `ValueError` naming the
    argument that differs.
    """
    if not callable(fn):
        message = f"`filter_closure_convert` takes a function; {fn!r} is not a callable object."
        raise TypeError(message)
    name = function_name(fn)
    signature = Signature(name, (args, kwargs))
    if isinstance(fn, types.FunctionType) and fn.__closure__ is None:
        return NothingClosedOver(fn, signature)
    closed, out = trace_of_arrays(fn, args, kwargs)
    given = Signature(name, out.unpack())
    return ClosureConverted(closed.jaxpr, closed.consts, signature, given, out.layout)


def _struct(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, ABSTRACT_TOO) else leaf


def _key(leaf: Any) -> Any:
    """What must be the same at a call: shape and dtype of an array, the value of other leaves."""
    return (leaf.shape, leaf.dtype) if isinstance(leaf, ABSTRACT_TOO) else static_key(leaf)


def _refuse_other_arguments(signature: Signature, args: Any, kwargs: Any) -> None:
    given = Signature(signature.name, (args, kwargs))
    if given == signature:
        return
    message = (
        f"Closure-converted function `{signature.name}` called with different arguments to the "
        "example arguments provided. Shapes, dtypes and all that is no array must be the same.\n"
        f"Called with: {given!r}\nClosure-converted with: {signature!r}"
    )
    raise ValueError(message)
