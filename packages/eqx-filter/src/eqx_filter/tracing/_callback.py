"""`filter_pure_callback`: Python run on the host from within a compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import static_key

from ..shared._difference import first_difference
from ..shared._naming import function_name
from ..shared._packed import Layout, Packed, pack
from ..shared._predicates import ABSTRACT_TOO


def filter_pure_callback(
    callback: Callable[..., Any],
    *args: Any,
    result_shape_dtypes: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    vectorized: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Call a Python function on the host, with arrays that a compiled program computed.

    **Arguments:**

    - `callback`: a pure function; its arguments and its result are any PyTrees.
    - `args`, `kwargs`: its arguments.
    - `result_shape_dtypes`: a PyTree like the result, with an array or `jax.ShapeDtypeStruct` for
        each array. Other leaves are those that the callback will return.
    - `sharding`, `vmap_method`: as in `jax.pure_callback`.
    - `vectorized`: the older spelling of `vmap_method`: True is `"legacy_vectorized"` and False
        `"sequential"`.

    **Returns:** the result, a PyTree with the structure of `result_shape_dtypes`.

    **Raises:** `TypeError` if `callback` cannot be called, `ValueError` if both `vmap_method` and
    `vectorized` are given. Where the callback returns another structure, shape, dtype or other
    leaf: an error of JAX that names it.
    """
    if not callable(callback):
        message = f"`filter_pure_callback` calls a function; {callback!r} is not a callable object."
        raise TypeError(message)
    if vectorized is not None:
        if vmap_method is not None:
            message = "`vectorized` is an older spelling of `vmap_method`: give one of them."
            raise ValueError(message)
        vmap_method = "legacy_vectorized" if vectorized else "sequential"
    leaves, structure = jtu.tree_flatten(result_shape_dtypes)
    layout = Layout(leaves, structure, ABSTRACT_TOO)
    arrays = [leaf for leaf in leaves if isinstance(leaf, ABSTRACT_TOO)]
    structs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
    expected = layout.rebuild(structs)  # what is traced must not be held by a callback

    def of_arrays(packed: Packed) -> list[Any]:
        args, kwargs = packed.unpack()
        out = callback(*args, **kwargs)
        given, given_structure = jtu.tree_flatten(out)
        if given_structure != structure or not _static_match(layout, given):
            raise ValueError(_unlike(callback, expected, out))
        static = {place for place, _ in layout.static}
        return [leaf for place, leaf in enumerate(given) if place not in static]

    options = {} if sharding is None else {"sharding": sharding}
    out = jax.pure_callback(
        of_arrays, structs, pack((args, kwargs)), vmap_method=vmap_method, **options
    )
    return layout.rebuild(out)


def _static_match(layout: Layout, leaves: list[Any]) -> bool:
    return all(static_key(leaves[place]) == static_key(leaf) for place, leaf in layout.static)


def _unlike(callback: Any, expected: Any, out: Any) -> str:
    path, told = first_difference(out, expected)
    if not told:
        pairs = zip(jtu.tree_flatten_with_path(out)[0], jtu.tree_leaves(expected), strict=True)
        path, told = next(
            (path, f"`{leaf!r}` instead of `{wanted!r}`")
            for (path, leaf), wanted in pairs
            if not isinstance(wanted, ABSTRACT_TOO) and static_key(leaf) != static_key(wanted)
        )
    return (
        f"The callback `{function_name(callback)}` must return what `result_shape_dtypes` says; at "
        f"`out{jtu.keystr(path)}`: {told}."
    )
