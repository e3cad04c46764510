"""Barriers: PyTrees pass through them unchanged, and some transformations of JAX do not.

Each is a primitive that is the identity, bound once for every array, and refuses in the rule of the
transformation. So what is refused is known where a program is traced.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.interpreters import ad, batching, mlir

from .. import errors
from ..rules._finalise import register_impl_finalisation
from ..shared._jax import Primitive
from ..shared._packed import as_array
from ..shared._predicates import is_array

_Tree = TypeVar("_Tree")
_THIS = "This operation"


def nontraceable(x: _Tree, *, name: str = "nontraceable operation") -> _Tree:
    """Pass a PyTree on, and refuse to differentiate, batch or transpose it.

    **Arguments:** `x`, any PyTree; `name`, what the error calls it.

    **Returns:** `x`. It can be compiled.

    **Raises:** `RuntimeError` when an array of `x` is differentiated, batched by `vmap`, or
    transposed.
    """
    return _bind_each(nontraceable_p, x, lambda path: {"name": _at(name, path)})


def nondifferentiable(x: _Tree, *, name: str | None = None, msg: str | None = None) -> _Tree:
    """Pass a PyTree on, and refuse to differentiate it in either mode.

    **Arguments:**

    - `x`: any PyTree.
    - `name`: what the error calls it.
    - `msg`: the whole text of the error, instead.

    **Returns:** `x`.

    **Raises:** `RuntimeError` when an array of `x` has a tangent that is not symbolically zero;
    `jax.lax.stop_gradient` of it has none.
    """

    def params(path: str) -> dict[str, Any]:
        told = f"{_at(name or _THIS, path)} cannot be autodifferentiated, and met a tangent."
        return {"msg": f"{told} Use `jax.lax.stop_gradient`." if msg is None else msg}

    return _bind_each(nondifferentiable_p, x, params)


def nondifferentiable_backward(
    x: _Tree, name: str | None = None, msg: str | None = None, symbolic: bool = True
) -> _Tree:
    """Pass a PyTree on, and refuse to differentiate it in reverse mode.

    **Arguments:**

    - `x`, `name`, `msg`: as of `nondifferentiable`.
    - `symbolic`: with True, an array of `x` refuses every cotangent that is not symbolically zero,
        while tracing. With False, the cotangents' values are looked at when the program runs, and
        those that are all zero pass.

    **Returns:** `x`. Forward mode goes through.

    **Raises:** `RuntimeError` for a cotangent; with `symbolic=False` as `error_if`.
    """

    def params(path: str) -> dict[str, Any]:
        told = f"{_at(name or _THIS, path)} cannot be reverse-mode autodifferentiated, and met a "
        whole = f"{told}cotangent. Use `jax.lax.stop_gradient`, or forward mode."
        return {"msg": whole if msg is None else msg, "symbolic": symbolic}

    return _bind_each(nondifferentiable_backward_p, x, params)


def nonbatchable(
    x: _Tree,
    *,
    name: str | None = None,
    msg: str | None = None,
    allow_constant_across_batch: bool = False,
) -> _Tree:
    """Pass a PyTree on, and refuse to batch it.

    **Arguments:**

    - `x`, `name`, `msg`: as of `nondifferentiable`.
    - `allow_constant_across_batch`: let a batch pass whose members are equal, which is checked when
        the program runs. What is returned has no batch axis then.

    **Returns:** `x`. It has no derivative.

    **Raises:** `ValueError` when `vmap` batches an array of `x`; or as `error_if` where the
    members of a batch may be equal and are not.
    """

    def params(path: str) -> dict[str, Any]:
        called = _at(name or _THIS, path)
        if allow_constant_across_batch:
            told = f"{called} met a batch whose members differ; they must be equal."
        else:
            told = f"{called} cannot be vmap'd, and met a batch. Leave it out of `in_axes`."
        told = told if msg is None else msg
        return {"msg": told, "allow_constant_across_batch": allow_constant_across_batch}

    return _bind_each(nonbatchable_p, x, params)


def _at(name: str, path: str) -> str:
    return f"{name} (at `x{path}`)" if path else name


def _bind_each(primitive: Primitive, tree: Any, params: Callable[[str], dict[str, Any]]) -> Any:
    placed, structure = jtu.tree_flatten_with_path(tree)
    leaves = [
        primitive.bind(leaf, **params(jtu.keystr(path))) if is_array(leaf) else leaf
        for path, leaf in placed
    ]
    return structure.unflatten(leaves)


def _make(name: str) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(_given)
    primitive.def_abstract_eval(_same)
    mlir.register_lowering(primitive, mlir.lower_fun(_same, multiple_results=False))
    register_impl_finalisation(primitive)
    return primitive


def _same(x: Any, **params: Any) -> Any:
    return x


def _given(x: Any, **params: Any) -> Any:
    """What came in; under a transformation, JAX has a type of its own for a Python number."""
    return next((kind(x) for kind in (bool, int, float, complex) if isinstance(x, kind)), x)


def _refuser(doing: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, name: str) -> NoReturn:
        message = f"Detected {doing} of {name}: it can only be evaluated, or compiled."
        raise RuntimeError(message)

    return refuse


def _refuse_tangent(*args: Any, msg: str) -> NoReturn:
    raise RuntimeError(msg)


def _stay_linear(cotangents: Any, x: Any, *, msg: str) -> Any:
    return [cotangents]


def _keep_axes(primitive: Primitive) -> None:
    def batch(operands: Any, axes: Any, **params: Any) -> Any:
        return primitive.bind(*operands, **params), axes[0]

    batching.primitive_batchers[primitive] = batch


def _move_forward(primals: Any, tangents: Any, **params: Any) -> Any:
    [x], [tangent] = primals, tangents
    if type(tangent) is not ad.Zero:
        tangent = nondifferentiable_backward_p.bind(tangent, **params)
    return nondifferentiable_backward_p.bind(x, **params), tangent


def _refuse_cotangent(cotangent: Any, x: Any, *, msg: str, symbolic: bool) -> Any:
    if type(cotangent) is ad.Zero:
        return [cotangent]
    if symbolic:
        raise RuntimeError(msg)
    cotangent = as_array(cotangent)
    return [errors.error_if(cotangent, jnp.any(cotangent != 0), msg)]


def _unbatch(operands: Any, axes: Any, *, msg: str, allow_constant_across_batch: bool) -> Any:
    [x], [axis] = operands, axes
    if not allow_constant_across_batch:
        raise ValueError(msg)
    first = jax.lax.index_in_dim(x, 0, axis)
    checked = errors.error_if(first, jnp.any(_comparable(x) != _comparable(first)), msg)
    return jnp.squeeze(checked, axis), None


def _comparable(x: Any) -> Any:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jnp.asarray(jax.random.key_data(x)) if is_key else x


nontraceable_p = _make("nontraceable")
"""The primitive of `nontraceable`."""
batching.primitive_batchers[nontraceable_p] = _refuser("batching")
ad.primitive_jvps[nontraceable_p] = _refuser("differentiation")
ad.primitive_transposes[nontraceable_p] = _refuser("transposition")

nondifferentiable_p = _make("nondifferentiable")
"""The primitive of `nondifferentiable`."""
_keep_axes(nondifferentiable_p)
ad.primitive_jvps[nondifferentiable_p] = _refuse_tangent
ad.primitive_transposes[nondifferentiable_p] = _stay_linear

nondifferentiable_backward_p = _make("nondifferentiable_backward")
"""The primitive of `nondifferentiable_backward`."""
_keep_axes(nondifferentiable_backward_p)
ad.primitive_jvps[nondifferentiable_backward_p] = _move_forward
ad.primitive_transposes[nondifferentiable_backward_p] = _refuse_cotangent

nonbatchable_p = _make("nonbatchable")
"""The primitive of `nonbatchable`."""
batching.primitive_batchers[nonbatchable_p] = _unbatch
