"""Functions by number: a program has a function's number, and calls the function on the host.

So it is compiled once for all functions that share an `abstract_fn`. What of them is no array is
kept for as long as the process lives, since a number may come back from anywhere.
"""

import contextlib
import copy
import dataclasses
import functools
import os
import pickle
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import Module, static_key

from ..shared._jax import flatten_with_nones, let_vary_as
from ..shared._packed import pack
from ..shared._predicates import ABSTRACT_TOO, ARRAY_TYPES, is_array
from ..tracing import filter_eval_shape
from ._snapshot import as_now, own

_static: list[list[Any]] = []
_numbers: dict[Hashable, int] = {}
_lock = threading.Lock()
_born = os.urandom(16)


class Numbered(Module):
    """A callable PyTree as its structure and arrays, and the number of its static leaves."""

    number: Any
    dynamic: Any

    def value(self) -> Any:
        """The callable.

        **Raises:** `AttributeError` if it is not known which, or not one: while the number is
        traced, and of a batch.
        """
        if not _is_known(self.number) or np.ndim(self.number):
            message = (
                "Which function this is will be known when the program runs; its number is "
                f"{self.number}. Take what is asked of it from the function outside of the program."
            )
            raise AttributeError(message)
        leaves, structure = flatten_with_nones(self.dynamic)
        pairs = zip(leaves, _static[int(self.number)], strict=True)
        return structure.unflatten([s if d is None else d for d, s in pairs])

    def __deepcopy__(self, memo: dict[int, Any]) -> "Numbered":
        return Numbered(self.number, copy.deepcopy(self.dynamic, memo))

    def __reduce__(self) -> Any:
        """Numbers are of one process alone, so what is kept for them goes along where it can."""
        if not _is_known(self.number):
            message = (
                "A function of `noinline` with an `abstract_fn` cannot be pickled while it is "
                f"traced: its number is {self.number}. Pickle it outside of the program."
            )
            raise pickle.PicklingError(message)
        numbers = np.asarray(self.number)
        kept = _pickled([_static[n] for n in numbers.flat])
        return _restored, (_this_process(), numbers, kept, self.dynamic)


def numbered(fun: Callable[..., Any]) -> Numbered:
    """Give a callable its number: that of all that have its static leaves."""
    leaves, structure = flatten_with_nones(fun)
    dynamic = structure.unflatten([leaf if is_array(leaf) else None for leaf in leaves])
    number = _number_of([None if is_array(leaf) else leaf for leaf in leaves])
    return Numbered(np.int32(number), dynamic)


def _number_of(static: list[Any]) -> int:
    with _lock:
        number = _numbers.setdefault(static_key(static), len(_static))
        if number == len(_static):
            _static.append(own(static))
    return number


def _this_process() -> tuple[int, bytes]:
    return os.getpid(), _born


def _pickled(static: list[list[Any]]) -> bytes | None:
    """Static leaves as bytes, or None if they cannot be; `cloudpickle` is asked if it is loaded."""
    for pickler in (pickle, sys.modules.get("cloudpickle")):
        with contextlib.suppress(Exception):  # whatever it raises, it cannot
            return pickler.dumps(static)
    return None


def _restored(process: Any, numbers: Any, kept: bytes | None, dynamic: Any) -> Numbered:
    if process != _this_process():
        if kept is None:
            message = (
                "A function of `noinline` was pickled without what it calls, which cannot be "
                "pickled, and can be loaded in the process alone that pickled it. Give `noinline` "
                "a function of a module."
            )
            raise pickle.UnpicklingError(message)
        static = pickle.loads(kept)
        numbers = np.array(list(map(_number_of, static)), np.int32).reshape(numbers.shape)
    return Numbered(numbers[()], dynamic)


def _is_known(number: Any) -> bool:
    return isinstance(number, (int, *ARRAY_TYPES)) and not isinstance(number, jax.core.Tracer)


@dataclasses.dataclass(frozen=True)
class ByNumber:
    """How a function is called: on the host, where its number is known."""

    abstract_fn: Callable[..., Any]
    by_number: ClassVar[bool] = True

    def __call__(self, operands: Any) -> Any:
        fun, args, kwargs = operands
        return fun.value()(*args, **kwargs)

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        fun, args, kwargs = operands
        return filter_eval_shape(self.abstract_fn, fun.dynamic, *args, **kwargs)


def traced_number(call: Any, operands: Any) -> Any:
    """The number that a call goes by if a program has it as an array, known or not, and else None.

    Functions by number that are no more than arguments of the call are others' concern.
    """
    if not call.by_number:
        return None
    nodes = jtu.tree_leaves(operands, is_leaf=_is_numbered)
    numbers = [node.number for node in nodes if _is_numbered(node)]
    return numbers[0] if numbers and isinstance(numbers[0], ABSTRACT_TOO) else None


def on_host(program: Callable[..., Any], call: Any, operands: Any, number: Any) -> Any:
    """Have the host compute `program(call, operands)`, whose shapes `call` tells.

    A batch is computed at once where it is of one function.
    """
    packed = pack(operands)
    layout = as_now(packed.layout)  # for the callback, which must not hold what is traced
    place = next(i for i, array in enumerate(packed.arrays) if array is number)
    leaves, structure = jtu.tree_flatten(call.shapes(operands))
    structs = [leaf for leaf in leaves if _is_struct(leaf)]

    def member(number: int, *rest: Any) -> list[Any]:
        arrays = [*rest[:place], number, *rest[place:]]
        operands = jtu.tree_map(_without_mesh, layout.rebuild(arrays))
        out = structure.flatten_up_to(program(call, operands))
        pairs = zip(out, leaves, strict=True)
        return [_fitting(x, struct) for x, struct in pairs if _is_struct(struct)]

    def run(*arrays: Any) -> list[Any]:
        numbers = np.asarray(arrays[place])
        rest = [jnp.asarray(array) for i, array in enumerate(arrays) if i != place]
        if len(set(numbers.flat)) == 1:
            of_batch = functools.partial(member, int(numbers.flat[0]))
            for _ in numbers.shape:
                of_batch = jax.vmap(of_batch)
            return of_batch(*rest)
        members = [member(int(n), *(x[i] for x in rest)) for i, n in np.ndenumerate(numbers)]
        columns = map(jnp.stack, zip(*members, strict=True))
        return [x.reshape(*numbers.shape, *x.shape[1:]) for x in columns]

    out = jax.pure_callback(run, structs, *packed.arrays, vmap_method="broadcast_all")
    out = iter([let_vary_as(x, struct) for x, struct in zip(out, structs, strict=True)])
    return structure.unflatten([next(out) if _is_struct(leaf) else leaf for leaf in leaves])


def _without_mesh(leaf: Any) -> Any:
    """A struct as it is on the host, where nothing is part of an array; else the leaf."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if _is_struct(leaf) else leaf


def _is_struct(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_numbered(node: Any) -> bool:
    return isinstance(node, Numbered)


def _fitting(found: Any, struct: jax.ShapeDtypeStruct) -> jax.Array:
    """An array of the function as `abstract_fn` told it; None is a derivative that is zero."""
    if found is None:
        return jnp.zeros(struct.shape, struct.dtype)
    array = jnp.asarray(found)
    if array.shape != struct.shape or array.dtype != struct.dtype:
        message = (
            f"A function of `noinline` returned an array of shape {array.shape} and dtype "
            f"{array.dtype} where its `abstract_fn` told shape {struct.shape} and dtype "
            f"{struct.dtype}; both must return the same."
        )
        raise ValueError(message)
    return array
