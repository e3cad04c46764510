"""How an activation meets the neurons of a layer, and which functions need no help with it.

An activation is a function of one neuron: softmax, too, is given one number. So it is mapped over
the neurons; a Module with parameters has its own copy of them for each neuron. The map costs
tracing time, and for a function known to act on each element by itself it changes nothing: those
are called directly. Knows nothing of layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from eqx_filter import combine, is_array, partition

_ELEMENTWISE_NAMES = {
    jax.nn: (
        "celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu "
        "log_sigmoid mish relu relu6 selu sigmoid silu soft_sign softplus sparse_plus "
        "sparse_sigmoid squareplus swish tanh"
    ),
    jnp: (
        "abs absolute arcsinh arctan atan ceil conj cos cosh exp exp2 expm1 fabs floor log log1p "
        "log2 log10 negative positive reciprocal rint sign sin sinc sinh sqrt square tan tanh"
    ),
    lax: (
        "abs asinh atan cbrt ceil cos cosh erf erfc exp exp2 expm1 floor log log1p "
        "logistic neg reciprocal rsqrt sign sin sinh sqrt square stop_gradient tan tanh"
    ),
}


identity: Callable[[Any], Any] = lambda x: x  # noqa: E731 - so a `repr` shows it
"""The final activation of an `MLP` unless another is given."""


class _Shown:
    """A default value that `help` shows by its name; it stands for the function."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return self.name


RELU = _Shown(jax.nn.relu, "jax.nn.relu")
GELU = _Shown(jax.nn.gelu, "jax.nn.gelu")
SILU = _Shown(jax.nn.silu, "jax.nn.silu")
IDENTITY = _Shown(identity, "lambda x: x")
TANH = _Shown(jnp.tanh, "jax.numpy.tanh")


def given(activation: Any) -> Any:
    """The activation itself, where a default stands for it."""
    return activation.function if isinstance(activation, _Shown) else activation


_KNOWN: dict[int, tuple[Callable[..., Any], str, str]] = {
    id(identity): (identity, __name__, "identity")
}
"""The functions known to be elementwise with module and name, by `id`; held, so it stays theirs."""
for _module, _names in _ELEMENTWISE_NAMES.items():
    for _name in _names.split():
        if hasattr(_module, _name):  # some are newer than the oldest JAX that will do
            _function = getattr(_module, _name)
            _KNOWN[id(_function)] = (_function, _module.__name__, _name)

_NUMBERS = frozenset({bool, int, float})


def is_elementwise(function: Any) -> bool:
    """Whether `function` is known to act on each element of an array by itself.

    So are the functions of `jax.nn`, `jax.numpy` and `jax.lax` that are listed above, and a
    `functools.partial` of one with numbers as keyword arguments.
    """
    if id(function) in _KNOWN:
        return True
    return (
        type(function) is functools.partial
        and not function.args
        and id(function.func) in _KNOWN
        and _NUMBERS.issuperset(map(type, function.keywords.values()))
    )


def public_name(function: Any) -> tuple[str, str] | None:
    """The module and the name under which a function known to be elementwise is public."""
    known = _KNOWN.get(id(function))
    return known and known[1:]


def per_neuron(activation: Any, *sizes: int) -> Any:
    """Give `activation` a copy of each of its arrays for each neuron: leading axes of `sizes`."""
    arrays, rest = partition(activation, is_array)
    copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (*sizes, *x.shape)), arrays)
    return combine(copies, rest)


def of_layer(activation: Any, index: int | slice) -> Any:
    """The parameters that `activation` has for one layer of several, or for a slice of them."""
    if is_elementwise(activation):
        return activation
    arrays, rest = partition(activation, is_array)
    return combine(jax.tree.map(lambda x: x[index], arrays), rest)


def activate(activation: Any, x: Any) -> Any:
    """Apply `activation` to each neuron of `x`, each with its own parameters."""
    if is_elementwise(activation):
        return activation(x)
    arrays, rest = partition(activation, is_array)
    try:
        return jax.vmap(lambda parameters, neuron: combine(parameters, rest)(neuron))(arrays, x)
    except (TypeError, ValueError) as error:
        error.add_note(
            "An `MLP` applies its activations to one neuron at a time, so they are given a value "
            "of shape (). Apply a function of the whole vector, such as softmax, to the `MLP`'s "
            "output instead."
        )
        raise
