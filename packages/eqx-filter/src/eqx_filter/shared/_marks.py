"""The primitive that marks arrays in a program by a label: it passes them on.

`mark_p.bind(*arrays, label=)` gives `arrays`. Only what reads programs puts it there, and takes it
out again (`inspecting`); where one is left it does nothing. Its place in a batch is the first axis.
"""

import contextvars
from typing import Any

import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

from ._jax import Jaxpr, Primitive
from ._jaxprs import inner_jaxprs

mark_p = Primitive("mark")
mark_p.multiple_results = True

calls: contextvars.ContextVar[tuple[set[str], ...]] = contextvars.ContextVar("calls", default=())
"""For each call that is being traced and marks, the outermost first, the paths of what was called.

What a function calls that JAX traced before is not among them.
"""


def is_being_marked() -> bool:
    """Whether a call is being traced that marks."""
    return bool(calls.get())


def is_marked(jaxpr: Jaxpr) -> bool:
    """Whether there is a mark in a program, or in any program inside."""
    return any(
        equation.primitive is mark_p or any(map(is_marked, inner_jaxprs(equation.params.values())))
        for equation in jaxpr.eqns
    )


def _batch(operands: Any, axes: Any, *, label: Any) -> Any:
    moved = [
        jnp.moveaxis(x, axis, 0) if axis else x for x, axis in zip(operands, axes, strict=True)
    ]
    return mark_p.bind(*moved, label=label), [None if axis is None else 0 for axis in axes]


def _differentiate(primals: Any, tangents: Any, *, label: Any) -> Any:
    """Mark the value alone, and no tangent."""
    return mark_p.bind(*primals, label=label), list(tangents)


mark_p.def_impl(lambda *arrays, label: list(arrays))
mark_p.def_abstract_eval(lambda *arrays, label: list(arrays))
batching.primitive_batchers[mark_p] = _batch
ad.primitive_jvps[mark_p] = _differentiate
ad.primitive_transposes[mark_p] = lambda cotangents, *arrays, label: list(cotangents)
mlir.register_lowering(mark_p, lambda context, *arrays, label: list(arrays))
