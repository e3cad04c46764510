"""`GatedMLP`: a hidden layer that another one opens and closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module

from .._activation import SILU, given
from .._initial import Initializer
from .._linear import Linear
from .._pickling import from_state, to_state
from .._random import split_key


class GatedMLP(Module):
    """`down(activation(gate(x)) * up(x))`, of three `Linear` layers.

    Shazeer (2020, "GLU Variants Improve Transformer"), equation (6): with `jax.nn.silu` it is
    SwiGLU, with `jax.nn.gelu` GEGLU, with `jax.nn.sigmoid` Dauphin's GLU.
    """

    gate: Linear
    up: Linear
    down: Linear
    activation: Callable[..., Any]

    def __init__(
        self,
        size: int,
        width_size: int,
        activation: Callable[..., Any] = SILU,
        use_bias: bool = False,
        dtype: DTypeLike | None = None,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Build the layers.

        **Arguments:**

        - `size`: of the input and of the result.
        - `width_size`: of the two hidden layers.
        - `activation`: a function of an array that acts on each element.
        - `use_bias`, `dtype`, `weight_init`, `bias_init`: as in `Linear`.
        - `key`: a PRNG key for the first weights.

        **Raises:** as `Linear`.
        """
        gate_key, up_key, down_key = split_key("GatedMLP", key, 3)
        options: dict[str, Any] = {"use_bias": use_bias, "dtype": dtype}
        options |= {"weight_init": weight_init, "bias_init": bias_init}
        self.gate = Linear(size, width_size, **options, key=gate_key)
        self.up = Linear(size, width_size, **options, key=up_key)
        self.down = Linear(width_size, size, **options, key=down_key)
        self.activation = given(activation)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, with JAX's functions in a form that can be pickled."""
        return to_state(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the fields back."""
        vars(self).update(from_state(state))

    @jax.named_scope("eqx.nn.GatedMLP")
    def __call__(self, x: Shaped[Array, " size"], *, key: Any = None) -> Inexact[Array, " size"]:
        """Take and give an array of shape `(size,)`. `key` is ignored. **Raises** as `Linear`."""
        return self.down(self.activation(self.gate(x)) * self.up(x))
