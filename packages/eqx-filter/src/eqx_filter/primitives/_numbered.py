"""Functions by number: a program has a function's number, and calls the function on the host.

So it is compiled once for all functions that share an `abstract_fn`. What of them is no array is
kept for as long as the process lives, since a number may come back from anywhere.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from eqx_pytree import Module, static_key

from ..shared._jax import let_vary_as
from ..shared._packed import pack
from ..shared._predicates import ABSTRACT_TOO, is_array
from ..tracing import filter_eval_shape
from ..trees._partition import combine, partition

_static: list[Any] = []
_numbers: dict[Hashable, int] = {}
_lock = threading.Lock()


class Numbered(Module):
    """A callable PyTree as its arrays, and the number of all else."""

    number: Any
    dynamic: Any

    def value(self) -> Any:
        """The callable. The number must be known."""
        return combine(self.dynamic, _static[int(self.number)])


def numbered(fun: Callable[..., Any]) -> Numbered:
    """Give a callable its number: that of all that differ from it in their arrays alone."""
    dynamic, static = partition(fun, is_array)
    leaves, structure = jtu.tree_flatten(static)
    key = structure, static_key(leaves)
    with _lock:
        number = _numbers.setdefault(key, len(_static))
        if number == len(_static):
            _static.append(static)
    return Numbered(np.int32(number), dynamic)


@dataclasses.dataclass(frozen=True)
class ByNumber:
    """How a function is called: on the host, where its number is known."""

    abstract_fn: Callable[..., Any]

    def __call__(self, operands: Any) -> Any:
        fun, args, kwargs = operands
        return fun.value()(*args, **kwargs)

    def shapes(self, operands: Any) -> Any:
        """The output, with structs for arrays."""
        fun, args, kwargs = operands
        return filter_eval_shape(self.abstract_fn, fun.dynamic, *args, **kwargs)


def traced_number(operands: Any) -> Any:
    """The number in some operands if a program has it as an array, known or not, and else None."""
    nodes = jtu.tree_leaves(operands, is_leaf=_is_numbered)
    numbers = [node.number for node in nodes if _is_numbered(node)]
    return numbers[0] if numbers and isinstance(numbers[0], ABSTRACT_TOO) else None


def on_host(program: Callable[..., Any], call: Any, operands: Any, number: Any) -> Any:
    """Have the host compute `program(call, operands)`, whose shapes `call` tells.

    A batch is computed at once where it is of one function.
    """
    packed = pack(operands)
    layout = packed.layout  # for the callback, which must not hold what is traced
    [place] = [i for i, array in enumerate(packed.arrays) if array is number]
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
