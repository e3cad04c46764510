"""`store_dce` and `inspect_dce`: which values a compiler keeps."""

from collections.abc import Hashable
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
from jax.interpreters import ad, batching, mlir

from eqx_pytree import tree_pformat

from ..shared._jax import Primitive
from ..shared._predicates import is_array

_Tree = TypeVar("_Tree")


class _Removed:
    """Stands for an array that was removed."""

    def __repr__(self) -> str:
        return "<DCE'd>"


class Entry:
    """What one call of `store_dce` was given: removed, until it is seen in a compiled program."""

    def __init__(self, tree: Any) -> None:
        leaves, self.structure = jtu.tree_flatten(tree)
        self.leaves = [_Removed() if is_array(leaf) else leaf for leaf in leaves]

    def __repr__(self) -> str:
        return tree_pformat(self.structure.unflatten(self.leaves), struct_as_array=True)


_entries: dict[Hashable, list[Entry]] = {}

_store_p = Primitive("store_dce")


def store_dce(x: _Tree, name: Hashable = None) -> _Tree:
    """Note which arrays of a PyTree are kept in the compiled program, for `inspect_dce`.

    **Arguments:**

    - `x`: any PyTree.
    - `name`: of the place, to inspect it by. Any value with a hash.

    **Returns:** `x`, which is to be used.

    **Raises:** `RuntimeError` outside of a function that is compiled.
    """
    leaves, structure = jtu.tree_flatten(x)
    entry = Entry(x)
    out = [
        _store_p.bind(leaf, entry=entry, place=place) if is_array(leaf) else leaf
        for place, leaf in enumerate(leaves)
    ]
    _entries.setdefault(name, []).append(entry)
    return structure.unflatten(out)


def inspect_dce(name: Hashable = None) -> None:
    """Print what `store_dce` was given under a name, with `<DCE'd>` for what was removed.

    **Arguments:**

    - `name`: as it was given to `store_dce`.
    """
    entries = _entries.get(name, [])
    calls = "call" if len(entries) == 1 else "calls"
    print(f"Found {len(entries)} {calls} to `equinox.debug.store_dce`.")
    for number, entry in enumerate(entries):
        print(f"Entry {number}:\n{entry!r}")


def _refuse(operand: Any, **params: Any) -> Any:
    message = (
        "`equinox.debug.store_dce` should be used inside of JIT: outside, nothing is removed. Call "
        "it in a function of `filter_jit`."
    )
    raise RuntimeError(message)


def _lower(context: Any, operand: Any, *, entry: Entry, place: int) -> list[Any]:
    [aval] = context.avals_in
    entry.leaves[place] = jax.ShapeDtypeStruct(aval.shape, aval.dtype)
    return [operand]


def _batch(operands: Any, axes: Any, **params: Any) -> Any:
    return _store_p.bind(*operands, **params), axes[0]


_store_p.def_impl(_refuse)
_store_p.def_abstract_eval(lambda operand, **params: operand)
batching.primitive_batchers[_store_p] = _batch
ad.deflinear2(_store_p, lambda cotangent, operand, **params: [cotangent])
mlir.register_lowering(_store_p, _lower)
