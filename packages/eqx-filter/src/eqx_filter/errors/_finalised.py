"""A check by operations of JAX alone, for programs that exporters read."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..rules._finalise import primitive_finalisations
from ._primitive import check_p, filled
from ._report import Check, failure


def _finalise(failed: Any, index: Any, *arrays: Any, check: Check, compiled_only: bool) -> Any:
    """A check by operations of JAX: a branch with a callback, which holds the check."""
    if not any(isinstance(x, Tracer) for x in (failed, index, *arrays)):
        return check_p.bind(failed, index, *arrays, check=check, compiled_only=compiled_only)

    def report(failed: Any, index: Any) -> Any:  # a batch comes here in any case
        if np.any(failed):
            raise failure(check, np.asarray(failed), np.asarray(index))
        batch = failed.shape[: np.ndim(failed) - axes]
        return np.ones(batch, np.float32), np.ones(batch, np.int32)

    axes = jnp.ndim(failed)

    def stop(arrays: list[Any]) -> list[Any]:
        answer = jax.ShapeDtypeStruct((), np.float32), jax.ShapeDtypeStruct((), np.int32)
        inexact, integer = jax.pure_callback(
            report, answer, failed, index, vmap_method="broadcast_all"
        )
        return [filled(array, inexact, integer) for array in arrays]

    return jax.lax.cond(jnp.any(failed), stop, lambda arrays: arrays, list(arrays))


primitive_finalisations[check_p] = _finalise
