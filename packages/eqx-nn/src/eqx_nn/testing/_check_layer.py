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

from ._case import Case, agree, same
from ._gradient import check_gradient

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
    | `"repeat"` | a second call gives the same, and tracing it leaves no tracer behind |
    | `"jit"` | `filter_jit` of the layer gives what the layer gives |
    | `"vmap"` | `jax.vmap` over a batch of inputs gives what a call for each gives |
    | `"scan"` | `jax.lax.scan` over it does too |
    | `"gradient"` | forward and reverse mode, where there are, agree with central differences |
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
        layer with a state, of which each call needs a copy:
        `lambda layer, x: layer(x, jax.tree.map(jnp.asarray, state))[0]`.
    - `leave_out`: names of checks that need not hold.
    - `rtol`: how far two ways to compute the same may differ, as a multiple of the greatest
        finite absolute value. Integers, booleans and keys must be equal.

    Gradients are compared in double precision, leaf by leaf in a random direction. Where the two
    one-sided differences disagree there is a kink, and nothing is compared. A layer that stops
    gradients, or rounds, has a gradient that is not its slope: leave that check out. A batch has
    the inputs, scaled and shifted: they should lie within the layer's domain.

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
    agree("a second call", case(), "the first", case.expected, rtol=0)
    with jax.checking_leaks():
        jax.make_jaxpr(case.of_arrays)(*case.arrays)


def _jit(case: Case) -> None:
    out = case.compiled(case.layer, *case.inputs)
    agree("`filter_jit`", out, "a call", case.expected, case.rtol)


def _vmap(case: Case) -> None:
    if not case.batch():
        return
    out = jax.jit(case.mapped)(case.batch())
    agree("`jax.vmap`", out, "a call for each", case.for_each(), case.rtol)


def _scan(case: Case) -> None:
    def step(carry: None, inputs: Any) -> tuple[None, Any]:
        return carry, case(*case.whole(inputs))

    if not case.batch():
        return
    _, out = jax.lax.scan(step, None, case.batch())
    agree("`jax.lax.scan`", out, "a call for each", case.for_each(), case.rtol)


def _dtypes(case: Case) -> None:
    if not any(map(_is_real, jax.tree.leaves(case.arrays))):
        return
    for dtype in (jnp.bfloat16, jnp.float16):
        out = jax.eval_shape(case.of_arrays, *case.cast(dtype))
        for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(out, _is_real)):
            if leaf.dtype != dtype:
                where = jax.tree_util.keystr(path)
                message = f"of {jnp.dtype(dtype)}, `out{where}` has dtype {leaf.dtype}."
                raise AssertionError(message)


def _is_real(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


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
    if not case.batch():
        return
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    batch = jax.device_put(case.batch(mesh.size), spread)
    out, expected = jax.jit(case.mapped)(batch), case.for_each(mesh.size)
    agree(f"a batch over {mesh.size} devices", out, "a call for each", expected, case.rtol)


CHECKS: dict[str, Callable[[Case], None]] = {
    "repeat": _repeat,
    "jit": _jit,
    "vmap": _vmap,
    "scan": _scan,
    "gradient": check_gradient,
    "dtypes": _dtypes,
    "promotion": _promotion,
    "flatten": _flatten,
    "save": _save,
    "pickle": _pickle,
    "sharding": _sharding,
}
"""All checks, by name."""
