"""Functions run on shapes and dtypes alone: `filter_eval_shape`, `filter_make_jaxpr`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import static_key

from ..compiled._cache import holder_of, table_of
from ..compiled._tables import Table
from ..shared._naming import refuse_uncallable
from ..shared._packed import Layout, Packed, pack
from ..shared._predicates import ABSTRACT_TOO
from ..shared._wrapper import Wrapper, wrap

_SHAPES = "shapes"
"""The key of what `cached_filter_eval_shape` found, beside the programs of a function."""

_epoch = [0]
"""Part of every key: what was found before it changed is not found again."""


class MakeJaxprWrapper(Wrapper):
    """A callable that returns the function's jaxpr."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        jaxpr, out = trace_of_arrays(self.fun, args, kwargs)
        static = out.layout.rebuild([None] * len(out.arrays))
        return jaxpr, out.layout.rebuild_with_gaps(out.arrays), static


def filter_make_jaxpr(fun: Callable[..., Any]) -> Callable[..., tuple[Any, Any, Any]]:
    """Make a function that gives the jaxpr of `fun` for some arguments.

    **Arguments:** `fun`, a pure function; its arguments and its result are any PyTrees.

    **Returns:** a callable that takes the arguments of `fun`, where a `jax.ShapeDtypeStruct` may
    stand for an array, and returns `(jaxpr, out_struct, out_static)`. The jaxpr is closed, its
    inputs are the arrays among the arguments in the order of flattening; `out_struct` is the output
    with a `jax.ShapeDtypeStruct` for each array and None for every other leaf, which `out_static`
    has.

    **Raises:** `TypeError` if `fun` cannot be called.
    """
    return wrap("filter_make_jaxpr", MakeJaxprWrapper, fun)


def filter_eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute the shapes and dtypes of a function's output without computing its values.

    So a model can be described without memory for it: `filter_eval_shape(Linear, 2, 3, key=key)`.

    **Arguments:** `fun`, a pure function, and its arguments, any PyTrees, where a
    `jax.ShapeDtypeStruct` may stand for an array.

    **Returns:** the output, with a `jax.ShapeDtypeStruct` for each array.

    **Raises:** `TypeError` if `fun` cannot be called.
    """
    refuse_uncallable("filter_eval_shape", fun=fun)
    run, arrays = over_arrays(lambda fun, args, kwargs: fun(*args, **kwargs), fun, args, kwargs)
    return jax.eval_shape(run, *arrays).unpack()


def cached_filter_eval_shape(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute what `filter_eval_shape` does, once for each function and kind of arguments.

    **Arguments**, **Raises:** as there; and `TypeError` for a leaf that is no array and has no
    hash.

    **Returns:** the output as there, with weak types forgotten.
    """
    refuse_uncallable("cached_filter_eval_shape", fn=fn)
    held = () if holder_of(fn) is fn else (fn,)
    leaves, structure = jtu.tree_flatten((held, args, kwargs))
    key = _epoch[0], structure, tuple(map(_kind, leaves))
    table = table_of(holder_of(fn)).setdefault(_SHAPES, Table())
    if key not in table:
        out = filter_eval_shape(fn, *args, **kwargs)
        table.keep(key, jtu.tree_map(_strong, out))
    return table[key]


def forget_shapes() -> None:
    """Forget what `cached_filter_eval_shape` found."""
    _epoch[0] += 1


def trace_of_arrays(fun: Any, args: Any, kwargs: Any) -> tuple[Any, Packed]:
    """The closed jaxpr of a call over its arrays in a row, and the output's structs, packed."""
    run, arrays = over_arrays(lambda args, kwargs: fun(*args, **kwargs), args, kwargs)
    return jax.make_jaxpr(run, return_shape=True)(*arrays)


def over_arrays(function: Any, *parts: Any) -> tuple[Callable[..., Packed], list[Any]]:
    """A function of the arrays in `parts` that calls `function` with the parts, and the arrays."""
    leaves, structure = jtu.tree_flatten(parts)
    layout = Layout(leaves, structure, ABSTRACT_TOO)

    def of_arrays(*arrays: Any) -> Packed:
        return pack(function(*layout.rebuild(arrays)))

    return of_arrays, [leaf for leaf in leaves if isinstance(leaf, ABSTRACT_TOO)]


def _kind(leaf: Any) -> Any:
    if isinstance(leaf, ABSTRACT_TOO):
        return leaf.shape, leaf.dtype
    hash(leaf)
    return static_key(leaf)


def _strong(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
    return leaf
