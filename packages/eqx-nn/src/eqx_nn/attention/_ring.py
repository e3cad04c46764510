"""`ring_attention`: attention of a sequence whose parts are on several devices."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Inexact, Shaped

from ._checks import check_heads


@jax.named_scope("eqx.nn.ring_attention")
def ring_attention(
    query: Shaped[Array, "q_length qk_size"] | Shaped[Array, "q_length heads qk_size"],
    key_: Shaped[Array, "kv_length qk_size"] | Shaped[Array, "kv_length kv_heads qk_size"],
    value: Shaped[Array, "kv_length v_size"] | Shaped[Array, "kv_length kv_heads v_size"],
    *,
    axis: str,
    is_causal: bool = False,
    window: int | tuple[int | None, int | None] | None = None,
    segment_ids: Any = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Inexact[Array, "q_length v_size"] | Inexact[Array, "q_length heads v_size"]:
    """Attend to all of a sequence that is split over an axis of a mesh, inside of `shard_map`.

        attend = functools.partial(ring_attention, axis="sequence", is_causal=True)
        split = P("sequence")
        y = filter_shard_map(attend, mesh=mesh, in_specs=split, out_specs=split)(q, k, v)

    The result is that of `dot_product_attention` of the whole sequence, to rounding, and so are its
    gradients. Each device holds its part of queries, keys and values, and the part of keys and
    values that it was sent, which goes on to the next while it computes with it: Liu, Zaharia &
    Abbeel (2023, "Ring Attention with Blockwise Transformers for Near-Infinite Context", section
    3). Parts are computed block by block, and backwards computed again: no device ever has the
    scores of a part, nor the keys of another but one. What nobody sees, as causal attention has it,
    is not computed.

    **Arguments:**

    - `query`, `key_`, `value`: the parts that this device has, in the order of the axis, all of
        equal lengths: matrices, or arrays with an axis of heads in the middle, where the heads of
        queries are a multiple of those of keys and values.
    - `axis`: the axis of the mesh that the sequence is split over.
    - `is_causal`, `window`, `scale`, `softcap`: as in `dot_product_attention`, for places in the
        whole sequence.
    - `segment_ids`: a number for each place of this device's part.

    **Returns:** the part of the result that belongs to these queries. Its dtype is that to which
    the arrays promote; sums are of at least float32.

    For a batch, use `jax.vmap`. Gradients have a rule of their own: `jax.jvp` is refused by JAX.

    **Raises:** `ValueError` for an axis that is not there, for shapes that do not fit, and for
    parts of unequal length where places count; `AttributeError` for what is no array.
    """
    from ._engine import attend

    has_heads = getattr(query, "ndim", 2) == 3
    check_heads("ring_attention", query, key_, value)
    arrays = [x if has_heads else x[:, None] for x in (query, key_, value)]
    out = attend(
        "ring_attention", *arrays, is_causal=is_causal, window=window, segment_ids=segment_ids,
        scale=scale, softcap=softcap, axis=axis,
    )  # fmt: skip
    return out if has_heads else out[:, 0]
