"""What this processor can do, or the one that `XLA_FLAGS=--xla_cpu_max_isa=...` lets XLA see."""

import functools

import jax
import jax.numpy as jnp


@functools.cache
def compiles_float16() -> bool:
    """Whether XLA compiles float16 and float8: before F16C, as with SSE4_2, it cannot."""
    try:
        jax.block_until_ready(jax.jit(lambda x: x + x)(jnp.ones(2, "float16")))
    except jax.errors.JaxRuntimeError:
        return False
    return True


def lacks_float16(error: BaseException | None) -> bool:
    """Whether the error, or one on the way to it, is that XLA cannot compile float16 here."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(lacks_float16, error.exceptions))
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if "Failed to materialize symbols" in str(error):
            return not compiles_float16()
        error = error.__cause__ or error.__context__
    return False
