"""The primitive behind a check: it passes arrays on, and raises if a condition holds.

`check_p.bind(failed, index, *arrays, **params)` gives `arrays`. `failed` (bool) and `index`
(int32) have one shape: an axis for each `vmap` outside, the outermost first. It raises where
`failed` is true in any place; `messages[index]` is what is said of it. With `compiled_only` it does
so in compiled programs alone.

In a compiled program the arrays depend on the check by a select, which fuses with whatever follows;
a check none of whose arrays is used is removed with them. The program calls back to the host where
the check failed, and that ends it. If it runs on several devices, one that ends while the others
wait for it would hang them all: there the failure is recorded, the arrays become NaN or zero, and
`filter_jit` raises when the program is done.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive
from jax.interpreters import ad, batching, mlir

from .._jax import device_count
from .._predicates import is_inexact
from ._report import fail, failure, record
from ._stack import Stack, called_by_filter_jit

check_p = Primitive("check")
check_p.multiple_results = True


def checks_in(jaxpr: Jaxpr) -> frozenset[Stack]:
    """The checks in a program, and in any program inside."""
    found: set[Stack] = set()
    seen: set[int] = set()
    waiting = [jaxpr]
    while waiting:
        for equation in waiting.pop().eqns:
            if equation.primitive is check_p:
                found.add(equation.params["stack"])
            for inner in _inside(equation.params.values()):
                if id(inner) not in seen:
                    seen.add(id(inner))
                    waiting.append(inner)
    return frozenset(found)


def _inside(values: Any) -> list[Jaxpr]:
    found: list[Jaxpr] = []
    for value in values:
        if isinstance(value, ClosedJaxpr):
            found.append(value.jaxpr)
        elif isinstance(value, Jaxpr):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _inside(value)
    return found


def _run(
    failed: Any,
    index: Any,
    *arrays: Any,
    messages: Sequence[str],
    stack: Stack,
    compiled_only: bool,
) -> Any:
    """Check outside of a compiled program."""
    if not compiled_only and np.any(np.asarray(failed)):
        raise failure(np.asarray(failed), np.asarray(index), messages, stack)
    return list(arrays)


def _lower(context: Any, *operands: Any, **params: Any) -> Any:
    stack = params["stack"]
    records = device_count(context) > 1 and called_by_filter_jit()
    stack.records = stack.records or records
    report = record if records else fail
    compiled = functools.partial(_compiled, report=report)
    return mlir.lower_fun(compiled, multiple_results=True)(context, *operands, **params)


def _compiled(
    failed: Any,
    index: Any,
    *arrays: Any,
    report: Callable[..., Any],
    messages: Sequence[str],
    stack: Stack,
    compiled_only: bool,
) -> Any:
    """Check inside of a compiled program."""

    def on_host(failed: Any, index: Any) -> Any:
        return report(np.asarray(failed), np.asarray(index), messages, stack)

    def call() -> tuple[jax.Array, ...]:
        answer = [jax.ShapeDtypeStruct((), kind) for kind in (np.bool_, np.float32, np.int32)]
        return tuple(jax.pure_callback(on_host, answer, failed, index))

    def go_on() -> tuple[jax.Array, ...]:
        return jnp.array(True), jnp.float32(0), jnp.int32(0)

    answer = jax.lax.cond(jnp.any(failed), call, go_on)
    return [_depending(answer, array) for array in arrays]


def _depending(answer: tuple[jax.Array, ...], array: jax.Array) -> jax.Array:
    """The array, if the check passed, and else what the host answered.

    The compiler knows neither. Of constants in its place one might be the array, and then nothing
    would depend on the check.
    """
    passed, inexact, integer = answer
    if array.dtype == jax.dtypes.float0:
        return array
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _depending(answer, jax.random.key_data(array))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    other = inexact if is_inexact(array.dtype) else integer
    return jnp.where(passed, array, other.astype(array.dtype))


def _batch(operands: Any, axes: Any, **params: Any) -> Any:
    failed, index, *arrays = operands
    failed_axis, index_axis, *array_axes = axes
    if failed_axis is None and index_axis is None:
        return check_p.bind(*operands, **params), array_axes
    pairs = (failed, failed_axis), (index, index_axis)
    [size] = {x.shape[axis] for x, axis in pairs if axis is not None}
    failed, index = (
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in pairs
    )
    return check_p.bind(failed, index, *arrays, **params), array_axes


def _differentiate(primals: Any, tangents: Any, **params: Any) -> Any:
    return check_p.bind(*primals, **params), list(tangents[2:])


def _transpose(cotangents: Any, failed: Any, index: Any, *arrays: Any, **params: Any) -> Any:
    linear = [ad.is_undefined_primal(array) for array in arrays]
    out = [ct if is_linear else None for ct, is_linear in zip(cotangents, linear, strict=True)]
    places = [i for i, ct in enumerate(out) if ct is not None and type(ct) is not ad.Zero]
    checked = check_p.bind(failed, index, *[out[i] for i in places], **params)
    for place, cotangent in zip(places, checked, strict=True):
        out[place] = cotangent
    return [None, None, *out]


check_p.def_impl(_run)
check_p.def_abstract_eval(lambda failed, index, *arrays, **params: list(arrays))
batching.primitive_batchers[check_p] = _batch
ad.primitive_jvps[check_p] = _differentiate
ad.primitive_transposes[check_p] = _transpose
mlir.register_lowering(check_p, _lower)
