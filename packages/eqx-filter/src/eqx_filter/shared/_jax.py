"""The one room that names what JAX does not promise to keep, each with its reason."""

import importlib
import inspect
import logging
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.interpreters import ad

from ._predicates import is_none

try:
    # Flattens with None as a leaf, in C++, where `is_leaf` calls Python for every node: a tenth of
    # `combine`. To go when `jax.tree_util` has it by another name.
    from jax._src.tree_util import none_leaf_registry
except ImportError:
    none_leaf_registry = None

try:
    # `jax.extend.core`, where they are public, loads Pallas: 100 ms of every import. To go when it
    # does not.
    from jax._src import core
except ImportError:
    from jax.extend import core

ClosedJaxpr, Jaxpr = core.ClosedJaxpr, core.Jaxpr
Literal, Primitive = core.Literal, core.Primitive

if hasattr(jax.sharding, "reshard"):
    reshard = jax.sharding.reshard
else:  # until JAX 0.6 it was experimental
    reshard = importlib.import_module("jax.experimental.shard").reshard


def flatten_with_nones(tree: Any) -> tuple[list[Any], Any]:
    """Flatten a PyTree with each None as a leaf."""
    if none_leaf_registry is None:
        return jtu.tree_flatten(tree, is_none)
    return none_leaf_registry.flatten(tree)


def quiet_callbacks(kind: type[Exception]) -> None:
    """Keep JAX from logging, with its traceback, an exception of this kind that a callback raises.

    It is raised to the caller in any case. The logger's name is that of a module of JAX's.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], kind))

    logging.getLogger("jax._src.callback").addFilter(is_other)


def device_count(context: Any) -> int:
    """The number of devices that a program is lowered for, by what a lowering rule is given.

    The classes behind it are JAX's own; where they change, this answers 1.
    """
    axes = getattr(context.module_context, "axis_context", None)
    mesh = getattr(axes, "mesh", None)
    return getattr(axes, "num_devices", None) or getattr(mesh, "size", 1)


def keep_alive(context: Any, held: Any) -> None:
    """Hold something for as long as the program lives that a lowering rule works at."""
    context.module_context.add_keepalive(held)


def zero_tangent(x: Any) -> ad.Zero:
    """The symbolic zero that is a tangent of `x`; JAX has moved its own word for it twice."""
    aval = x if isinstance(x, ShapedArray) else _aval_of(x)
    return ad.Zero(aval.to_tangent_aval())


def _aval_of(x: Any) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        return ShapedArray(x.shape, x.dtype, weak_type=x.weak_type)
    return jax.typeof(x)


def resized_aval(aval: Any, shape: tuple[int, ...]) -> Any:
    """An abstract value with another shape; what it varies over under `shard_map` stays.

    The words for the latter are JAX's own; where they change, it is forgotten.
    """
    resized = ShapedArray(shape, aval.dtype, weak_type=aval.weak_type)
    for name in ("vma", "manual_axis_type"):
        if getattr(aval, name, None):
            return resized.update(**{name: getattr(aval, name)})
    return resized


def bind_with(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """Bind a primitive with the parameters of an equation, as `jax.core.eval_jaxpr` does.

    Until JAX 0.9 the functions of a call came beside the parameters, and then among them.
    """
    bound = primitive.get_bind_params(params)
    functions, bound = bound if isinstance(bound, tuple) else ((), bound)
    return primitive.bind(*functions, *operands, **bound)


def tensorflow_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function on TensorFlow's tensors of one on JAX's arrays.

    Until JAX 0.6 it is made of TensorFlow's own operations, which other tools can read. The option
    is deprecated, and later JAX no longer heeds it.
    """
    from jax.experimental import jax2tf

    option = inspect.signature(jax2tf.convert).parameters.get("enable_xla")
    if option is None or option.default is not True:
        return jax2tf.convert(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return jax2tf.convert(function, enable_xla=False)
