"""`check_layer`: the laws of layers, each a function of one `Case`, run in turn.

A check raises `AssertionError`, or whatever the layer raises; what all found is told at once.
"""

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import eqx_filter as eqx

from ._case import Case, agree, floating, same

_Call = Callable[..., Any]


def check_layer(
    layer: _Call,
    *inputs: Any,
    key: PRNGKeyArray | None = None,
    call: _Call | None = None,
    leave_out: Iterable[str] = (),
    rtol: float = 1e-3,
) -> None:
    """Check what holds for every layer, for this one and these inputs.

    | check | what must hold |
    |---|---|
    | `"repeat"` | a second call gives the same, and leaves no tracer behind |
    | `"jit"` | `filter_jit` of the layer gives what the layer gives |
    | `"vmap"` | `jax.vmap` over a batch of inputs gives what a call for each gives |
    | `"scan"` | `jax.lax.scan` over it does too |
    | `"gradient"` | forward mode, reverse mode and central differences agree in one direction |
    | `"dtypes"` | layer and inputs in float16 or bfloat16 give floating outputs of that dtype |
    | `"promotion"` | nothing is promoted silently: `jax.numpy_dtype_promotion("strict")` |
    | `"flatten"` | taken apart and put together it is the same |
    | `"save"` | written by `tree_serialise_leaves` and read back it is the same |
    | `"pickle"` | pickled and read back it is the same |
    | `"sharding"` | with a batch spread over all devices it gives what it gives on one |

    **Arguments:**

    - `layer`: a Module, or any callable PyTree.
    - `inputs`: for one example: any PyTrees, with arrays of any shapes and dtypes.
    - `key`: passed on as `key=` where it is given; the same for each call.
    - `call`: how the layer is called, `call(layer, *inputs)`; by default `layer(*inputs)`. For a
        layer with a state: `lambda layer, x: layer(x, state)[0]`.
    - `leave_out`: names of checks that need not hold.
    - `rtol`: how far two ways to compute the same may differ, as a multiple of the greatest
        absolute value. Gradients may differ from central differences by ten times that.

    **Returns:** nothing.

    **Raises:** `AssertionError` that has a line for each check that failed, with the path of what
    differs; `ValueError` for a name in `leave_out` that is no check; what the layer itself raises.
    """
    leave_out = set(leave_out)
    unknown = sorted(leave_out - CHECKS.keys())
    if unknown:
        message = f"`leave_out` names {unknown}, and the checks are {list(CHECKS)}."
        raise ValueError(message)
    case = Case(layer, inputs, key, call, rtol)
    case.expected  # noqa: B018 - what the layer raises by itself is no failed check
    failures = []
    for name in [it for it in CHECKS if it not in leave_out]:
        try:
            CHECKS[name](case)
        except Exception as error:
            kind = "" if type(error) is AssertionError else f"{type(error).__name__}: "
            failures.append(f"`{name}`: {kind}{error}")
    if failures:
        told = "\n".join(failures)
        message = f"`{type(layer).__name__}` fails {len(failures)} of its checks.\n{told}"
        raise AssertionError(message)


def _repeat(case: Case) -> None:
    with jax.checking_leaks():
        agree("a second call", case(), "the first", case.expected, rtol=0)


def _jit(case: Case) -> None:
    out = case.compiled(case.layer, *case.inputs)
    agree("`filter_jit`", out, "a call", case.expected, case.rtol)


def _vmap(case: Case) -> None:
    out = jax.jit(case.mapped)(case.batch)
    agree("`jax.vmap`", out, "a call for each", case.for_each, case.rtol)


def _scan(case: Case) -> None:
    def step(carry: None, inputs: Any) -> tuple[None, Any]:
        return carry, case(*case.whole(inputs))

    _, out = jax.lax.scan(step, None, case.batch)
    agree("`jax.lax.scan`", out, "a call for each", case.for_each, case.rtol)


def _gradient(case: Case) -> None:
    floats, rest = eqx.partition((case.layer, case.inputs), eqx.is_inexact_array)

    @jax.jit
    def outputs(floats: Any) -> Any:
        layer, inputs = eqx.combine(floats, rest)
        return floating(case.call(layer, *inputs))

    direction, weights = case.direction(floats), case.direction(jax.eval_shape(outputs, floats))
    out, tangents = jax.jit(lambda at, along: jax.jvp(outputs, (at,), (along,)))(floats, direction)
    (cotangents,) = jax.jit(lambda at, of: jax.vjp(outputs, at)[1](of))(floats, weights)
    forward, backward = _dot(weights, tangents), _dot(direction, cotangents)
    scale = _length(weights) * _length(tangents) + 1e-6
    _near("reverse mode", backward, "forward mode", forward, case.rtol * scale)
    step = 1e-5 if all(it.dtype.itemsize >= 8 for it in jax.tree.leaves(out)) else 1e-2
    ahead, behind = (outputs(_moved(floats, direction, it)) for it in (step, -step))
    differences = jax.tree.map(lambda a, b: (a - b) / (2 * step), ahead, behind)
    difference = _dot(weights, differences)
    _near("the gradient", forward, "a central difference", difference, 10 * case.rtol * scale)


def _moved(tree: Any, direction: Any, by: float) -> Any:
    return jax.tree.map(lambda x, d: x + jnp.asarray(by, x.dtype) * d, tree, direction)


def _dot(xs: Any, ys: Any) -> complex:
    """Give the sum of products, in double precision."""
    pairs = zip(jax.tree.leaves(xs), jax.tree.leaves(ys), strict=True)
    return sum((np.sum(np.asarray(x, complex) * np.asarray(y, complex)) for x, y in pairs), 0j)


def _length(tree: Any) -> float:
    return sum(np.sum(np.abs(np.asarray(x, complex)) ** 2) for x in jax.tree.leaves(tree)) ** 0.5


def _near(ours: str, x: complex, theirs: str, y: complex, tolerance: float) -> None:
    if not abs(x - y) <= tolerance:
        message = f"{ours} has {x:.6g} along a random direction, {theirs} {y:.6g}."
        raise AssertionError(message)


def _dtypes(case: Case) -> None:
    for dtype in (jnp.bfloat16, jnp.float16):
        out = jax.eval_shape(case.of_arrays, *case.cast(dtype))
        for path, leaf in jax.tree_util.tree_leaves_with_path(floating(out)):
            if leaf.dtype != dtype:
                where = jax.tree_util.keystr(path)
                message = f"of {jnp.dtype(dtype)}, `out{where}` has dtype {leaf.dtype}."
                raise AssertionError(message)


def _promotion(case: Case) -> None:
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(case.of_arrays, *case.arrays)


def _flatten(case: Case) -> None:
    leaves, structure = jax.tree.flatten(case.layer)
    again = structure.unflatten(leaves)
    same("taken apart and put together", again, case.layer)
    if jax.tree.structure(again) != structure:
        message = "put together again, the layer has another structure than it had."
        raise AssertionError(message)


def _save(case: Case) -> None:
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, case.layer)
    file.seek(0)
    same("saved and loaded", eqx.tree_deserialise_leaves(file, case.layer), case.layer)


def _pickle(case: Case) -> None:
    same("pickled and read back", pickle.loads(pickle.dumps(case.layer)), case.layer)


def _sharding(case: Case) -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    batch = [jax.device_put(jnp.repeat(it, mesh.size, axis=0), spread) for it in case.batch]
    out = jax.jit(case.mapped)(batch)
    expected = jax.tree.map(lambda it: jnp.repeat(it, mesh.size, axis=0), case.for_each)
    agree(f"a batch over {mesh.size} devices", out, "a call for each", expected, case.rtol)


CHECKS: dict[str, Callable[[Case], None]] = {
    "repeat": _repeat,
    "jit": _jit,
    "vmap": _vmap,
    "scan": _scan,
    "gradient": _gradient,
    "dtypes": _dtypes,
    "promotion": _promotion,
    "flatten": _flatten,
    "save": _save,
    "pickle": _pickle,
    "sharding": _sharding,
}
"""All checks, by name."""
