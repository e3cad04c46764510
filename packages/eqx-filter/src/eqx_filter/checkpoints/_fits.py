"""Whether what a file has can be a leaf of a kind, shape and dtype; reads no array."""

from typing import Any

import jax
import numpy as np

from ._host import NUMBERS, is_key
from ._named import is_array_leaf


class Unfit(Exception):  # noqa: N818 - it is no error for the user, who is told of all at once
    """What keeps an entry of a file from being a leaf; the message goes on after its name."""


class Castable(Unfit):
    """Of another dtype, to which it could be cast."""


def is_saved(leaf: Any) -> bool:
    """Whether a leaf is an array or a number, or stands for one."""
    return is_array_leaf(leaf) or isinstance(leaf, jax.ShapeDtypeStruct) or type(leaf) in NUMBERS


def check_number(number: Any, like: Any) -> None:
    """Refuse a number for a leaf of another type."""
    if type(like) is not type(number):
        kinds = type(like).__name__, type(number).__name__
        told = "a `{}` in `like`, and a `{}` in the file".format(*kinds)
        raise Unfit(told)


def check_is_array(like: Any) -> None:
    """Refuse a leaf that cannot be an array of a file."""
    kind = type(like)
    if kind is np.ndarray:
        return
    if not isinstance(like, (jax.Array, jax.ShapeDtypeStruct, np.ndarray, np.generic)):
        told = f"a `{kind.__name__}` in `like`, and an array in the file"
        raise Unfit(told)
    if isinstance(like, np.ndarray):
        told = f"a `{kind.__name__}` in `like`; use `numpy.asarray` there"
        raise Unfit(told)


def check_keys(impl: str | None, shape: tuple[int, ...], dtype: Any, like: Any) -> None:
    """Refuse other keys than those of `like`; shape and dtype are those of their integers."""
    wanted, shape_in_like = key_form(like)
    if impl is None or impl != wanted or shape != shape_in_like:
        in_like = f"keys of `{wanted}`" if wanted else f"of dtype `{like.dtype}`"
        in_file = f"keys of `{impl}`" if impl else f"of dtype `{dtype}`"
        found = shape[:-1] if impl else shape
        told = (
            f"{in_like}, of shape {like.shape}, in `like`, and {in_file}, of {found}, in the file"
        )
        raise Unfit(told)


def key_form(like: Any) -> tuple[str | None, tuple[int, ...]]:
    """The name of what keys are made with, and the shape of their integers; None for no keys."""
    if isinstance(like, (np.ndarray, np.generic)) or not is_key(like):
        return None, like.shape
    found: list[str] = []

    def tell(keys: jax.Array) -> jax.Array:
        found.append(str(jax.random.key_impl(keys)))
        return jax.random.key_data(keys)

    data = jax.eval_shape(tell, jax.ShapeDtypeStruct(like.shape, like.dtype))
    return found[0], data.shape


def check_dtype(found: Any, wanted: Any, *, may_cast: bool) -> None:
    """Refuse another dtype that is not to be cast, or that is complex for one that is real."""
    if found is wanted or found == wanted.newbyteorder("="):
        return
    is_complex = found.kind == "c" and wanted.kind != "c"
    if not may_cast:
        told = f"of dtype `{wanted}` in `like`, and of `{found}` in the file"
        raise (Unfit if is_complex else Castable)(told)
    if is_complex:
        told = f"of dtype `{wanted}`, and complex in the file"
        raise Unfit(told)


def check_holds(array: np.ndarray, dtype: np.dtype) -> None:
    """Refuse numbers that become others when they are cast to integers or bools."""
    if jax.dtypes.issubdtype(dtype, np.inexact):
        return
    with np.errstate(invalid="ignore"):
        cast = array.astype(dtype)
    if not np.array_equal(cast.astype(array.dtype), array):
        file = f"of `{array.dtype}` in the file, with numbers that `{dtype}` does not hold"
        told = f"of dtype `{dtype}` in `like`, and {file}"
        raise Unfit(told)


def check_is_of_jax(dtype: Any, like: Any) -> None:
    """Refuse a dtype of 64 bits for a JAX array where JAX has none."""
    is_numpy = isinstance(like, (np.ndarray, np.generic))
    if not is_numpy and jax.dtypes.canonicalize_dtype(dtype) != dtype:
        told = f"of dtype `{dtype}`, for which `jax_enable_x64` must be switched on"
        raise Unfit(told)


def check_fits_sharding(shape: tuple[int, ...], sharding: Any) -> None:
    """Refuse an array that a sharding does not divide evenly, or that has too few axes for it."""
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        told = f"of shape {shape}, which its `sharding` does not fit: {error}"
        raise Unfit(told.removesuffix(".")) from None
