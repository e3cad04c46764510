"""The plain formula of attention, for any request: all weights at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._request import Block, Extras, Request, kept, scores, visible


def plain(q: Array, k: Array, v: Array, extras: Extras, request: Request) -> Array:
    """Equation (1) of Vaswani et al. (2017), heads first: `(heads, q_length, v_size)`.

    A query that sees no key attends to all alike.
    """
    block = Block(0, q.shape[1], 0, k.shape[1])
    logits, _ = scores(request, extras, block, q, k)
    seen = visible(request, extras, block, k.shape[1])
    if seen is not None:
        logits = jnp.where(seen, logits, jnp.finfo(logits.dtype).min)
    weights = jax.nn.softmax(logits)
    drop = kept(request, extras, block, q.shape[0], weights.dtype)
    weights = (weights if drop is None else weights * drop).astype(v.dtype)
    groups = q.shape[0] // k.shape[0]
    grouped = jnp.reshape(weights, (k.shape[0], groups * q.shape[1], k.shape[1]))
    out = jax.lax.dot_general(grouped, v, (((2,), (1,)), ((0,), (0,))))
    return jnp.reshape(out, (q.shape[0], q.shape[1], v.shape[2])).astype(jnp.result_type(q, k, v))
