"""Filters: functions `Any -> bool` that say of a leaf whether it is an array, and of what kind."""

import functools
import operator
import types
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

ARRAY_TYPES = (jax.Array, np.ndarray, np.generic)
"""What `is_array` holds for an array, tracers and typed PRNG keys included."""

ABSTRACT_TOO = (*ARRAY_TYPES, jax.ShapeDtypeStruct)
"""What stands for an array where values are not needed."""

_NEVER_ARRAYS = (
    str,
    bytes,
    dict,
    set,
    frozenset,
    type,
    types.NoneType,
    types.EllipsisType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
)


is_none = functools.partial(operator.is_, None)
"""Whether a node is None. Asked of every node of a tree, so it runs without a Python frame."""


def is_array(element: Any) -> bool:
    """Whether `element` is a JAX array (tracers included), a NumPy array or a NumPy scalar."""
    return isinstance(element, ARRAY_TYPES)


def is_inexact_array(element: Any) -> bool:
    """Whether `element` is a JAX array of floating or complex dtype.

    False for NumPy arrays and scalars. `filter_grad` differentiates floating NumPy arrays all the
    same; convert a model's NumPy parameters with `jnp.asarray` where an optimiser state is made
    with `filter(model, is_inexact_array)`.
    """
    return isinstance(element, jax.Array) and is_inexact(element.dtype)


def is_inexact_array_like(element: Any) -> bool:
    """Whether `element` is a floating or complex array of any kind, or a Python float or complex.

    An object with `__jax_array__` is asked for its array.
    """
    if isinstance(element, ARRAY_TYPES):
        return is_inexact(element.dtype)
    if hasattr(element, "__jax_array__"):
        return is_inexact(element.__jax_array__().dtype)
    return isinstance(element, (float, complex))


def is_array_like(element: Any) -> bool:
    """Whether `jax.numpy.array` accepts `element`.

    Arrays, Python numbers that fit their dtype and lists of numbers are; strings, None, functions
    and arrays of strings or objects are not. Only where the type does not tell, an array is made.
    """
    if isinstance(element, jax.Array):
        return True
    if isinstance(element, (np.ndarray, np.generic)):
        return _accepts_dtype(element.dtype)
    if isinstance(element, (bool, float, complex)):
        return True
    if isinstance(element, int):
        limits = jnp.iinfo(jax.dtypes.canonicalize_dtype(np.int64))
        return int(limits.min) <= element <= int(limits.max)
    if isinstance(element, _NEVER_ARRAYS):
        return False
    if any(isinstance(leaf, _NEVER_ARRAYS) for leaf in jtu.tree_leaves(element)):
        return False  # known without NumPy's warnings about strings
    try:
        jnp.array(element)
    except Exception:  # whatever it raises, that is the answer
        return False
    return True


def is_number_or_array(element: Any) -> bool:
    """Whether `element` is an array or a Python number."""
    return isinstance(element, (*ARRAY_TYPES, bool, int, float, complex))


def is_differentiable(element: Any) -> bool:
    """Whether `element` is a floating or complex array, JAX's or NumPy's."""
    return isinstance(element, ARRAY_TYPES) and is_inexact(element.dtype)


def is_parameter(element: Any) -> bool:
    """Whether `element` is a floating or complex array, or the struct of one."""
    is_struct = isinstance(element, jax.ShapeDtypeStruct)
    return is_differentiable(element) or (is_struct and is_inexact(element.dtype))


def at_least_float32(dtype: Any) -> Any:
    """The dtype that numbers of one are added up in: float32 for those of fewer bits."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)


@functools.cache
def is_inexact(dtype: Any) -> bool:
    """Whether a dtype is floating or complex, the extended ones such as bfloat16 included."""
    return bool(jnp.issubdtype(dtype, jnp.inexact))


@functools.cache
def _accepts_dtype(dtype: np.dtype) -> bool:
    try:
        jnp.array(np.empty(0, dtype))
    except TypeError:
        return False
    return True
