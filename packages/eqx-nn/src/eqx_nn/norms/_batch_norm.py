"""`BatchNorm`: normalisation over a batch, with running statistics in a `State`."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Inexact, Shaped

from eqx_pytree import field, warn_user

from .._entries import check_entry
from .._flag import known
from .._init import at_least_float32, checked_size
from .._initial import Initializer, first_affine
from .._random import Key
from .._shapes import describe, for_channels, shape_of
from .._spatial import DataFormat, checked_format, is_last, spatial, with_channels
from .._state import State, StatefulLayer, StateIndex

Statistics = tuple[Inexact[Array, " channels"], Inexact[Array, " channels"]]


class BatchNorm(StatefulLayer):
    """Subtract the mean and divide by the standard deviation of each channel over a batch.

        y = (x - mean) / sqrt(var + eps) * weight + bias

    From Ioffe & Szegedy (2015, "Batch Normalization: Accelerating Deep Network Training by
    Reducing Internal Covariate Shift"), Algorithm 1. The layer is called on one example, under a
    `jax.vmap` whose axis has a name; mean and (biased) variance are over that axis and all axes of
    an example but the first, which holds the channels.

    With `m` for `momentum` and `s` for either statistic of the batch, the two modes are:

    - `"batch"`: a batch is normalised by its own statistics, as in the paper. The running ones,
        `r <- m r + (1 - m) s`, begin as mean 0 and variance 1, and serve inference, divided by
        `1 - m^t` after `t` batches (the correction of Kingma & Ba, 2015, "Adam", section 3). Made
        for what begins as 0, it leaves the variance too large by `m^t / (1 - m^t)`: by 99 after one
        batch of `m = 0.99`, by 0.6 after 100, by 0.007 after 500. For inference sooner than that,
        lower `momentum`.
    - `"ema"`: a batch is normalised by the running statistics `r <- m r + (1 - m) s` that it has
        just moved, which begin as those of the first batch; so training and inference agree.

    For example:

        bn, state = make_with_state(BatchNorm)(3, axis_name="batch", mode="batch")
        batched = jax.vmap(bn, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        y, state = batched(x, state)  # x of shape (batch, 3, ...)

    `weight` begins as ones and `bias` as zeros, each of shape `(input_size,)`, or is `None`.
    `inference` is a leaf, which `inference_mode` sets.
    """

    __full_precision__ = True

    weight: Inexact[Array, " input_size"] | None
    bias: Inexact[Array, " input_size"] | None
    ema_first_time_index: StateIndex | None
    ema_state_index: StateIndex | None
    batch_counter: StateIndex | None
    batch_state_index: StateIndex | None
    axis_name: Hashable | Sequence[Hashable]
    inference: Any
    input_size: int = field(static=True)
    eps: float = field(static=True)
    channelwise_affine: bool = field(static=True)
    momentum: float = field(static=True)
    mode: Literal["ema", "batch"] = field(static=True)
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        input_size: int,
        axis_name: Hashable | Sequence[Hashable],
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        momentum: float = 0.99,
        inference: bool = False,
        dtype: DTypeLike | None = None,
        mode: Literal["ema", "batch", "legacy"] = "legacy",
        *,
        data_format: DataFormat = "channels_first",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: Key | None = None,
    ) -> None:
        """Make the first weight, bias and statistics.

        **Arguments:**

        - `input_size`: how many channels.
        - `axis_name`: of the batch axis, as given to `jax.vmap`; or a sequence of several.
        - `eps`: added to the variance.
        - `channelwise_affine`: whether to have weight and bias.
        - `momentum`: how much of the running statistics a batch leaves.
        - `inference`: whether calls normalise by the running statistics and leave them as they are.
        - `dtype`: of weight, bias and statistics; float32 unless given (float64 in JAX's 64-bit
            mode).
        - `mode`: `"batch"` or `"ema"`. Not given, it is `"ema"`, with a warning.
        - `data_format`: `"channels_first"`, or `"channels_last"` for an input of shape
            `(..., input_size)`.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, in their own shape; ones and zeros unless given.
        - `key`: a PRNG key for these. Constants need none.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one and
        for another `mode` or `data_format`.
        """
        if mode == "legacy":
            mode = "ema"
            message = (
                "`BatchNorm` without a `mode` is a `BatchNorm(mode='ema')`, as it was before there "
                "were two. Give `mode='ema'` to keep that, or `mode='batch'`, the usual batch "
                "norm, for new models."
            )
            warn_user(message)
        if mode not in ("ema", "batch"):
            message = f"`BatchNorm` needs `mode` to be 'ema' or 'batch'; got {mode!r}."
            raise ValueError(message)
        self.mode = mode
        self.data_format = checked_format("BatchNorm", data_format)
        self.input_size = checked_size("BatchNorm", "input_size", input_size)
        self.axis_name = axis_name
        self.eps = eps
        self.channelwise_affine = channelwise_affine
        self.momentum = momentum
        self.inference = inference
        ones, zeros = (  # each a new array, so that layer and state can be donated together
            functools.partial(make, (self.input_size,), dtype) for make in (jnp.ones, jnp.zeros)
        )
        used, inits, shape = (channelwise_affine,) * 2, (weight_init, bias_init), (self.input_size,)
        self.weight, self.bias = first_affine("BatchNorm", used, inits, key, shape, dtype)
        self.ema_first_time_index = self.ema_state_index = None
        self.batch_counter = self.batch_state_index = None
        if mode == "ema":
            self.ema_first_time_index = StateIndex(jnp.array(True))
            self.ema_state_index = StateIndex((zeros(), zeros()))
        else:
            self.batch_counter = StateIndex(jnp.asarray(0))
            self.batch_state_index = StateIndex((zeros(), ones()))

    @jax.named_scope("eqx.nn.BatchNorm")
    def __call__(
        self,
        x: Shaped[Array, ...],
        state: State,
        *,
        key: Any = None,
        inference: Bool[ArrayLike, ""] | None = None,
    ) -> tuple[Inexact[Array, ...], State]:
        """Normalise one example of a batch; return it and the new state.

        `x` has shape `(input_size, ...)`, or `(..., input_size)` with
        `data_format="channels_last"`, and so has the result, in the dtype that `x`, the
        statistics and the weight promote to. The new state is the same for every example:
        `out_axes=(0, None)`. `inference` takes the place of the flag of the layer, and `key` is
        ignored.

        **Raises:** `TypeError` for another shape; `NameError` if `axis_name` is not the axis of a
        `jax.vmap` around the call, unless at inference; `ValueError` for a state that gained or
        lost an axis, and over the axis of a `jax.vmap` inside of a `jax.shard_map` that checks what
        varies, which JAX cannot; and what `State` raises. (Without `in_axes`, JAX refuses the call
        before it gets here: the count of batches has no axis to map.)
        """
        shape, last = shape_of(x) or (), is_last(self)
        if (shape[-1:] if last else shape[:1]) != (self.input_size,):
            others = spatial(shape, last=last)
            told = describe("BatchNorm", "x", x, with_channels(self.input_size, others, last=last))
            raise TypeError(told + self._cure(shape))
        count_index, running_index = self._indices()
        count, running = state.get(count_index), state.get(running_index)
        channels = (self.input_size,)
        check_entry("BatchNorm", count_index.marker, count, [()], self._vmap())
        check_entry("BatchNorm", running_index.marker, running, [channels, channels], self._vmap())
        is_ema = self.mode == "ema"
        if known("BatchNorm", self.inference if inference is None else inference):
            statistics = running if is_ema else _corrected(running, count, self.momentum)
        else:
            batch = self._of_batch(x)
            first = count if is_ema else None
            moved = _moved(running, batch, self.momentum, 1 - self.momentum, first)
            statistics = moved if is_ema else batch
            state = state.set(count_index, jnp.array(False) if is_ema else count + 1)
            state = state.set(running_index, moved)
        dtype = running[0].dtype
        y = _normalised(x, statistics, self.weight, self.bias, self.eps, dtype, last)
        return y, state

    def _indices(self) -> tuple[StateIndex, StateIndex]:
        """Of whether, or how many, batches were seen, and of the running statistics."""
        ema = self.ema_first_time_index, self.ema_state_index
        batch = self.batch_counter, self.batch_state_index
        return cast(tuple[StateIndex, StateIndex], ema if self.mode == "ema" else batch)

    def _vmap(self) -> str:
        """How to call the layer on a batch."""
        named = f"axis_name={self.axis_name!r}"
        return f"jax.vmap(layer, {named}, in_axes=(0, None), out_axes=(0, None))"

    def _cure(self, shape: tuple[int, ...]) -> str:
        """What to do with an input that has its channels at another place than the first."""
        if not is_last(self) and shape[1:2] == (self.input_size,):
            return f" A layer acts on one example; for a batch use `{self._vmap()}(x, state)`."
        return for_channels(shape, self.input_size, last=is_last(self))

    def _of_batch(self, x: Any) -> Statistics:
        axes = tuple(self.axis_name) if isinstance(self.axis_name, list) else self.axis_name
        try:
            return _mean_and_variance(x, axes, is_last(self))
        except NameError as error:
            told, *_ = str(error).split(" To fix this")  # by `jax.shard_map`, says JAX
            message = (
                f"`BatchNorm` takes its statistics over the axis named {self.axis_name!r}, which "
                f"no `jax.vmap` around the call has: {told.rstrip('.')}. Call it as "
                f"`{self._vmap()}(x, state)`, or on one example with `inference=True`."
            )
            raise NameError(message) from None
        except (AssertionError, ValueError) as error:
            if not jax.sharding.get_abstract_mesh().manual_axes:  # not inside of a `shard_map`
                raise
            message = (
                f"`BatchNorm` takes its statistics over the axis named {self.axis_name!r}, and JAX "
                "takes none over one of `jax.vmap` inside of a `jax.shard_map` that checks what "
                "varies. Pass `check_vma=False` to that, or an axis of the mesh as `axis_name`."
            )
            raise ValueError(message) from error


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _mean_and_variance(x: Any, axis_name: Any, last: bool) -> Statistics:
    """Of each channel, over the batch and all axes of an example but that of the channels."""
    x = jnp.asarray(x)
    x = x.astype(at_least_float32(x.dtype))
    axes = spatial(tuple(range(x.ndim)), last=last)
    mean = lax.pmean(jnp.mean(x, axes), axis_name)
    deviation = x - _per_channel(mean, x, last)
    square = jnp.real(deviation * jnp.conj(deviation))
    return mean, lax.pmean(jnp.mean(square, axes), axis_name)


@functools.partial(jax.jit, inline=True)
def _moved(running: Statistics, batch: Statistics, stay: Any, move: Any, first: Any) -> Statistics:
    """The running statistics after a batch, or those of the batch if it is the `first`."""

    def moved(old: Array, new: Array) -> Array:
        if jnp.iscomplexobj(old) or not jnp.iscomplexobj(new):  # else the state refuses it
            new = new.astype(old.dtype)
        old = stay * old + move * new
        return old if first is None else jnp.where(first, new, old)

    return moved(running[0], batch[0]), moved(running[1], batch[1])


@functools.partial(jax.jit, inline=True)
def _corrected(running: Statistics, count: Any, momentum: Any) -> Statistics:
    """Running statistics that began elsewhere, divided by the weight of what has moved them."""

    def corrected(statistic: Array) -> Array:
        weight = 1 - jnp.asarray(momentum, statistic.dtype) ** count
        return statistic / jnp.where(count == 0, 1, weight)

    return corrected(running[0]), corrected(running[1])


@functools.partial(jax.jit, static_argnums=(5, 6), inline=True)
def _normalised(
    x: Any, statistics: Statistics, weight: Any, bias: Any, eps: Any, dtype: Any, last: bool
) -> Array:
    """Of the dtype that `x`, the weight and `dtype`, that of the running statistics, promote to."""
    x = jnp.asarray(x)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(x.dtype, dtype, *([] if weight is None else [weight.dtype]))
    wide = at_least_float32(dtype)
    x, mean, var = (it.astype(wide) for it in (x, *statistics))
    y = (x - _per_channel(mean, x, last)) * _per_channel(lax.rsqrt(var + eps), x, last)
    if weight is not None:
        weight, bias = (_per_channel(it.astype(wide), x, last) for it in (weight, bias))
        y = y * weight + bias
    return y.astype(dtype)


def _per_channel(values: Array, x: Array, last: bool) -> Array:
    return values if last else values.reshape(-1, *[1] * (x.ndim - 1))
