"""`LRU`: a diagonal state-space layer, which reads ten thousand steps at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Integer, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._init import checked_dtype, checked_size
from .._initial import Initializer, Layout, drawn_as
from .._random import split_key
from .._shapes import shape_of
from ._inputs import checked_sequences, real_steps, without_padding
from ._linear_recurrence import linear_recurrence


class LRU(Module):
    """A linear recurrent unit: a linear recurrence whose matrix is diagonal and complex.

        s' = lambda * s + exp(gamma_log) * (B x)
        y = real(C s') + D * x
        lambda = exp(-exp(nu_log) + i exp(theta_log))

    From Orvieto et al. (2023, "Resurrecting Recurrent Neural Networks for Long Sequences"), their
    section 3, with its first values: the eigenvalues `lambda` are uniform on the ring between
    `r_min` and `r_max`, as far as the angle `max_phase`, and always inside of the unit circle;
    `exp(gamma_log)` is `sqrt(1 - |lambda|^2)`; `B` and `C` are normal with variances 1 / (2 size)
    and 1 / hidden_size for the real and the imaginary part each, `D` is normal.

    All steps are one `linear_recurrence`. What is not linear stands between such layers: a gated
    MLP, a norm, as in `Stacked(lambda key: Block(LRU(...), ...), depth, key=key)`.

        ys, state = lru(xs)  # (length, size), (hidden_size,), complex
    """

    nu_log: Float[Array, " hidden_size"]
    theta_log: Float[Array, " hidden_size"]
    gamma_log: Float[Array, " hidden_size"]
    B_real: Float[Array, "hidden_size size"]
    B_imag: Float[Array, "hidden_size size"]
    C_real: Float[Array, "size hidden_size"]
    C_imag: Float[Array, "size hidden_size"]
    D: Float[Array, " size"]
    size: int = field(static=True)
    hidden_size: int = field(static=True)
    reverse: bool = field(static=True)
    parallel: bool | None = field(static=True)

    __weight_layouts__: ClassVar[Mapping[str, Layout]] = {
        name: Layout(2, 1) for name in ("B_real", "B_imag", "C_real", "C_imag")
    }

    def __init__(
        self,
        size: int,
        hidden_size: int,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        reverse: bool = False,
        parallel: bool | None = None,
        dtype: DTypeLike | None = None,
        weight_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first values.

        **Arguments:**

        - `size`, `hidden_size`: sizes of input and output, and of the complex state.
        - `r_min`, `r_max`, `max_phase`: where the eigenvalues are drawn; for long sequences the
            paper takes an `r_min` of 0.9 and more, and for the longest a `max_phase` of pi / 10.
        - `reverse`: whether to read from the end.
        - `parallel`: as of `linear_recurrence`.
        - `dtype`: of all parameters, which are real; float32 unless given (float64 in JAX's 64-bit
            mode). The state is complex64, or complex128 with float64.
        - `weight_init`: a function `(key, shape, dtype) -> array` to draw `B` and `C` by, real and
            imaginary parts apart; it gets the shapes `(size, hidden_size)` and
            `(hidden_size, size)`.
        - `key`: a PRNG key.

        **Raises:** `TypeError` for a size that is no integer; `ValueError` for a negative one, for
        a ring that is none, and for a `dtype` that is not floating.
        """
        self.size = checked_size("LRU", "size", size)
        self.hidden_size = checked_size("LRU", "hidden_size", hidden_size)
        if not (0 <= r_min < r_max <= 1 and 0 < max_phase <= 2 * math.pi):
            message = (
                f"`LRU` needs `0 <= r_min < r_max <= 1`, got {r_min} and {r_max}, and a "
                f"`max_phase` above 0, up to 2 pi; got {max_phase}."
            )
            raise ValueError(message)
        kind = jnp.dtype(checked_dtype(dtype)) if dtype is not None else jnp.result_type(float)
        if not jnp.issubdtype(kind, jnp.floating):
            message = f"`LRU` has real parameters: `dtype` must be floating; got `{kind.name}`."
            raise ValueError(message)
        self.reverse, self.parallel = reverse, parallel
        ring, phase, b_real, b_imag, c_real, c_imag, d = split_key("LRU", key, 7)
        wide = jnp.promote_types(kind, jnp.float32)
        of_ring = jr.uniform(ring, (hidden_size,), wide, r_min**2, r_max**2)
        square = jnp.clip(of_ring, jnp.finfo(wide).tiny, 1 - 4 * jnp.finfo(wide).eps)  # |lambda|^2
        angle = jr.uniform(phase, (hidden_size,), wide, jnp.finfo(wide).tiny, max_phase)
        self.nu_log = jnp.log(-0.5 * jnp.log(square)).astype(kind)
        self.theta_log = jnp.log(angle).astype(kind)
        self.gamma_log = (0.5 * jnp.log1p(-square)).astype(kind)

        def draw(key: Any, rows: int, columns: int, deviation: float) -> Array:
            if weight_init is None:
                return (jr.normal(key, (rows, columns), wide) * deviation).astype(kind)
            told = "`weight_init` of `LRU`"
            return drawn_as(Layout(2, 1), told, weight_init, key, (rows, columns), kind)

        inward = hidden_size, size, 1 / math.sqrt(2 * max(size, 1))
        outward = size, hidden_size, 1 / math.sqrt(max(hidden_size, 1))
        self.B_real, self.B_imag = draw(b_real, *inward), draw(b_imag, *inward)
        self.C_real, self.C_imag = draw(c_real, *outward), draw(c_imag, *outward)
        self.D = jr.normal(d, (size,), wide).astype(kind)

    def initial_state(self, *batch: int) -> Complex[Array, "*batch hidden_size"]:
        """Zeros, with axes of a batch in front."""
        return jnp.zeros((*batch, self.hidden_size), self.eigenvalues().dtype)

    def eigenvalues(self) -> Complex[Array, " hidden_size"]:
        """`lambda`: what each element of the state is multiplied with at a step."""
        wide = jnp.promote_types(self.nu_log.dtype, jnp.float32)
        decay, angle = jnp.exp(self.nu_log.astype(wide)), jnp.exp(self.theta_log.astype(wide))
        return jnp.exp(lax.complex(-decay, angle))

    @jax.named_scope("eqx.nn.LRU")
    def __call__(
        self,
        xs: Shaped[ArrayLike, "*batch length size"],
        state: Complex[ArrayLike, "*batch hidden_size"] | None = None,
        *,
        lengths: Integer[ArrayLike, "*batch"] | None = None,
        mask: Bool[ArrayLike, "*batch length"] | None = None,
        key: Any = None,
    ) -> tuple[Float[Array, "*batch length size"], Complex[Array, "*batch hidden_size"]]:
        """Read sequences.

        **Arguments:**

        - `xs`: of shape `(length, size)`; axes of a batch may stand in front, for all alike.
        - `state`: what to begin with, as it is returned; zeros by default.
        - `lengths`, `mask`: which steps are there, as of `RNN`: padding has no part in any result.
        - `key`: is ignored.

        **Returns:** the outputs, in the dtype of input and parameters, zero where there is padding;
        and the state after the last step, complex.

        **Raises:** `TypeError` or `ValueError` for arrays of other shapes and dtypes, and for a
        length beyond that of `xs`.
        """
        xs, batch = checked_sequences("LRU", xs, self.size)
        if jnp.iscomplexobj(xs):
            message = f"`LRU` maps real sequences; `xs` has dtype {xs.dtype}. Its state is complex."
            raise TypeError(message)
        kept = real_steps("LRU", xs.shape[:-1], lengths, mask)
        dtype = jnp.result_type(xs, self.D)
        a = self.eigenvalues()
        state = self.initial_state(*batch) if state is None else _checked_state(self, state, batch)
        x = jnp.moveaxis(without_padding(xs.astype(dtype), kept), -2, 0)  # (length, *batch, size)
        gamma = jnp.exp(self.gamma_log.astype(a.real.dtype)).astype(a.dtype)
        driven = _product(self.B_real, self.B_imag, x)
        driven = jnp.broadcast_to(gamma, driven.shape) * driven
        a = jnp.broadcast_to(a, (*batch, self.hidden_size))
        if kept is not None:
            of_step = jnp.moveaxis(kept, -1, 0)[..., None]
            a, driven = jnp.where(of_step, a, 1), jnp.where(of_step, driven, 0)
        states = linear_recurrence(
            a, driven, state.astype(a.dtype), reverse=self.reverse, parallel=self.parallel
        )
        ys = _real_product(self.C_real, self.C_imag, states) + jnp.broadcast_to(self.D, x.shape) * x
        ys = without_padding(jnp.moveaxis(ys.astype(dtype), 0, -2), kept)
        if states.shape[0]:
            state = states[0 if self.reverse else -1]
        return ys, state


def _product(real: Array, imag: Array, x: Array) -> Array:
    """`(real + i imag) x`, in two real products."""
    wide = jnp.promote_types(real.dtype, jnp.float32)
    real, imag, x = (it.astype(wide) for it in (real, imag, x))
    return lax.complex(x @ real.T, x @ imag.T)


def _real_product(real: Array, imag: Array, x: Array) -> Array:
    """The real part of `(real + i imag) x`, in two real products."""
    wide = x.real.dtype
    return x.real @ real.astype(wide).T - x.imag @ imag.astype(wide).T


def _checked_state(lru: LRU, state: Any, batch: tuple[int, ...]) -> Array:
    shape = (*batch, lru.hidden_size)
    if shape_of(state) != shape:
        message = f"`LRU` expects `state` of shape {shape}; got shape {shape_of(state)}."
        raise ValueError(message)
    return jnp.asarray(state)
