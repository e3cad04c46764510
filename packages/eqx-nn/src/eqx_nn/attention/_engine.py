"""Which way attention is computed: by the plain formula, block by block, or by cuDNN.

Arrays are as users have them here: `(length, heads, size)`.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._blockwise import blockwise
from ._checks import axis_index
from ._plain import plain
from ._request import Extras, Implementation, Request

LONG, LONG_IN_PART = 1024 * 1024, 512 * 512
"""Pairs of a query and a key from which on attention goes block by block: where all blocks are
seen, and where some are skipped."""


def attend(
    function: str,
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Any = None,
    bias: Any = None,
    is_causal: bool = False,
    window: Any = None,
    segment_ids: Any = None,
    length: Any = None,
    offset: Any = None,
    scale: float | None = None,
    softcap: float | None = None,
    dropout: tuple[Any, Any] | None = None,
    implementation: Implementation = None,
    kv_first: bool = False,
    axis: str | None = None,
) -> Array:
    """Attend from `(q_length, heads, size)` to `(kv_length, kv_heads, size)`.

    With `kv_first` keys and values have their heads first. `dropout` is a rate and a PRNG key. With
    an `axis`, these are parts of sequences that are split over it. The result has shape
    `(q_length, heads, v_size)`.
    **Raises** `ValueError` by argument.
    """
    of_heads = 0 if kv_first else 1
    _check_heads(function, query, key, value, of_heads)
    lengths = query.shape[0], key.shape[1 - of_heads]
    shape = query.shape[1], *lengths
    mask, bias = (
        _of_heads(function, name, x, shape) for name, x in (("mask", mask), ("bias", bias))
    )
    q_segments, kv_segments = _segments(function, segment_ids, *lengths)
    reach = _window(function, window, is_causal)
    offset, length = (
        _place(function, name, it) for name, it in (("offset", offset), ("length", length))
    )
    if length is not None:  # whatever stands in the padding, NaN too, has no part in results
        there = jnp.arange(lengths[1]) < length
        there = jnp.expand_dims(there, (0, 2) if kv_first else (1, 2))
        key, value = (jnp.where(there, x, jnp.zeros_like(x)) for x in (key, value))
    rate, prng_key = (None, None) if dropout is None else dropout
    extras = Extras(
        bias=bias,
        mask=None if mask is None else mask.astype(bool),
        q_segments=q_segments,
        kv_segments=kv_segments,
        offset=offset,
        length=length,
        key=None if prng_key is None else _key_data(prng_key),
        rate=None if rate is None else jnp.asarray(rate, jnp.float32),
    )
    request = Request(
        scale=1 / math.sqrt(query.shape[2] or 1)
        if scale is None
        else _number(function, "scale", scale),
        is_causal=bool(is_causal),
        window=reach,
        softcap=0.0 if softcap is None else _softcap(function, softcap),
        dropout=dropout is not None,
    )
    if axis is not None:
        axis_index(function, axis)
        others = {"cache": kv_first or None, "implementation": implementation}
        _check_ring(function, axis, others | extras._asdict(), request, *lengths)
        return _by_ring(query, key, value, extras, request, axis)
    _check_contradiction(function, extras.mask, request, *lengths)
    way = _chosen(function, implementation, (query, key, value), extras, request, *lengths)
    return _attended(query, key, value, extras, request, way, kv_first)


@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _attended(
    query: Array,
    key: Array,
    value: Array,
    extras: Extras,
    request: Request,
    way: str,
    kv_first: bool,
) -> Array:
    other = kv_first == (way == "cudnn")  # whether keys and values must change their axes
    key, value = (jnp.swapaxes(x, 0, 1) if other else x for x in (key, value))
    if way == "cudnn":
        return _by_cudnn(query, key, value, extras, request)
    compute = blockwise if way == "blockwise" else plain
    return jnp.swapaxes(compute(jnp.swapaxes(query, 0, 1), key, value, extras, request), 0, 1)


def _by_cudnn(query: Array, key: Array, value: Array, extras: Extras, request: Request) -> Array:
    left, right = request.window
    window = None if request.window == (None, None) else (left, right)
    return jax.nn.dot_product_attention(
        query[None],
        key[None],
        value[None],
        bias=None if extras.bias is None else extras.bias[None],
        scale=request.scale,
        is_causal=request.is_causal,
        local_window_size=window,  # type: ignore[arg-type]
        implementation="cudnn",
    )[0]


def _by_ring(
    query: Array, key: Array, value: Array, extras: Extras, request: Request, axis: str
) -> Array:
    from ._rounds import ring

    q, k, v = (jnp.swapaxes(x, 0, 1) for x in (query, key, value))
    return jnp.swapaxes(ring(q, k, v, extras, request, axis), 0, 1)


def _check_ring(
    function: str, axis: Any, given: dict[str, Any], request: Request, q_length: int, kv_length: int
) -> None:
    """Refuse what parts of a sequence cannot be asked for."""
    kinds = ("cache", "implementation", "mask", "bias", "length", "offset", "dropout")
    given = given | {"dropout": request.dropout or None}
    told = next((name for name in kinds if given[name] is not None), None)
    if told is not None:
        message = (
            f"`{function}` takes no `{told}` where sequences are split over `{axis}`, as no device "
            "has all keys. `is_causal`, `window` and `segment_ids` say what a query sees."
        )
        raise ValueError(message)
    is_placed = request.reach() != (None, None) or given["q_segments"] is not None
    if is_placed and q_length != kv_length:
        message = (
            f"`{function}` expects parts of equal length where `is_causal`, `window` or "
            f"`segment_ids` are given and sequences are split over `{axis}`; got {q_length} "
            f"queries and {kv_length} keys."
        )
        raise ValueError(message)


def _chosen(
    function: str,
    implementation: Implementation,
    arrays: tuple[Array, ...],
    extras: Extras,
    request: Request,
    q_length: int,
    kv_length: int,
) -> str:
    """The way to compute: the one that is forced, or the one that serves best."""
    reasons = {
        "plain": None,
        "blockwise": _not_blockwise(arrays),
        "cudnn": _not_cudnn(arrays, extras, request),
    }
    if implementation is not None:
        if implementation not in reasons:
            told = ", ".join(f'"{name}"' for name in reasons)
            message = f"`implementation` of `{function}` is one of {told}; got {implementation!r}."
            raise ValueError(message)
        if reasons[implementation] is not None:
            message = (
                f'`{function}` cannot be computed with `implementation="{implementation}"`: '
                f"{reasons[implementation]}. Leave it out, or pass another one."
            )
            raise ValueError(message)
        return implementation
    if reasons["cudnn"] is None:
        return "cudnn"
    is_long = q_length * kv_length >= (LONG if request.reach() == (None, None) else LONG_IN_PART)
    return "blockwise" if is_long and reasons["blockwise"] is None else "plain"


def _not_blockwise(arrays: tuple[Array, ...]) -> str | None:
    if any(jnp.iscomplexobj(x) for x in arrays):
        return "complex numbers have no largest score"
    if not all(x.size for x in arrays):
        return "an array without elements has no blocks"
    return None


def _not_cudnn(arrays: tuple[Array, ...], extras: Extras, request: Request) -> str | None:
    if jax.default_backend() != "gpu":
        return "cuDNN is for NVIDIA's GPUs, and JAX runs on another device"
    if any(x.dtype not in (jnp.float16, jnp.bfloat16) for x in arrays):
        return "cuDNN takes float16 and bfloat16"
    others = extras._replace(bias=None)
    if any(it is not None for it in others) or request.softcap:
        return "cuDNN is used for causal attention, windows and biases alone"
    if request.window[1] not in (None, 0) or (
        request.window[0] is not None and not request.is_causal
    ):
        return "cuDNN takes windows that look back alone"
    return None


def _check_heads(function: str, query: Array, key: Array, value: Array, axis: int) -> None:
    heads, kv_heads = query.shape[1], key.shape[axis]
    if value.shape[axis] != kv_heads or not kv_heads or heads % kv_heads:
        message = (
            f"`{function}` expects as many heads in `key_` and `value`, and a multiple of that in "
            f"`query`; got {heads}, {kv_heads} and {value.shape[axis]} heads, of shapes "
            f"{query.shape}, {key.shape} and {value.shape}."
        )
        raise ValueError(message)


def _of_heads(function: str, name: str, x: Any, shape: tuple[int, int, int]) -> Any:
    """A mask or a bias with an axis of heads, which it may be the same along."""
    if x is None:
        return None
    x = jnp.asarray(x)
    given = (1, *x.shape) if x.ndim == 2 else x.shape
    fits = x.ndim in (2, 3) and all(n in (1, m) for n, m in zip(given, shape, strict=True))
    if not fits:
        message = (
            f"`{function}` expects a `{name}` that broadcasts to (heads, q_length, kv_length) = "
            f"{shape}, got shape {x.shape}."
        )
        raise ValueError(message)
    return jnp.reshape(x, given)


def _segments(function: str, segment_ids: Any, q_length: int, kv_length: int) -> tuple[Any, Any]:
    if segment_ids is None:
        return None, None
    of_both = segment_ids if isinstance(segment_ids, tuple) else (segment_ids, segment_ids)
    found = tuple(map(jnp.asarray, of_both))
    shapes = tuple(x.shape for x in found)
    if shapes != ((q_length,), (kv_length,)):
        message = (
            f"`{function}` expects as `segment_ids` a number for each place, or a pair of those of "
            f"queries and keys, of shapes ({q_length},) and ({kv_length},); got {shapes}."
        )
        raise ValueError(message)
    return found


def _place(function: str, name: str, x: Any) -> Array | None:
    """An offset or a length, as an array."""
    if x is None:
        return None
    x = jnp.asarray(x)
    if x.shape != () or not jnp.issubdtype(x.dtype, jnp.integer):
        message = (
            f"`{function}` expects as `{name}` an integer of shape (), got `{x.dtype}` of shape "
            f"{x.shape}. For a batch, each of whose members has its own, use `jax.vmap`."
        )
        raise ValueError(message)
    return x


def _number(function: str, name: str, x: Any) -> float:
    if isinstance(x, jax.core.Tracer):
        message = (
            f"`{function}` was given a `{name}` that is traced; it is a number that is known while "
            "tracing. Multiply the queries by what is learned or computed."
        )
        raise TypeError(message)
    return float(x)


def _softcap(function: str, softcap: Any) -> float:
    cap = _number(function, "softcap", softcap)
    if cap < 0:
        message = f"`{function}` expects a `softcap` from 0 on, 0 for none; got {cap}."
        raise ValueError(message)
    return cap


def _window(function: str, window: Any, is_causal: bool) -> tuple[int | None, int | None]:
    if window is None:
        return None, None
    sides = tuple(window) if isinstance(window, (tuple, list)) else (window, window)
    is_good = len(sides) == 2 and all(
        it is None or (isinstance(it, (int, np.integer)) and not isinstance(it, bool) and it >= 0)
        for it in sides
    )
    if not is_good:
        message = (
            f"`{function}` expects as `window` how many keys before and after its own place a "
            f"query sees, two numbers from 0 on or None for all; got {window!r}."
        )
        raise ValueError(message)
    left, right = (None if it is None else int(it) for it in sides)
    if is_causal and right is not None and right > 0 and isinstance(window, (tuple, list)):
        message = (
            f"`{function}` was given `is_causal=True` and a `window` of {window!r}, which lets a "
            f"query see {right} keys after its own. Pass ({left}, 0)."
        )
        raise ValueError(message)
    return left, 0 if is_causal and right is not None else right


def _check_contradiction(
    function: str, mask: Any, request: Request, q_length: int, kv_length: int
) -> None:
    """Refuse a mask at hand that leaves a query nothing of what causality does."""
    if mask is None or not request.is_causal or isinstance(mask, jax.core.Tracer):
        return
    seen = np.asarray(mask)
    allowed = seen & np.tri(q_length, kv_length, dtype=bool)
    lost = seen.any(-1) & ~allowed.any(-1)
    if lost.any():
        head, row = (int(it[0]) for it in np.nonzero(lost))
        message = (
            f"`{function}` was given `is_causal=True` and a `mask` that contradict: in head "
            f"{head}, query {row} may see only keys after its own by the mask, and only keys up to "
            "it as causal attention has it. Pass one of them."
        )
        raise ValueError(message)


def _key_data(key: Any) -> Array:
    is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if is_typed else key
