"""`clear_caches`: forget what was compiled."""

import jax

from ._abstract import forget_shapes


def clear_caches() -> None:
    """Forget every compiled program and every trace, JAX's own included.

    The next call of each function traces and compiles it again. What is kept with a function goes
    with it in any case; this is for a process that has compiled a great deal, such as a test run.
    """
    jax.clear_caches()
    forget_shapes()
