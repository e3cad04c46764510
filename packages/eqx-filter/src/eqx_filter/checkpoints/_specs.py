"""What is written and read of a leaf by default, by the kind of the leaf."""

import math
from typing import Any

import jax
import numpy as np

from ._errors import ChangedError, LeafError
from ._host import NUMBERS, is_key, on_host
from ._npy import Header, dtype_on_disk, is_nameless, read_elements, read_header, write_array

_AS_SAVED = "`like` must have the leaves that were saved, each with its shape and dtype."


def default_serialise_filter_spec(f: Any, x: Any) -> None:
    """Write a leaf to a file, if it is an array or a number.

    **Arguments:**

    - `f`: a file that is open to write bytes.
    - `x`: any leaf. JAX and NumPy arrays of any shape and dtype, NumPy scalars, and Python's bool,
        int, float and complex are written in NumPy's `.npy` format; so is what `__jax_array__`
        returns, and the `jax.random.key_data` of typed PRNG keys. An array that is sharded over
        the devices of this process is written whole. Anything else is left out.

    **Raises:** `RuntimeError` if the leaf is a tracer, an array whose values are not all in this
    process, or one that only pickle could save.
    """
    if isinstance(x, (jax.Array, np.ndarray, np.generic, *NUMBERS)) or hasattr(x, "__jax_array__"):
        write_array(f, on_host(x))


def default_deserialise_filter_spec(f: Any, x: Any) -> Any:
    """Read from a file what `default_serialise_filter_spec` wrote for a leaf like `x`.

    **Arguments:**

    - `f`: a file that is open to read bytes.
    - `x`: a leaf of the kind that is wanted: an array, a number, or a `jax.ShapeDtypeStruct`, which
        stands for a JAX array. Its shape and dtype must be those in the file; its values do not
        count. Nothing is read for any other leaf.

    **Returns:** a leaf of the kind of `x`, JAX arrays on the default device; `x` itself if nothing
    was read. 64-bit values become 32-bit ones where JAX has no 64-bit types switched on.

    **Raises:** `RuntimeError` if what is in the file is not like `x`, is cut short, or is no array.
    """
    if isinstance(x, (jax.Array, jax.ShapeDtypeStruct)):
        return _read_key(f, x) if is_key(x) else _read_jax_array(f, x.shape, x.dtype)
    if isinstance(x, np.ndarray):
        return _read_numpy_array(f, x)
    if isinstance(x, np.generic):
        return _read_numpy_scalar(f, x)
    if isinstance(x, NUMBERS):
        return _read_number(f, x)
    if hasattr(x, "__jax_array__"):
        message = (
            f"a `{type(x).__name__}` cannot be made again from the array that was saved of it. "
            "Have an array in its place in `like`, or a `filter_spec` of your own."
        )
        raise LeafError(message)
    return x


def _read_jax_array(f: Any, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
    if _in_jax(dtype) != dtype:
        raise ChangedError("dtype", dtype, _in_jax(dtype), "Switch `jax_enable_x64` on.")
    header = read_header(f)
    _check_shape(header, shape)
    found = dtype_on_disk(header, dtype)
    if _in_jax(found) != dtype:
        raise ChangedError("dtype", dtype, found, _AS_SAVED)
    array = read_elements(f, header, found)
    if found != dtype:
        array = _narrowed(array, dtype)
    # Waiting bounds the memory: where copying to the device takes time, one leaf is under way.
    return jax.block_until_ready(jax.device_put(array, may_alias=True))


def _in_jax(dtype: np.dtype) -> np.dtype:
    """Give the dtype that values have as a JAX array: 64 bits only where they are switched on."""
    return jax.dtypes.canonicalize_dtype(dtype) if _is_number(dtype) else dtype


def _narrowed(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrowed = array.astype(dtype)
    if dtype.kind in "iu" and (narrowed != array).any():
        message = (
            f"it holds {array.dtype} values that {dtype} cannot. Switch `jax_enable_x64` on, with "
            "which it was saved."
        )
        raise LeafError(message)
    return narrowed


def _read_key(f: Any, like: Any) -> jax.Array:
    impls = []

    def data_of(keys: jax.Array) -> jax.Array:
        impls.append(jax.random.key_impl(keys))
        return jax.random.key_data(keys)

    data = jax.eval_shape(data_of, jax.ShapeDtypeStruct(like.shape, like.dtype))
    read = _read_jax_array(f, data.shape, data.dtype)
    return jax.random.wrap_key_data(read, impl=impls[0])


def _read_numpy_array(f: Any, like: np.ndarray) -> np.ndarray:
    if type(like) is not np.ndarray:
        advice = "Use `numpy.asarray` on that leaf of `like`, and make the other array from it."
        raise ChangedError("type", type(like), np.ndarray, advice)
    header = read_header(f)
    _check_shape(header, like.shape)
    found = dtype_on_disk(header, like.dtype)
    if found != like.dtype:
        raise ChangedError("dtype", like.dtype, found, _AS_SAVED)
    return read_elements(f, header, found)


def _read_numpy_scalar(f: Any, like: np.generic) -> np.generic:
    header = _read_scalar_header(f, like)
    found = dtype_on_disk(header, like.dtype)
    if found == like.dtype or (found.kind == like.dtype.kind and found.kind in "US"):
        return read_elements(f, header, found).reshape(())[()]
    is_number = _is_number(like.dtype) or is_nameless(like.dtype)
    if not _is_number(found) or not is_number:
        raise _other(like, f"a value of dtype {found}")
    return _converted(read_elements(f, header, found), like)


def _read_number(f: Any, like: Any) -> Any:
    header = _read_scalar_header(f, like)
    found = dtype_on_disk(header)
    if not _is_number(found):
        raise _other(like, f"a value of dtype {found}")
    return _converted(read_elements(f, header, found), like)


def _is_number(dtype: np.dtype) -> bool:
    """Whether a dtype is a number's; in the other byte order it comes of damage, not of saving."""
    return dtype.kind in "biufc" and dtype.isnative


def _read_scalar_header(f: Any, like: Any) -> Header:
    header = read_header(f)
    if math.prod(header.shape) != 1:
        raise _other(like, f"an array of shape {header.shape}")
    return header


def _converted(array: np.ndarray, like: Any) -> Any:
    """Give the one element of an array as a number of the kind of `like`.

    Floats may be rounded, as they are in JAX; nothing else may be lost.
    """
    kind, value = type(like), array.item()
    if isinstance(value, complex) and not _is_complex(kind):
        raise _other(like, repr(value))
    with np.errstate(over="ignore"):
        number = kind(value)
    if isinstance(number, (int, np.integer, np.bool_)):
        is_kept = number == value
    else:
        is_kept = bool(np.isfinite(number)) == bool(np.isfinite(value))
    if not is_kept:
        raise _other(like, repr(value))
    return number


def _other(like: Any, found: str) -> LeafError:
    message = f"what was saved is {found}, which is no `{type(like).__name__}`. {_AS_SAVED}"
    return LeafError(message)


def _is_complex(kind: type) -> bool:
    return issubclass(kind, (complex, np.complexfloating))


def _check_shape(header: Header, shape: tuple[int, ...]) -> None:
    if header.shape != shape:
        raise ChangedError("shape", shape, header.shape, _AS_SAVED)
