"""The one room that names what JAX does not promise to keep, each with its reason."""

import functools
import importlib
import inspect
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import ad
from jax.sharding import NamedSharding, PartitionSpec

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

Jaxpr, Literal, Primitive = core.Jaxpr, core.Literal, core.Primitive
ClosedJaxpr = getattr(core, "ClosedJaxpr", core.Jaxpr)  # from JAX 0.12 on they are one

if hasattr(jax.sharding, "reshard"):
    reshard = jax.sharding.reshard
else:  # until JAX 0.6 it was experimental
    reshard = importlib.import_module("jax.experimental.shard").reshard

# Until JAX 0.6 what is for a `with` statement had a name of its own.
_home, _name = ("jax", "set_mesh") if hasattr(jax, "set_mesh") else ("jax.sharding", "use_mesh")
set_mesh = getattr(importlib.import_module(_home), _name)


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


def wait_at_barrier(name: str, processes: Sequence[int], seconds: float) -> None:
    """Wait until processes of `jax.distributed` are at the barrier of a name, which is used once.

    What JAX makes public, `multihost_utils.sync_global_devices`, waits for ever, and pairs with
    whatever else the other processes compute. Where processes began without `jax.distributed`, as
    they may on TPUs, nothing is waited for.

    **Raises:** `RuntimeError` of JAX's if one does not come.
    """
    state = importlib.import_module("jax._src.distributed").global_state
    if state.client is not None:
        state.client.wait_at_barrier(name, int(1000 * seconds), list(processes))


def keep_alive(context: Any, held: Any) -> None:
    """Hold something for as long as the program lives that a lowering rule works at."""
    context.module_context.add_keepalive(held)


def zero_tangent(x: Any) -> ad.Zero:
    """The symbolic zero that is a tangent of `x`; JAX has moved its own word for it twice."""
    aval = x if isinstance(x, ShapedArray) else _aval_of(x)
    return ad.Zero(aval.to_tangent_aval())


def _aval_of(x: Any) -> Any:
    return aval_of_struct(x) if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)


def aval_of_struct(struct: jax.ShapeDtypeStruct) -> Any:
    """The abstract value that a struct describes."""
    return ShapedArray(struct.shape, struct.dtype, **_kinds(struct))


def struct_of_aval(aval: Any) -> jax.ShapeDtypeStruct:
    """The struct that describes an abstract value."""
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, **_kinds(aval))


def _kinds(x: Any) -> dict[str, Any]:
    """What else is the same of a struct and of an abstract value; see `varying_over`."""
    kinds = {"weak_type": x.weak_type}
    if varying_over(x):
        word = "manual_axis_type" if hasattr(x, "manual_axis_type") else "vma"
        kinds |= {"sharding": x.sharding, word: getattr(x, word)}
    return kinds


def zeros_of_aval(aval: Any) -> jax.Array:
    """Zeros of an abstract value's shape and dtype, which are laid out and vary as it does."""
    return let_vary_as(jnp.zeros(aval.shape, aval.dtype, device=_laid_out(aval)), aval)


def symbolic_zero(aval: Any) -> Any:
    """A zero that a rule of `jax.custom_jvp` returns as a tangent.

    Before JAX 0.7.2 one is miscounted where a loop in a loop drops what is not used; so zeros then.
    """
    if jax.__version_info__ >= (0, 7, 2) or aval.dtype == jax.dtypes.float0:
        return SymbolicZero(aval)
    return zeros_of_aval(aval)


def zeros_of_rows(count: int, struct: Any) -> jax.Array:
    """Zeros of shape `(count, *struct.shape)`, each row laid out over a mesh as the struct is."""
    return jnp.zeros((count, *struct.shape), struct.dtype, device=_laid_out(struct, None))


def _laid_out(x: Any, *leading: None) -> NamedSharding | None:
    """How an abstract value or struct is laid out, with axes in front that are not.

    That is a part of its type where the axes of a mesh are explicit, and else None.
    """
    sharding = getattr(x, "sharding", None)
    if not getattr(getattr(sharding, "mesh", None), "are_all_axes_explicit", False):
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(*leading, *sharding.spec))


def resized_aval(aval: Any, shape: tuple[int, ...], *, weak_type: bool | None = None) -> Any:
    """An abstract value with another shape; what it varies over under `shard_map` stays.

    Of an array that is laid out over a mesh, JAX says the latter together with how.
    """
    weak_type = aval.weak_type if weak_type is None else weak_type
    if not varying_over(aval):
        return ShapedArray(shape, aval.dtype, weak_type=weak_type)
    laid_out = aval.sharding.update(spec=PartitionSpec(*[None] * len(shape)))
    return aval.update(shape=shape, weak_type=weak_type, sharding=laid_out)


def varying_over(aval: Any) -> frozenset[Any]:
    """The axes of a mesh that a value differs over inside of `shard_map`, by its abstract value.

    JAX has moved its word for it; where it has none, there are none.
    """
    kind = getattr(aval, "manual_axis_type", None)
    return getattr(aval, "vma", None) or frozenset() if kind is None else kind.varying


def vary_alike(*arrays: Any) -> list[Any]:
    """Let arrays that meet in a primitive differ over the same axes; `jax.numpy` does it likewise.

    Inside of `jax.shard_map` an array is known to differ over some axes of the mesh. The operands
    of a primitive, and what a loop begins with and goes on with, must be known to differ alike.

    **Arguments:** `arrays`, of any shapes and dtypes.

    **Returns:** the arrays, in a list. Outside of `jax.shard_map` they are as they were.
    """
    over = [varying_over(jax.typeof(x)) for x in arrays]
    axes = frozenset().union(*over)
    return [_let_vary(x, axes - own) for x, own in zip(arrays, over, strict=True)]


def let_vary_as(x: Any, aval: Any) -> Any:
    """Let a value differ over the axes that an abstract value differs over, too."""
    return _let_vary(x, varying_over(aval) - varying_over(jax.typeof(x)))


def _let_vary(x: Any, axes: frozenset[Any]) -> Any:
    """Let a value differ over some axes more. Until JAX 0.8 the function has another name."""
    if not axes:
        return x
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, tuple(axes), to="varying")
    return jax.lax.pvary(x, tuple(axes))


def scan_of_tangents(
    step: Callable[[Any, Any], tuple[Any, Any]],
    begin: Any,
    tangents: Any,
    known: Any,
    *,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """`jax.lax.scan` over tangents, in a rule of one's own for derivatives.

    **Arguments:** `step`, a function `(carry, (tangent, known)) -> (carry, y)` that is linear in
    the carry and the tangent; `begin`, the first carry; `tangents` and `known`, PyTrees of arrays
    with an axis of steps in front; `reverse` and `unroll`, as there.

    **Returns:** the last carry and the results of all steps. It can be transposed, under every JAX:
    until 0.8 a scan that a rule begins is not, as only JAX itself says which operands are linear.
    """

    def scanned(begin: Any, tangents: Any, known: Any) -> tuple[Any, Any]:
        return jax.lax.scan(step, begin, (tangents, known), reverse=reverse, unroll=unroll)

    if not _scans_are_told():
        return scanned(begin, tangents, known)
    operands = begin, tangents, known
    closed, out = jax.make_jaxpr(scanned, return_shape=True)(*operands)
    counts = [len(jtu.tree_leaves(it)) for it in operands]
    equations = [_told_linear(eqn, sum(counts[:2]), counts[2]) for eqn in closed.jaxpr.eqns]
    jaxpr = ClosedJaxpr(closed.jaxpr.replace(eqns=equations), closed.consts)
    flat = core.jaxpr_as_fun(jaxpr)(*jtu.tree_leaves(operands))
    return jtu.tree_unflatten(jtu.tree_structure(out), flat)


def _told_linear(equation: Any, linear: int, known: int) -> Any:
    if "linear" not in equation.params:
        return equation
    closed_over = len(equation.invars) - linear - known
    told = (False,) * closed_over + (True,) * linear + (False,) * known
    return equation.replace(params={**equation.params, "linear": told})


@functools.cache
def _scans_are_told() -> bool:
    """Whether a scan says which of its operands are linear."""
    closed = jax.make_jaxpr(lambda x: jax.lax.scan(lambda x, _: (x, None), x, length=1))(1.0)
    return any("linear" in equation.params for equation in closed.jaxpr.eqns)


def opened(closed: Any) -> tuple[Any, list[Any]]:
    """A jaxpr without the values of its constants, and those. From JAX 0.12 on it holds them."""
    jaxpr, consts = closed.jaxpr, list(closed.consts)
    return jaxpr.with_consts([None] * len(consts)) if jaxpr is closed else jaxpr, consts


def bind_with(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """Bind a primitive with the parameters of an equation, as `jax.core.eval_jaxpr` does.

    Until JAX 0.9 the functions of a call came beside the parameters, and then among them.
    """
    bound = primitive.get_bind_params(params)
    functions, bound = bound if isinstance(bound, tuple) else ((), bound)
    return primitive.bind(*functions, *operands, **bound)


def scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many operands of a scan are the same in each step, and how many are carried.

    Until JAX 0.11 these are numbers among its parameters, and then parts of one of them.
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()
    return len(consts), len(carry)


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
