"""`tree_equal`: whether PyTrees are equal, also under a trace. `Module.__eq__` is this function."""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

_NUMPY = (np.ndarray, np.generic)
_verdicts: dict[bool, jax.Array] = {}


def tree_equal(
    *pytrees: Any,
    typematch: bool | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> "bool | jax.Array":
    """Whether all PyTrees are equal: the same structure, and leaves that are equal in turn.

    Arrays are equal when shape, dtype and values are; NaN is unequal to itself, typed PRNG keys
    compare by implementation and data. Static values are compared by type and value. Other leaves
    compare by `==`.

    **Arguments:**

    - `pytrees`: one PyTree or more.
    - `typematch`: `None` holds a JAX array and a NumPy array unequal; `False` lets them be equal;
        `True` also asks that any two leaves have the same type.
    - `rtol`, `atol`: floating and complex arrays are equal where
        `abs(x - y) <= atol + rtol * abs(y)`. By default they must be equal exactly.

    **Returns:**

    A `bool`, or a bool array of shape `()` where the answer rests on JAX arrays: a traced one if
    any of them is traced.

    Where arrays lie on devices of several processes, each of these calls it, with PyTrees that are
    alike in all other leaves: their answer is one.

    **Raises:** `TypeError` if no PyTree is given.
    """
    if not pytrees:
        message = "`tree_equal` compares PyTrees; it was called with none."
        raise TypeError(message)
    first, structure = jtu.tree_flatten(pytrees[0])
    array_verdicts: list[Any] = []
    remote: list[_Pair] = []
    for pytree in pytrees[1:]:
        leaves, other_structure = jtu.tree_flatten(pytree)
        if structure != other_structure:
            return False
        for x, y in zip(first, leaves, strict=True):
            equal = _leaf_equal(x, y, typematch, rtol, atol)
            if equal is False:
                return False
            if isinstance(equal, _Pair):
                remote.append(equal)
            elif equal is not True:
                array_verdicts.append(equal)
    if remote:
        array_verdicts.append(_remote_equal(remote, float(rtol), float(atol)))
    return _all(array_verdicts) if array_verdicts else True


def _leaf_equal(
    x: Any, y: Any, typematch: bool | None, rtol: float, atol: float
) -> "bool | np.bool_ | jax.Array | _Pair":
    """Compare two leaves: a `bool`, or what the values of JAX arrays say, or will say."""
    if typematch is True and type(x) is not type(y):
        return False
    x_kind, y_kind = _kind(x), _kind(y)
    if x_kind is None and y_kind is None:
        return bool(x == y)
    if x_kind is None or y_kind is None or (typematch is None and x_kind != y_kind):
        return False
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    if x_kind == y_kind == "numpy":
        return bool(_values_equal(np, x, y, rtol, atol))
    return _jax_equal(x, y, rtol, atol)


def _kind(leaf: Any) -> Literal["jax", "numpy"] | None:
    if isinstance(leaf, jax.Array):
        return "jax"
    return "numpy" if isinstance(leaf, _NUMPY) else None


def _jax_equal(x: Any, y: Any, rtol: float, atol: float) -> "np.bool_ | jax.Array | _Pair":
    if _is_key(x.dtype):
        x, y, rtol, atol = jax.random.key_data(x), jax.random.key_data(y), 0.0, 0.0
    places = _places(x, y)
    if "remote" in places:
        is_remote = isinstance(x, jax.Array) and _place(x.sharding) == "remote"
        return _Pair(x, _laid_out_as(x, y)) if is_remote else _Pair(_laid_out_as(y, x), y)
    if _compares_on_host(x, y, places):
        return _values_equal(np, np.asarray(x), np.asarray(y), rtol, atol)
    return _values_equal(jnp, x, y, rtol, atol)


class _Pair(NamedTuple):
    """Arrays that lie on several hosts."""

    x: jax.Array
    y: jax.Array


@functools.partial(jax.jit, static_argnums=(1, 2))
def _remote_equal(pairs: list[_Pair], rtol: float, atol: float) -> jax.Array:
    """Compare all of them in one program.

    A program for each would run beside the others: processes that wait for one another in two of
    them, each in another one, wait for ever.
    """
    return jnp.stack([_values_equal(jnp, x, y, rtol, atol) for x, y in pairs]).all()


def _places(x: Any, y: Any) -> list[str]:
    """Where JAX arrays lie; empty if one of the two is traced."""
    if isinstance(x, jax.core.Tracer) or isinstance(y, jax.core.Tracer):
        return []
    return [_place(array.sharding) for array in (x, y) if isinstance(array, jax.Array)]


def _compares_on_host(x: Any, y: Any, places: list[str]) -> bool:
    """Whether NumPy compares: it can see both, and JAX would not do so where they lie."""
    if not places:
        return False
    return "device" not in places or (len(places) == 2 and x.sharding != y.sharding)


def _laid_out_as(like: jax.Array, x: Any) -> jax.Array:
    """The array where another lies, which is on several hosts: JAX compares no others.

    Of one that is on this host, each process takes what its own devices need.
    """
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return x if x.sharding == like.sharding else jax.device_put(x, like.sharding)
    whole = np.asarray(x)
    return jax.make_array_from_callback(x.shape, like.sharding, lambda index: whole[index])


@functools.lru_cache(maxsize=256)
def _place(sharding: jax.sharding.Sharding) -> Literal["host", "device", "remote"]:
    """Where arrays lie: in this host's memory, on its devices, or also on other hosts."""
    if not sharding.is_fully_addressable:
        return "remote"
    devices = sharding.device_set
    on_host = len(devices) == 1 and next(iter(devices)).platform == "cpu"
    return "host" if on_host else "device"


@functools.lru_cache(maxsize=256)
def _is_key(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def _values_equal(numpy: Any, x: Any, y: Any, rtol: float, atol: float) -> Any:
    if (rtol or atol) and jnp.issubdtype(x.dtype, jnp.inexact):
        finite = numpy.isfinite(x) & numpy.isfinite(y)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            close = finite & (numpy.abs(x - y) <= atol + rtol * numpy.abs(y))
        return numpy.all((x == y) | close)
    equal = x == y
    return np.bool_(equal) if isinstance(equal, bool) else equal.all()  # of `np.str_` it is a bool


def _all(verdicts: list[np.bool_ | jax.Array]) -> jax.Array:
    """Whether all hold; an array made before where all are known, as making one costs most."""
    known = all(verdict for verdict in verdicts if isinstance(verdict, np.bool_))
    open_verdicts = [verdict for verdict in verdicts if not isinstance(verdict, np.bool_)]
    if known and open_verdicts:
        return functools.reduce(jnp.logical_and, open_verdicts)
    if known not in _verdicts:
        with jax.ensure_compile_time_eval():
            _verdicts[known] = jnp.asarray(known)
    return _verdicts[known]
