"""`select_if_vmap`: the new value, or under `vmap` that of each member which is still at it.

In a loop that is not batched every step that is taken counts, so nothing need be selected. Under
`vmap` the loop goes on until all members are done, and those that are done must stay as they are.
"""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad, batching, mlir

from ..rules._finalise import register_impl_finalisation
from ..shared._jax import Primitive, resized_aval, vary_alike, zero_tangent
from ..shared._predicates import is_inexact


def select_if_vmap(pred: Any, new: Any, old: Any) -> jax.Array:
    """Return `new`; under a `vmap` that maps `pred`, `old` where it is False.

    `pred` has shape `()`; `new` and `old` have one shape and dtype.
    """
    return select_if_vmap_p.bind(*vary_alike(pred, new, old))


select_if_vmap_p = Primitive("select_if_vmap")
"""The primitive that is `new`, and under `vmap` over the predicate `where(pred, new, old)`."""


@select_if_vmap_p.def_impl
def _impl(pred: Any, new: Any, old: Any) -> Any:
    return new


@select_if_vmap_p.def_abstract_eval
def _abstract_eval(pred: Any, new: Any, old: Any) -> Any:
    return resized_aval(new, new.shape, weak_type=new.weak_type and old.weak_type)


def _jvp(primals: Any, tangents: Any) -> Any:
    pred, new, old = primals
    _, by_new, by_old = tangents
    out = select_if_vmap(pred, new, old)
    moves = any(type(tangent) is not ad.Zero for tangent in (by_new, by_old))
    if not moves or not is_inexact(out.dtype):
        return out, zero_tangent(out)
    by_new, by_old = ad.instantiate_zeros(by_new), ad.instantiate_zeros(by_old)
    return out, select_if_vmap(pred, by_new, by_old)


def _transpose(ct: Any, pred: Any, new: Any, old: Any) -> Any:
    if type(ct) is ad.Zero:
        return None, None, None
    zeros = jnp.zeros_like(ct)
    of_new = select_if_vmap(pred, ct, zeros) if ad.is_undefined_primal(new) else None
    of_old = select_if_vmap(pred, zeros, ct) if ad.is_undefined_primal(old) else None
    return None, of_new, of_old


def _batch(operands: Any, axes: Any) -> Any:
    size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
    if axes[0] is None:
        new, old = (
            batching.bdim_at_front(x, a, size) for x, a in zip(operands[1:], axes[1:], strict=True)
        )
        return select_if_vmap(operands[0], new, old), 0
    return jax.vmap(lax.select, axes, axis_size=size)(*operands), 0


ad.primitive_jvps[select_if_vmap_p] = _jvp
ad.primitive_transposes[select_if_vmap_p] = _transpose
batching.primitive_batchers[select_if_vmap_p] = _batch
mlir.register_lowering(select_if_vmap_p, mlir.lower_fun(_impl, multiple_results=False))
register_impl_finalisation(select_if_vmap_p)
