"""`ω`: arithmetic on whole PyTrees, written as on arrays.

`(a**ω + 2 * b**ω).ω` is what two calls of `tree_map` would give. Each operation flattens its
operands once; nothing is kept per leaf.
"""

import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
import numpy as np

from ..shared._describe import describe_value
from ..shared._difference import first_difference

_IsLeaf = Callable[[Any], bool] | None
_Method = TypeVar("_Method", bound=Callable[..., Any])
_NUMBERS = (bool, int, float, complex, jax.Array, np.ndarray, np.generic)


class _Metaω(type):  # noqa: PLC2401 - the name that downstream imports
    """Lets the class stand as an operand: `tree**ω` is `ω(tree)`."""

    __array_ufunc__ = None  # so that `numpy_array**ω` comes here too, as one tree

    def __rpow__(cls, value: Any) -> "ω":
        return cls(value)


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[["ω", Any], "ω"]:
    def method(self: "ω", other: Any) -> "ω":
        return _combined(self, other, operation)

    return _named(method, operation)


def _reflected(operation: Callable[[Any, Any], Any]) -> Callable[["ω", Any], "ω"]:
    def method(self: "ω", other: Any) -> "ω":
        if isinstance(other, (np.ndarray, np.generic)) and other.ndim == 0:
            other = other.item()  # as if NumPy had met an operand that it does not know
        return _combined(self, other, operation, reflected=True)

    return _named(method, operation, "r")


def _unary(operation: Callable[[Any], Any]) -> Callable[["ω"], "ω"]:
    def method(self: "ω") -> "ω":
        return self.call(operation)

    return _named(method, operation)


def _named(method: _Method, operation: Callable[..., Any], side: str = "") -> _Method:
    method.__name__ = f"__{side}{operation.__name__.strip('_')}__"
    method.__qualname__ = f"ω.{method.__name__}"
    return method


class ω(metaclass=_Metaω):  # noqa: N801, PLC2401 - the name that solvers import
    """A PyTree on which operators act leaf by leaf.

    `tree**ω` wraps, and `.ω` unwraps: `(a**ω + 2 * b**ω).ω`. The operators are `+ - * / // % ** @`,
    `<< >> & | ^`, the comparisons, and `- + abs ~`. The other operand may be an `ω` of the same
    structure, or a number or an array, which then meets every leaf. `x[item]` and
    `x.at[item].set(other)` index each leaf. It is no PyTree itself: unwrap it before it is returned
    from a transformed function.

    **Arguments:**

    - `value`: any PyTree. Shapes and dtypes of results are those of the operation on each leaf.
    - `is_leaf`: as in `jax.tree_util.tree_map`; results keep it.

    **Raises:** by every operation, `ValueError` if structures differ or the operands were not made
    with the same `is_leaf`; `RuntimeError` if the other operand is of another kind. What an
    operation on leaves raises has a note that names the leaf.
    """

    __slots__ = ("__weakref__", "is_leaf", "ω")
    __array_ufunc__ = None  # so that `numpy_array + x` comes here, not to each element
    __iter__ = None  # indexing clamps, so iteration by indices would not end
    __hash__ = object.__hash__

    def __init__(self, value: Any, is_leaf: _IsLeaf = None) -> None:
        self.ω = value
        self.is_leaf = is_leaf

    def __repr__(self) -> str:
        return f"ω({self.ω})"

    def __getitem__(self, item: Any) -> "ω":
        """Index each leaf."""
        return self.call(lambda leaf: leaf[item])

    def call(self, fn: Callable[[Any], Any]) -> "ω":
        """Give `ω` of `fn(leaf)` for each leaf."""
        leaves, structure = jtu.tree_flatten(self.ω, self.is_leaf)
        out: list[Any] = []
        try:
            for leaf in leaves:
                out.append(fn(leaf))  # noqa: PERF401 - its length tells where `fn` failed
        except Exception as error:
            error.add_note(_where(self, len(out)))
            raise
        return ω(structure.unflatten(out), self.is_leaf)

    @property
    def at(self) -> "_At":
        """Updates out of place: `x.at[item].set(other)`; also `add`, `multiply` and so on.

        The leaves must be JAX arrays. `other` is as for the operators.
        """
        return _At(self)

    __add__, __radd__ = _binary(operator.add), _reflected(operator.add)
    __sub__, __rsub__ = _binary(operator.sub), _reflected(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul), _reflected(operator.mul)
    __matmul__, __rmatmul__ = _binary(operator.matmul), _reflected(operator.matmul)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _reflected(operator.truediv)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv), _reflected(operator.floordiv)
    __mod__, __rmod__ = _binary(operator.mod), _reflected(operator.mod)
    __pow__, __rpow__ = _binary(operator.pow), _reflected(operator.pow)
    __lshift__, __rlshift__ = _binary(operator.lshift), _reflected(operator.lshift)
    __rshift__, __rrshift__ = _binary(operator.rshift), _reflected(operator.rshift)
    __and__, __rand__ = _binary(operator.and_), _reflected(operator.and_)
    __or__, __ror__ = _binary(operator.or_), _reflected(operator.or_)
    __xor__, __rxor__ = _binary(operator.xor), _reflected(operator.xor)
    __lt__, __le__ = _binary(operator.lt), _binary(operator.le)
    __gt__, __ge__ = _binary(operator.gt), _binary(operator.ge)
    __eq__: Any = _binary(operator.eq)
    __ne__: Any = _binary(operator.ne)
    __neg__, __pos__ = _unary(operator.neg), _unary(operator.pos)
    __abs__, __invert__ = _unary(operator.abs), _unary(operator.invert)


class _At:
    """What `.at` gives: waits for an index."""

    __slots__ = ("_omega",)

    def __init__(self, omega: ω) -> None:
        self._omega = omega

    def __getitem__(self, item: Any) -> "_Place":
        return _Place(self._omega, item)


def _update(name: str) -> Callable[["_Place", Any], ω]:
    def method(self: "_Place", other: Any) -> ω:
        item = self._item

        def update(leaf: Any, value: Any) -> Any:
            return getattr(leaf.at[item], name)(value)

        return _combined(self._omega, other, update)

    method.__name__, method.__qualname__ = name, f"_Place.{name}"
    method.__doc__ = f"What `leaf.at[item].{name}(other)` gives, for each leaf."
    return method


class _Place:
    """What `.at[item]` gives: has a method for each update."""

    __slots__ = ("_item", "_omega")

    def __init__(self, omega: ω, item: Any) -> None:
        self._omega = omega
        self._item = item

    set, add, multiply = _update("set"), _update("add"), _update("multiply")
    divide, power = _update("divide"), _update("power")
    min, max = _update("min"), _update("max")


def _combined(
    one: ω, other: Any, operation: Callable[[Any, Any], Any], reflected: bool = False
) -> ω:
    """Apply the operation to each leaf of `one` and what meets it."""
    leaves, structure = jtu.tree_flatten(one.ω, one.is_leaf)
    others = _others(one, other, structure)
    out: list[Any] = []
    try:
        for first, second in zip(others, leaves) if reflected else zip(leaves, others):  # noqa: B905
            out.append(operation(first, second))
    except Exception as error:
        error.add_note(_where(one, len(out)))
        raise
    return ω(structure.unflatten(out), one.is_leaf)


def _others(one: ω, other: Any, structure: Any) -> Iterable[Any]:
    """What meets the leaves of `one`, one by one."""
    if isinstance(other, ω):
        if other.is_leaf is not one.is_leaf and not _alike(one.is_leaf, other.is_leaf):
            raise ValueError(_IS_LEAF_DIFFERS)
        leaves, other_structure = jtu.tree_flatten(other.ω, one.is_leaf)
        if other_structure != structure:
            raise ValueError(_structures_differ(one, other))
        return leaves
    if isinstance(other, _NUMBERS):
        return itertools.repeat(other, structure.num_leaves)
    message = (
        "The operand of an `ω` must be another `ω`, a number or an array, not "
        f"{describe_value(other)}. Wrap a PyTree too: `tree**ω`."
    )
    raise RuntimeError(message)


_IS_LEAF_DIFFERS = (
    "Two operands of one `ω` operation must have the same `is_leaf`, and these differ. Make both "
    "with `ω(tree, is_leaf=...)`, or both without."
)


def _alike(one: _IsLeaf, other: _IsLeaf) -> bool:
    """Whether two functions may be the same: functions written alike, or nothing is known."""
    if one is None or other is None:
        return False
    one_code = getattr(getattr(one, "__code__", None), "co_code", None)
    other_code = getattr(getattr(other, "__code__", None), "co_code", None)
    return None in (one_code, other_code) or one_code == other_code


def _structures_differ(one: ω, other: ω) -> str:
    path, told = first_difference(one.ω, other.ω, is_leaf=one.is_leaf)
    return (
        "Two operands of one `ω` operation must have the same structure; at "
        f"`tree{jtu.keystr(path)}` there is {told}."
    )


def _where(omega: ω, index: int) -> str:
    path, leaf = jtu.tree_flatten_with_path(omega.ω, omega.is_leaf)[0][index]
    return f"This was at the leaf `tree{jtu.keystr(path)}` of an `ω`: {describe_value(leaf)}."
