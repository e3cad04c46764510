"""Attention of a sequence that is split over devices: keys and values go round, block by block.

From Liu, Zaharia & Abbeel (2023, "Ring Attention with Blockwise Transformers for Near-Infinite
Context", section 3): each device keeps its queries, and sends on the keys and values that it was
sent while it computes with them. Results of parts are put together by the logarithms of their sums
(Milakov & Gimelshein 2018); backwards, the weights of a part follow from those of all keys, and
cotangents of keys and values go round with them until they are where they belong.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

from eqx_filter.primitives import vary_alike

from .._init import at_least_float32
from ._blocks import backward, forward
from ._plain import plain
from ._request import Extras, Request

SAVED = "attention"
"""What a policy of `jax.checkpoint` knows the result by, and the sums."""


class Ring:
    """The devices along an axis, one after another, as one of them sees them."""

    def __init__(self, axis: str, q: Array, k: Array, request: Request) -> None:
        self.axis = axis
        self.size = lax.axis_size(axis)
        self.index = lax.axis_index(axis)
        self.lengths = q.shape[1], k.shape[1]
        self.has_places = request.reach() != (None, None)

    def extras(self, step: Any, segments: tuple[Any, Any]) -> Extras:
        """What is asked of the keys that came from `step` devices before."""
        offset = None
        if self.has_places:
            source = (self.index - step) % self.size
            offset = self.index * self.lengths[0] - source * self.lengths[1]
        return Extras(q_segments=segments[0], kv_segments=segments[1], offset=offset)

    def sent(self, tree: Any) -> Any:
        """What the device before has."""
        pairs = [(i, (i + 1) % self.size) for i in range(self.size)]
        return lax.ppermute(tree, self.axis, pairs) if self.size > 1 else tree

    def loop(self, step: Any, going: Any, staying: Any) -> Any:
        """Call `step(number, going, staying)` for what comes from each device, the own one first.

        It returns both anew. `going` is sent on after each but the last, all at once with it.
        """

        def body(carry: Any, number: Any) -> Any:
            going, staying = step(number, *carry)
            return (self.sent(going), staying), None

        steps = jnp.arange(self.size - 1)
        (going, staying), _ = lax.scan(body, (going, staying), steps)
        return step(self.size - 1, going, staying)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _ring(q: Array, k: Array, v: Array, segments: Any, request: Request, axis: str) -> Array:
    return _passed(q, k, v, segments, request, axis)[0]


def _passed(
    q: Array, k: Array, v: Array, segments: Any, request: Request, axis: str
) -> tuple[Array, Array]:
    """The result, and of each query the logarithm of the sum over all keys."""
    ring, of_queries = Ring(axis, q, k, request), segments[0]

    def step(number: Any, going: Any, staying: Any) -> Any:
        k, v, of_keys = going
        extras = ring.extras(number, (of_queries, of_keys))
        return going, _joined(*staying, *forward(q, k, v, extras, request))

    wide = at_least_float32(jnp.result_type(q, k, v))
    nothing = (
        jnp.zeros((*q.shape[:2], v.shape[2]), wide),
        jnp.full((*q.shape[:2], 1), -jnp.inf, wide),
    )
    nothing = tuple(vary_alike(it, q)[0] for it in nothing)
    _, (out, lse) = ring.loop(step, (k, v, segments[1]), nothing)
    return out.astype(jnp.result_type(q, k, v)), lse


def _joined(out: Array, lse: Array, more: Array, its: Array) -> tuple[Array, Array]:
    """The result of the keys so far and of more keys; queries that see none of these have `inf`."""
    sees_none = jnp.isinf(its)
    both = jnp.logaddexp(lse, jnp.where(sees_none, -jnp.inf, its))
    more = jnp.where(sees_none, 0, more.astype(out.dtype) * jnp.exp(its - both))
    return out * jnp.exp(lse - both) + more, both


def _fwd(q: Array, k: Array, v: Array, segments: Any, request: Request, axis: str) -> Any:
    out, lse = (checkpoint_name(it, SAVED) for it in _passed(q, k, v, segments, request, axis))
    return out, (q, k, v, segments, out, lse)


def _bwd(request: Request, axis: str, kept: Any, cotangent: Array) -> Any:
    q, k, v, segments, out, lse = kept
    ring, of_queries = Ring(axis, q, k, request), segments[0]

    def step(number: Any, going: Any, dq: Array) -> Any:
        k, v, of_keys, dk, dv = going
        extras = ring.extras(number, (of_queries, of_keys))
        more = backward(q, k, v, extras, request, out, lse, cotangent, bias=False)
        dq, dk, dv = (
            it + part.astype(it.dtype) for it, part in zip((dq, dk, dv), more, strict=True)
        )
        return (k, v, of_keys, dk, dv), dq

    dq, dk, dv = (vary_alike(jnp.zeros(it.shape, lse.dtype), q)[0] for it in (q, k, v))
    (*_, dk, dv), dq = ring.loop(step, (k, v, segments[1], dk, dv), dq)
    dk, dv = ring.sent((dk, dv))
    return dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype), None


_ring.defvjp(_fwd, _bwd)


def ring(q: Array, k: Array, v: Array, extras: Extras, request: Request, axis: str) -> Array:
    """Attention of `(heads, q_length, size)`, parts of sequences: `(heads, q_length, v_size)`."""
    if not (q.shape[1] and k.shape[1]):  # nothing to go round
        return plain(q, k, v, extras, request)
    there = [it for it in extras if it is not None]
    q, k, v, *there, _ = vary_alike(q, k, v, *there, lax.axis_index(axis))
    return _ring(q, k, v, tuple(there) or (None, None), request, axis)
