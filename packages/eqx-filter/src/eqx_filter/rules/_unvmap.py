"""`unvmap_any` and kin: reduce over all elements, those of batches outside included."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import batching, mlir

from ..shared._jax import Primitive, resized_aval
from ._finalise import register_impl_finalisation


def unvmap_any(x: Any) -> "jax.Array":
    """Whether any element of `x` is true, over every batch of `vmap` outside too.

    **Arguments:**

    - `x`: a bool, or an array of any shape.

    **Returns:** an array of shape `()` and dtype bool. It is the same for the whole batch, so that
    a `jax.lax.cond` on it remains one under `vmap`.
    """
    return unvmap_any_p.bind(jax.lax.stop_gradient(jnp.asarray(x)))


def unvmap_all(x: Any) -> "jax.Array":
    """Whether all elements of `x` are true; otherwise as `unvmap_any`."""
    return unvmap_all_p.bind(jax.lax.stop_gradient(jnp.asarray(x)))


def unvmap_max(x: Any) -> "jax.Array":
    """The largest element of `x`, of its dtype; otherwise as `unvmap_any`."""
    return unvmap_max_p.bind(jax.lax.stop_gradient(jnp.asarray(x)))


def _make(name: str, reduce: Callable[[jax.Array], jax.Array]) -> Primitive:
    primitive = Primitive(name)

    def batch(operands: Any, axes: Any) -> Any:
        [x] = operands
        return primitive.bind(x), None

    def shape(x: Any) -> Any:
        dtype = jax.eval_shape(reduce, jax.ShapeDtypeStruct(x.shape, x.dtype)).dtype
        return resized_aval(x.update(dtype=dtype, weak_type=False), ())

    primitive.def_impl(reduce)
    primitive.def_abstract_eval(shape)
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, mlir.lower_fun(reduce, multiple_results=False))
    register_impl_finalisation(primitive)
    return primitive


unvmap_all_p = _make("unvmap_all", jnp.all)
"""The primitive of `unvmap_all`."""
unvmap_any_p = _make("unvmap_any", jnp.any)
"""The primitive of `unvmap_any`."""
unvmap_max_p = _make("unvmap_max", jnp.max)
"""The primitive of `unvmap_max`."""
