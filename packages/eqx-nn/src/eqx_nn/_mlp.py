"""`MLP`: the multi-layer perceptron, with its layers apart or stacked in a scan."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_filter import combine, is_array, partition
from eqx_pytree import Module, field

from ._activation import IDENTITY, RELU, activate, given, of_layer, per_neuron
from ._init import checked_size
from ._initial import Initializer
from ._linear import Linear
from ._pickling import from_state, to_state
from ._random import split_key


class MLP(Module):
    """A multi-layer perceptron: `depth` hidden layers of equal width, and an output layer.

    From Rumelhart, Hinton & Williams (1986, "Learning representations by back-propagating
    errors"); the default activation is the rectifier of Nair & Hinton (2010, "Rectified Linear
    Units Improve Restricted Boltzmann Machines").

    An activation is a function of one neuron. Its array leaves, if it is a Module that has any,
    are copied for each neuron, so that each learns its own: leading axes `(depth, width_size)` in
    `activation`, and `(out_size,)` in `final_activation` unless `out_size` is `"scalar"`.
    """

    layers: tuple[Linear, ...]
    activation: Callable[..., Any]
    final_activation: Callable[..., Any]
    use_bias: bool = field(static=True)
    use_final_bias: bool = field(static=True)
    in_size: int | Literal["scalar"] = field(static=True)
    out_size: int | Literal["scalar"] = field(static=True)
    width_size: int = field(static=True)
    depth: int = field(static=True)
    scan: bool = field(static=True, default=False)

    def __init__(
        self,
        in_size: int | Literal["scalar"],
        out_size: int | Literal["scalar"],
        width_size: int,
        depth: int,
        activation: Callable[..., Any] = RELU,
        final_activation: Callable[..., Any] = IDENTITY,
        use_bias: bool = True,
        use_final_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        scan: bool = False,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Build the layers.

        **Arguments:**

        - `in_size`, `out_size`: sizes of input and output; `"scalar"` stands for shape `()`.
        - `width_size`: size of each hidden layer.
        - `depth`: how many hidden layers; 0 is one `Linear` from input to output.
        - `activation`, `final_activation`: what follows each hidden layer, and the last layer.
        - `use_bias`, `use_final_bias`: whether the hidden layers, and the last one, have a bias.
        - `dtype`: of weights and biases; float32 unless given (float64 in JAX's 64-bit mode).
        - `scan`: keep the layers between the first and the last stacked in one, and loop over them
            with `jax.lax.scan`: shorter to compile for a deep network.
        - `weight_init`, `bias_init`: of each `Linear`.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one and
        for a `dtype` that is neither floating nor complex.
        """
        self.in_size = checked_size("MLP", "in_size", in_size, scalar=True)
        self.out_size = checked_size("MLP", "out_size", out_size, scalar=True)
        self.depth = checked_size("MLP", "depth", depth)
        self.width_size = width_size
        if self.depth:
            self.width_size = checked_size("MLP", "width_size", width_size)
        self.use_bias, self.use_final_bias, self.scan = use_bias, use_final_bias, scan
        keys = split_key("MLP", key, self.depth + 1)
        linear = functools.partial(
            Linear, dtype=dtype, weight_init=weight_init, bias_init=bias_init
        )
        if scan and self.depth:
            self.layers = self._stacked(keys, linear)
        else:
            sizes = [self.in_size, *[self.width_size] * self.depth, self.out_size]
            biases = [use_bias] * self.depth + [use_final_bias]
            self.layers = tuple(
                linear(fan_in, fan_out, bias, key=layer_key)
                for fan_in, fan_out, bias, layer_key in zip(
                    sizes[:-1], sizes[1:], biases, keys, strict=True
                )
            )
        self.activation = per_neuron(given(activation), self.depth, self.width_size)
        out = () if self.out_size == "scalar" else (self.out_size,)
        self.final_activation = per_neuron(given(final_activation), *out)

    def _stacked(self, keys: Array, linear: Callable[..., Linear]) -> tuple[Linear, ...]:
        """The first layer, those between stacked along a leading axis, and the last layer."""
        width, use_bias = self.width_size, self.use_bias
        between = keys[1:-1] if self.depth > 1 else keys[:1]  # not every PRNG draws for no keys
        middle = jax.vmap(lambda key: linear(width, width, use_bias, key=key))(between)
        middle = jax.tree.map(lambda x: x[: self.depth - 1], middle)
        first = linear(self.in_size, width, use_bias, key=keys[0])
        last = linear(width, self.out_size, self.use_final_bias, key=keys[-1])
        return first, middle, last

    @jax.named_scope("eqx.nn.MLP")
    def __call__(
        self, x: Shaped[ArrayLike, " in_size"] | Shaped[ArrayLike, ""], *, key: Any = None
    ) -> Inexact[Array, " out_size"] | Inexact[Array, ""]:
        """Map one vector.

        `x` has shape `(in_size,)`, or `()` if `in_size` is `"scalar"`; the result has shape
        `(out_size,)`, or `()` if `out_size` is `"scalar"`. `key` is ignored.

        **Raises:** `TypeError` or `ValueError` for an input of another shape.
        """
        first, *others = self.layers
        try:
            x = first(x)
        except (TypeError, ValueError) as error:
            error.add_note(f"`x` is the input of an `MLP` with `in_size={self.in_size!r}`.")
            raise
        if self.scan and self.depth:
            x = activate(of_layer(self.activation, 0), x)
            x = others[-1](self._scanned(others[0], x))
        else:
            for index, layer in enumerate(others):
                x = layer(activate(of_layer(self.activation, index), x))
        if self.out_size == "scalar":
            return self.final_activation(x)
        return activate(self.final_activation, x)

    def _scanned(self, layers: Linear, x: Any) -> Array:
        """Apply the stacked layers, each followed by its activation."""
        activations = of_layer(self.activation, slice(1, None))
        stacked, rest = partition((layers, activations), is_array)

        def step(x: Any, arrays: Any) -> tuple[Array, None]:
            layer, activation = combine(arrays, rest)
            return activate(activation, layer(x)), None

        return lax.scan(step, x, stacked)[0]

    def __getstate__(self) -> dict[str, Any]:
        """The fields, with JAX's functions in a form that can be pickled."""
        return to_state(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the fields back."""
        vars(self).update(from_state(state))
