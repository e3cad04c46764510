"""The primitive behind a check: it passes arrays on, and raises if a condition holds.

`check_p.bind(failed, index, *arrays, check=, compiled_only=)` gives `arrays`. `failed` (bool) and
`index` (int32) have one shape: an axis for each `vmap` outside, the outermost first. It raises
where `failed` is true in any place; `check.messages[index]` is what is said of it. With
`compiled_only` it does so in compiled programs alone.

In a compiled program the arrays go through a branch, of which the other side calls back to the
host, and that ends the program. A check none of whose arrays is used is removed with them. If it
runs on several devices, one that ends while the others wait for it would hang them all: there the
failure is recorded, the arrays become NaN or zero, and `filter_jit` raises when it is done. Where
these are of several processes, the callback may run in one of them alone, so they tell one another.
Under plain `jax.jit` nobody would raise it, so it is printed.

What is lowered is one inner program for all checks of arrays of the same shapes and dtypes, traced
once. A check is a number to it, by which the host finds the rest.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad, batching, mlir

from ..shared._jax import Jaxpr, Primitive, device_count, keep_alive
from ..shared._jaxprs import inner_jaxprs
from ..shared._predicates import is_inexact
from ._report import Check, fail, failure, print_failure, record
from ._stack import called_by_filter_jit

check_p = Primitive("check")
check_p.multiple_results = True


def checks_in(jaxpr: Jaxpr) -> frozenset[Check]:
    """The checks in a program, and in any program inside."""
    found: set[Check] = set()
    seen: set[int] = set()
    waiting = [jaxpr]
    while waiting:
        for equation in waiting.pop().eqns:
            if equation.primitive is check_p:
                found.add(equation.params["check"])
            for inner in inner_jaxprs(equation.params.values()):
                if id(inner) not in seen:
                    seen.add(id(inner))
                    waiting.append(inner)
    return frozenset(found)


def _run(failed: Any, index: Any, *arrays: Any, check: Check, compiled_only: bool) -> Any:
    """Check outside of a compiled program."""
    if not compiled_only and np.any(np.asarray(failed)):
        raise failure(check, np.asarray(failed), np.asarray(index))
    return list(arrays)


def _lower(context: Any, *operands: Any, check: Check, compiled_only: bool) -> Any:
    report = fail
    if device_count(context) > 1:
        report = record if called_by_filter_jit() else print_failure
    check.records = check.records or report is record
    keep_alive(context, check)
    compiled = functools.partial(_compiled, np.int32(check.number), report)
    return mlir.lower_fun(compiled, multiple_results=True)(context, *operands)


@functools.partial(jax.jit, static_argnums=1)
def _compiled(number: Any, report: Any, failed: Any, index: Any, *arrays: Any) -> Any:
    """Check inside of a compiled program."""
    answer = jax.ShapeDtypeStruct((), np.float32), jax.ShapeDtypeStruct((), np.int32)

    def stop(arrays: list[jax.Array]) -> list[jax.Array]:
        inexact, integer = jax.pure_callback(report, answer, number, failed, index)
        return [filled(array, inexact, integer) for array in arrays]

    return jax.lax.cond(jnp.any(failed), stop, lambda arrays: arrays, list(arrays))


def filled(array: jax.Array, inexact: jax.Array, integer: jax.Array) -> jax.Array:
    """What the host answered, in the place of an array.

    The compiler cannot know it. Of a constant it might find that the array is the same, and then
    nothing would depend on the check.
    """
    if array.dtype == jax.dtypes.float0:
        return array
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = filled(jax.random.key_data(array), inexact, integer)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    value = inexact if is_inexact(array.dtype) else integer
    # The host answers 0; said like this, it varies over the axes of `shard_map` as the array does.
    return jnp.where(integer != 0, array, value.astype(array.dtype))


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
