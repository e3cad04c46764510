"""`MultiheadAttention`, and the attention of a single head.

The pieces are compiled once for each set of shapes, so that a call outside of `jax.jit` costs a
few dispatches, and without dropout and `process_heads` one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field, warn_user

from .._dropout import Dropout, Flag, Probability
from .._init import at_least_float32, checked_size
from .._initial import Initializer
from .._linear import Linear
from .._random import Key, drawn, split_key
from ._cache import Cache, empty_cache, step_of
from ._checks import (
    attention_sizes,
    check_heads,
    check_inputs,
    check_mask,
    check_one_head,
    checked_kv_heads,
    processed,
)
from ._request import Implementation

Heads = Inexact[Array, "length num_heads size"]
ProcessHeads = Callable[[Heads, Heads, Heads], tuple[Heads, Heads, Heads]]
Parameters = tuple[Array, Array | None]


class MultiheadAttention(Module):
    """Attention of queries to keys and values, in several heads side by side.

    With `Q`, `K`, `V` the sequences of queries, keys and values, head `i` of `num_heads` is

        head_i = softmax((Q W_i^Q) (K W_i^K)^T / sqrt(qk_size)) (V W_i^V)

    and the result is the heads, one after the other, times `W^O`: equations (1) and those of
    section 3.2.2 of Vaswani et al. (2017, "Attention Is All You Need"). The matrices of all heads
    are the layers `query_proj`, `key_proj`, `value_proj` and `output_proj`. Dropout is applied to
    what the softmax gives. The softmax is computed in at least float32, all else in the dtype of
    the inputs and weights.
    """

    query_proj: Linear
    key_proj: Linear
    value_proj: Linear
    output_proj: Linear
    dropout: Dropout
    num_heads: int = field(static=True)
    query_size: int = field(static=True)
    key_size: int = field(static=True)
    value_size: int = field(static=True)
    output_size: int = field(static=True)
    qk_size: int = field(static=True)
    vo_size: int = field(static=True)
    use_query_bias: bool = field(static=True)
    use_key_bias: bool = field(static=True)
    use_value_bias: bool = field(static=True)
    use_output_bias: bool = field(static=True)

    def __init__(
        self,
        num_heads: int,
        query_size: int,
        key_size: int | None = None,
        value_size: int | None = None,
        output_size: int | None = None,
        qk_size: int | None = None,
        vo_size: int | None = None,
        use_query_bias: bool = False,
        use_key_bias: bool = False,
        use_value_bias: bool = False,
        use_output_bias: bool = False,
        dropout_p: Probability = 0.0,
        inference: Flag = False,
        dtype: DTypeLike | None = None,
        *,
        num_kv_heads: int | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first weights, as four `Linear` layers do.

        **Arguments:**

        - `num_heads`: number of heads.
        - `query_size`: size of one query.
        - `key_size`, `value_size`, `output_size`: sizes of one key, one value and one result;
            `query_size` unless given.
        - `qk_size`, `vo_size`: sizes, in one head, of a projected query or key and of a projected
            value; `query_size // num_heads` unless given, with a warning if there is a remainder.
        - `use_query_bias`, `use_key_bias`, `use_value_bias`, `use_output_bias`: whether the four
            projections add a bias.
        - `dropout_p`, `inference`: of the `Dropout` of the attention weights.
        - `dtype`: of weights and biases; float32 unless given (float64 in JAX's 64-bit mode).
        - `num_kv_heads`: number of heads of keys and values, each of which serves
            `num_heads // num_kv_heads` of queries in a row; `num_heads` unless given. 1 is
            multi-query attention (Shazeer 2019), others are grouped (Ainslie et al. 2023).
        - `weight_init`, `bias_init`: of each `Linear`.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one, for
        a `num_kv_heads` that does not divide `num_heads`, for a `dtype` that is neither floating
        nor complex and for a `dropout_p` outside 0 to 1;
        `ZeroDivisionError` for a `num_heads` of zero that has to divide `query_size`.
        """
        size = attention_sizes(
            num_heads,
            query_size=query_size,
            key_size=key_size,
            value_size=value_size,
            output_size=output_size,
            qk_size=qk_size,
            vo_size=vo_size,
        )
        qk, vo = (size["num_heads"] * size[name] for name in ("qk_size", "vo_size"))
        kv_heads = checked_kv_heads(num_kv_heads, size["num_heads"])
        k_size, v_size = (kv_heads * size[name] for name in ("qk_size", "vo_size"))
        q_key, k_key, v_key, out_key = split_key("MultiheadAttention", key, 4)
        linear = functools.partial(
            Linear, dtype=dtype, weight_init=weight_init, bias_init=bias_init
        )
        self.query_proj = linear(size["query_size"], qk, use_query_bias, key=q_key)
        self.key_proj = linear(size["key_size"], k_size, use_key_bias, key=k_key)
        self.value_proj = linear(size["value_size"], v_size, use_value_bias, key=v_key)
        self.output_proj = linear(vo, size["output_size"], use_output_bias, key=out_key)
        self.dropout = Dropout(dropout_p, inference)
        self.num_heads = size["num_heads"]
        self.query_size = size["query_size"]
        self.key_size = size["key_size"]
        self.value_size = size["value_size"]
        self.output_size = size["output_size"]
        self.qk_size = size["qk_size"]
        self.vo_size = size["vo_size"]
        self.use_query_bias = use_query_bias
        self.use_key_bias = use_key_bias
        self.use_value_bias = use_value_bias
        self.use_output_bias = use_output_bias

    @jax.named_scope("eqx.nn.MultiheadAttention")
    def __call__(
        self,
        query: Shaped[Array, "q_length query_size"],
        key_: Shaped[Array, "kv_length key_size"],
        value: Shaped[Array, "kv_length value_size"],
        mask: Bool[ArrayLike, "q_length kv_length"]
        | Bool[ArrayLike, "num_heads q_length kv_length"]
        | None = None,
        *,
        key: Key | None = None,
        inference: Flag | None = None,
        deterministic: Flag | None = None,
        process_heads: ProcessHeads | None = None,
        is_causal: bool = False,
        bias: Inexact[Array, "*heads q_length kv_length"] | None = None,
        window: int | tuple[int | None, int | None] | None = None,
        segment_ids: Any = None,
        length: Any = None,
        offset: Any = None,
        scale: float | None = None,
        softcap: float | None = None,
        implementation: Implementation = None,
        axis: str | None = None,
        cache: Cache | None = None,
    ) -> Any:
        """Attend from each query to all keys; the result has shape `(q_length, output_size)`.

        With a `cache` it is a pair of that and the new cache.

        **Arguments:**

        - `query`: of shape `(q_length, query_size)`.
        - `key_`, `value`: of shapes `(kv_length, key_size)` and `(kv_length, value_size)`.
        - `mask`: of shape `(q_length, kv_length)`, or `(num_heads, q_length, kv_length)` for a
            mask of each head. Where it is `False`, the query does not attend to the key: a boolean
            mask of PyTorch's `MultiheadAttention` means the contrary, so pass `~mask`. A query
            that may attend to no key attends to all of them alike. Numbers are taken as booleans,
            and floating and negative ones warn: pass a mask that is meant to be added as
            `mask == 0`.
        - `key`: a PRNG key for the dropout; not needed at inference or if `dropout_p` is zero.
        - `inference`: takes the place of `dropout.inference`.
        - `deterministic`: the old name of `inference`; it warns, and wins.
        - `process_heads`: a function of the projected queries, keys and values, called before the
            attention. Their shapes are `(q_length, num_heads, qk_size)`,
            `(kv_length, num_heads, qk_size)` and `(kv_length, num_heads, vo_size)`; the function
            returns three arrays of these shapes. `RotaryPositionalEmbedding` is for this.
        - `is_causal`, `bias`, `window`, `segment_ids`, `length`, `offset`, `scale`, `softcap`,
            `implementation`: as in `dot_product_attention`. Without any of them, and with as many
            heads of keys and values as of queries, the plain formula is computed.
        - `axis`: of a mesh that sequences are split over, inside of `shard_map`: as in
            `ring_attention`, which takes what is asked for besides; not with a `cache`.
        - `cache`: a `Cache` of this layer, to which `key_` and `value` are appended. Each query
            sees the tokens before it and its own, within the `window` if there is one. A `mask`, a
            `bias` and `segment_ids` are then of the rows of the cache: `kv_length` is its length.

        The dtype is that to which inputs and weights promote.

        **Raises:** `ValueError` for inputs that are no matrices, for `key_` and `value` of unequal
        length, for a mask of another shape, for a `process_heads` that changes shapes, and as
        `dot_product_attention` and `Cache.extended`; `TypeError` for inputs of another size;
        `AttributeError` for inputs that are no arrays; `RuntimeError` if a `key` is needed and not
        given, or, at run time, if the cache is full.
        """
        if deterministic is not None:
            message = "`deterministic` is the deprecated name of `inference`; pass `inference=`."
            warn_user(message)
            inference = deterministic
        options = {
            "bias": bias,
            "window": window,
            "segment_ids": segment_ids,
            "length": length,
            "offset": offset,
            "scale": scale,
            "softcap": softcap,
            "implementation": implementation,
            "axis": axis,
        }
        is_asked = is_causal or cache is not None or self._num_kv_heads() != self.num_heads
        is_asked = is_asked or any(it is not None for it in options.values())
        options |= {"is_causal": is_causal, "mask": mask}
        inputs = query, key_, value
        return self._attend(inputs, is_asked, options, cache, key, inference, process_heads)

    def _attend(
        self,
        inputs: tuple[Any, Any, Any],
        is_asked: bool,
        options: dict[str, Any],
        cache: Cache | None,
        key: Any,
        inference: Any,
        process_heads: ProcessHeads | None,
    ) -> Any:
        """By the plain formula, or by what is asked for besides a mask."""
        plain, mask = [_parameters(layer) for layer in self._projections()], options["mask"]
        check_inputs(*inputs, plain)
        rows = inputs[1] if cache is None else cache.key[0]
        check_mask("MultiheadAttention", mask, inputs[0], rows, self.num_heads)
        drops = _drops(self.dropout, inference)
        if not (is_asked or drops or process_heads is not None or None in plain):
            return _attention(plain, inputs, mask, self.num_heads)
        q, k, v = self._heads(inputs, plain, process_heads)
        if is_asked:
            options["dropout"] = _rate_and_key("MultiheadAttention", self.dropout, key, inference)
            return self._asked(q, k, v, plain[3], cache, options)
        weights = _weights(q, k, mask)
        if drops:
            weights = _dropped(self.dropout, weights, key, inference)
        return _project(self.output_proj, plain[3], _combine(weights, v))

    def _projections(self) -> tuple[Linear, ...]:
        return self.query_proj, self.key_proj, self.value_proj, self.output_proj

    def _heads(self, inputs: Any, plain: Any, process_heads: ProcessHeads | None) -> Any:
        """Projected queries, keys and values, `(length, heads, size)`."""
        kv_heads = self._num_kv_heads()
        heads = self.num_heads, kv_heads, kv_heads
        each = zip(self._projections(), plain, inputs, heads, strict=False)
        q, k, v = (
            _split(_project(layer, parameters, x), count) for layer, parameters, x, count in each
        )
        return (q, k, v) if process_heads is None else processed(process_heads, q, k, v)

    def _asked(
        self, q: Any, k: Any, v: Any, last: Any, cache: Cache | None, options: dict[str, Any]
    ) -> Any:
        """The result where more is asked for than a mask, with the new cache if there is one."""
        from ._engine import attend

        new = None
        if cache is not None:
            new, options = step_of(cache, k, v, options)
            k, v = new.key, new.value
        kv_first = cache is not None
        out = attend("MultiheadAttention", q, k, v, kv_first=kv_first, **options)
        out = _project(self.output_proj, last, jnp.reshape(out, (out.shape[0], -1)))
        return out if new is None else (out, new)

    def init_cache(
        self,
        length: int,
        dtype: DTypeLike | None = None,
        *,
        batch: int | None = None,
        ring: bool = False,
    ) -> Cache:
        """Make an empty `Cache` of this layer.

        **Arguments:**

        - `length`: how many tokens it holds at most.
        - `dtype`: of the keys and values; that of the layer's weights unless given.
        - `batch`: for so many sequences, with an axis in front, to be mapped over by `jax.vmap`.
        - `ring`: whether new tokens are written over the oldest, for attention of a `window`, of
            which it holds the keys before a token and the new tokens.

        **Raises:** `TypeError` for a length that is no integer, `ValueError` for one below 1.
        """
        count = checked_size("MultiheadAttention", "length", length)
        if count < 1:
            message = f"A `Cache` holds at least one token; got `length={length}`."
            raise ValueError(message)
        kind = self.key_proj.weight.dtype if dtype is None else dtype
        sizes = self.qk_size, self.vo_size
        return empty_cache(count, self._num_kv_heads(), sizes, kind, batch, ring)

    def _num_kv_heads(self) -> int:
        """Heads of keys and values, by the size of what they are projected to."""
        found = getattr(self.key_proj, "out_features", None)
        is_known = isinstance(found, int) and self.qk_size and not found % self.qk_size
        return found // self.qk_size if is_known else self.num_heads


def dot_product_attention(
    query: Shaped[Array, "q_length qk_size"] | Shaped[Array, "q_length heads qk_size"],
    key_: Shaped[Array, "kv_length qk_size"] | Shaped[Array, "kv_length kv_heads qk_size"],
    value: Shaped[Array, "kv_length v_size"] | Shaped[Array, "kv_length kv_heads v_size"],
    mask: Bool[ArrayLike, "*heads q_length kv_length"] | None = None,
    dropout: Dropout | None = None,
    *,
    key: Key | None = None,
    inference: Flag | None = None,
    is_causal: bool = False,
    bias: Inexact[Array, "*heads q_length kv_length"] | None = None,
    window: int | tuple[int | None, int | None] | None = None,
    segment_ids: Any = None,
    length: Any = None,
    offset: Any = None,
    scale: float | None = None,
    softcap: float | None = None,
    implementation: Implementation = None,
) -> Any:
    """Attend from each query to all keys, in a single head or in several.

    This is equation (1) of Vaswani et al. (2017, "Attention Is All You Need"):
    `softmax(query key_^T / sqrt(qk_size)) value`, of shape `(q_length, v_size)`, or of shape
    `(q_length, heads, v_size)` for inputs with heads. With fewer heads of keys and values, each
    serves as many of queries in a row: Shazeer (2019, "Fast Transformer Decoding"), Ainslie et al.
    (2023, "GQA").

    **Arguments:**

    - `query`, `key_`, `value`: matrices, or arrays with an axis of heads in the middle, where the
        heads of queries are a multiple of those of keys and values.
    - `mask`: of shape `(q_length, kv_length)`, or broadcast to `(heads, q_length, kv_length)`.
        Where it is `False`, the query does not attend to the key. A query that may attend to no
        key attends to all of them alike.
    - `dropout`: is applied to the weights, with `key` and `inference`.
    - `is_causal`: whether query `i` sees the keys up to `i` alone.
    - `bias`: is added to the scores; it broadcasts to `(heads, q_length, kv_length)`.
    - `window`: how many keys before and after its own place a query sees: a number for both sides,
        or a pair, with None for all. Beltagy, Peters & Cohan (2020, "Longformer").
    - `segment_ids`: a number for each place, or a pair of those of queries and keys: a query sees
        the keys of its own segment.
    - `length`: an integer of shape (): how many of the keys are there. The others, and their
        values, are taken as zeros.
    - `offset`: an integer of shape (): the place of the first query among the keys, for
        `is_causal` and `window`.
    - `scale`: what the products are multiplied by, `1 / sqrt(qk_size)` unless given.
    - `softcap`: scores become `softcap * tanh(scores / softcap)`, before the bias: Gemma Team
        (2024, "Gemma 2").
    - `implementation`: `"plain"` is the formula, with all weights at once; `"blockwise"` goes
        through blocks of keys, forwards and backwards, with the memory of a block (Dao et al. 2022,
        "FlashAttention"), and skips those that nobody sees; its second derivatives are those of the
        formula. `"cudnn"` is NVIDIA's, for float16 and bfloat16 on a GPU. Unless given, the formula
        for matrices without any of these options, bit for bit; else what is fastest.

    **Raises:** `ValueError` for inputs, masks and others of wrong shapes, for options that
    contradict, and for an `implementation` that cannot serve; `AttributeError` for what is no
    array, `RuntimeError` if a `key` is needed and not given.
    """
    function = "dot_product_attention"
    options = {
        "bias": bias,
        "window": window,
        "segment_ids": segment_ids,
        "length": length,
        "offset": offset,
        "scale": scale,
        "softcap": softcap,
        "implementation": implementation,
    }
    has_heads = getattr(query, "ndim", 2) == 3
    is_asked = is_causal or has_heads or any(it is not None for it in options.values())
    if is_asked:
        from ._engine import attend

        check_heads(function, query, key_, value)
        arrays = [x if has_heads else x[:, None] for x in (query, key_, value)]
        drops = _rate_and_key(function, dropout, key, inference)
        check_mask(function, mask, query, key_, query.shape[1] if has_heads else 1)
        out = attend(function, *arrays, mask=mask, is_causal=is_causal, dropout=drops, **options)
        return out if has_heads else out[:, 0]
    check_one_head(function, query, key_, value)
    check_mask(function, mask, query, key_)
    if dropout is None or not _drops(dropout, inference):
        return _single(query, key_, value, mask)
    weights = dropout(_single_weights(query, key_, mask), key=key, inference=inference)
    return _single_combine(weights, value)


def _rate_and_key(function: str, dropout: Any, key: Any, inference: Any) -> tuple[Any, Any] | None:
    """The rate and the key of a dropout that drops; None for another."""
    if dropout is not None and not isinstance(dropout, Dropout):
        message = (
            f"`{function}` drops by a `Dropout` where it is asked for more than a mask; it was "
            f"given a `{type(dropout).__name__}`."
        )
        raise TypeError(message)
    flag = None if dropout is None else dropout.inference if inference is None else inference
    if dropout is None or flag is True or _is_zero(dropout.p):
        return None
    if key is None:
        message = (
            f"`{function}` requires a `key` where its dropout drops. Pass `key=`, or "
            "`inference=True`."
        )
        raise RuntimeError(message)
    return dropout.p, drawn(key)


def dot_product_attention_weights(
    query: Shaped[Array, "q_length qk_size"],
    key: Shaped[Array, "kv_length qk_size"],
    mask: Bool[ArrayLike, "q_length kv_length"] | None = None,
) -> Inexact[Array, "q_length kv_length"]:
    """`softmax(query key^T / sqrt(qk_size))`, of shape `(q_length, kv_length)`.

    From equation (1) of Vaswani et al. (2017, "Attention Is All You Need"). Where `mask`, of the
    shape of the result, is `False`, the weight is zero; a row of `mask` without `True` gives equal
    weights. The softmax is computed in at least float32; the dtype is that to which `query` and
    `key` promote.

    **Raises:** `ValueError` for inputs and masks of wrong shapes, `AttributeError` for what is no
    array.
    """
    check_one_head("dot_product_attention_weights", query, key)
    check_mask("dot_product_attention_weights", mask, query, key)
    return _single_weights(query, key, mask)


def _parameters(layer: Any) -> Parameters | None:
    """`weight` and `bias` of a `Linear` of matrices; `None` for any other layer."""
    if type(layer) is not Linear or "scalar" in (layer.in_features, layer.out_features):
        return None
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, jax.Array) or weight.ndim != 2:
        return None
    if bias is not None and not (isinstance(bias, jax.Array) and bias.shape == weight.shape[:1]):
        return None
    return weight, bias


def _project(layer: Any, parameters: Parameters | None, x: Any) -> Array:
    """Map each row of `x`."""
    return jax.vmap(layer)(x) if parameters is None else _affine(*parameters, x)


def _drops(dropout: Any, inference: Any) -> bool:
    """Whether to call `dropout`: `None`, and a `Dropout` that would do nothing, are not."""
    if type(dropout) is not Dropout:
        return dropout is not None
    flag = dropout.inference if inference is None else inference
    return flag is not True and not _is_zero(dropout.p)


def _is_zero(p: Any) -> bool:
    return isinstance(p, (int, float)) and p == 0


def _dropped(dropout: Any, weights: Array, key: Any, inference: Any) -> Array:
    """Drop weights in each head, with a key for each."""
    if key is None:
        return jax.vmap(lambda x: dropout(x, key=None, inference=inference))(weights)
    keys = split_key("MultiheadAttention", key, weights.shape[0])
    return jax.vmap(lambda x, k: dropout(x, key=k, inference=inference))(weights, keys)


@jax.jit
def _affine(weight: Array, bias: Array | None, x: Array) -> Array:
    y = jnp.tensordot(weight, x, ((1,), (1,))).T  # (length, out_features)
    return y if bias is None else y + bias[None]


@functools.partial(jax.jit, static_argnums=1)
def _split(x: Array, num_heads: int) -> Heads:
    length, size = x.shape
    return jnp.reshape(x, (length, num_heads, -1 if x.size else size // num_heads))


@jax.jit
def _weights(q: Heads, k: Heads, mask: Any) -> Inexact[Array, "num_heads q_length kv_length"]:
    logits = jnp.einsum("shd,Shd->hsS", q / math.sqrt(q.shape[-1]), k)
    if mask is not None:
        mask = mask if mask.ndim == 3 else mask[None]
        logits = jnp.where(mask, logits, jnp.array(jnp.finfo(logits.dtype).min, logits.dtype))
    return jax.nn.softmax(logits.astype(at_least_float32(logits.dtype))).astype(logits.dtype)


@jax.jit
def _combine(weights: Array, v: Heads) -> Inexact[Array, "length num_heads*size"]:
    heads = jnp.einsum("hsS,Shd->hsd", weights, v)
    num_heads, length, size = heads.shape
    return jnp.reshape(jnp.transpose(heads, (1, 0, 2)), (length, num_heads * size))


@functools.partial(jax.jit, static_argnums=3)
def _attention(
    projections: list[Parameters], inputs: tuple[Array, ...], mask: Any, num_heads: int
) -> Inexact[Array, "q_length output_size"]:
    """All of the layer, where nothing stands between its parts."""
    of_inputs = zip(projections[:3], inputs, strict=True)
    q, k, v = (_split(_affine(*parameters, x), num_heads) for parameters, x in of_inputs)
    return _affine(*projections[3], _combine(_weights(q, k, mask), v))


@jax.jit
def _single_weights(query: Array, key: Array, mask: Any) -> Array:
    return _weights(query[:, None], key[:, None], mask)[0]


@jax.jit
def _single_combine(weights: Array, value: Array) -> Array:
    return jnp.einsum("sS,Sd->sd", weights, value)


@jax.jit
def _single(query: Array, key: Array, value: Array, mask: Any) -> Array:
    return _single_combine(_single_weights(query, key, mask), value)
