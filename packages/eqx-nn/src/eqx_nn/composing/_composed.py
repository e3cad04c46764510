"""Layers made of what one hands them: `Sequential` and `Lambda`."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, overload

import jax

from eqx_pytree import Module

from .._pickling import from_state, to_state
from .._random import Key, key_of_each
from .._state import StatefulLayer
from .._unset import UNSET


class Sequential(StatefulLayer):
    """Layers called one after the other.

    Each layer is called as `layer(x, key=key)`, or `layer(x, state, key=key)` if it is a
    `StatefulLayer` that is stateful. Wrap a plain function in `Lambda`. Indexing gives a
    layer, slicing a `Sequential` of some of them.
    """

    layers: tuple[Callable[..., Any], ...]

    def __init__(self, layers: Iterable[Callable[..., Any]]) -> None:
        """Take the layers, in the order in which they are called.

        **Raises:** `TypeError` if `layers` is no sequence.
        """
        if isinstance(layers, (str, Mapping)) or not _is_iterable(layers):
            message = (
                f"`Sequential` needs a sequence of layers, got a `{type(layers).__name__}`, which "
                "is not iterable as one. Write `Sequential([first, second])`."
            )
            raise TypeError(message)
        self.layers = tuple(layers)

    def is_stateful(self) -> bool:
        """Whether any of the layers is stateful."""
        return any(map(_is_stateful, self.layers))

    @jax.named_scope("eqx.nn.Sequential")
    def __call__(self, x: Any, state: Any = UNSET, *, key: Key | None = None) -> Any:
        """Call the layers on `x` in turn.

        `x` is whatever the first layer takes. `key` is split into one key a layer; without it each
        gets `None`. Returns what the last layer returns, and with a `state` the pair of that and
        the new state.

        **Raises:** `TypeError` if a layer cannot be called so, or needs a `state` that was not
        given.
        """
        count = len(self.layers)
        keys = key_of_each("Sequential", key, count)
        for index, (layer, layer_key) in enumerate(zip(self.layers, keys, strict=True)):
            try:
                if not _is_stateful(layer):
                    x = layer(x, key=layer_key)
                elif state is UNSET:
                    raise TypeError(_needs_state(layer))
                else:
                    x, state = layer(x, state=state, key=layer_key)
            except (TypeError, ValueError) as error:
                if type(error) is TypeError and not _takes_key(layer):
                    raise TypeError(_takes_no_key(index, layer)) from error
                error.add_note(f"This was raised by `layers[{index}]` of a `Sequential`.")
                raise
        return x if state is UNSET else (x, state)

    @overload
    def __getitem__(self, i: int) -> Callable[..., Any]: ...
    @overload
    def __getitem__(self, i: slice) -> Sequential: ...
    def __getitem__(self, i: Any) -> Any:
        """One layer, or for a slice a `Sequential` of the layers there.

        **Raises:** `IndexError` beyond the last layer; `TypeError` for another kind of index.
        """
        if isinstance(i, slice):
            return Sequential(self.layers[i])
        try:
            index = operator.index(i)
        except TypeError as error:
            message = f"Indexing with type {type(i)} is not supported: use an `int` or a `slice`."
            raise TypeError(message) from error
        if not -len(self.layers) <= index < len(self.layers):
            message = f"`Sequential` index out of range: {index}, with {len(self.layers)} layers"
            raise IndexError(message)
        return self.layers[index]

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        """The layers, in the order in which they are called."""
        yield from self.layers


def _is_iterable(layers: Any) -> bool:
    try:
        iter(layers)
    except TypeError:
        return False
    return True


def _is_stateful(layer: Any) -> bool:
    return isinstance(layer, StatefulLayer) and layer.is_stateful()


def _takes_key(layer: Any) -> bool:
    """Whether `layer(x, key=...)` is a call that Python can make, as far as can be told."""
    try:
        inspect.signature(layer).bind(None, key=None)
    except ValueError:  # a callable without a signature
        return True
    except TypeError:  # no callable, or the call does not fit
        return isinstance(layer, StatefulLayer)
    return True


def _takes_no_key(index: int, layer: Any) -> str:
    name = getattr(layer, "__name__", None) or repr(layer)
    return (
        f"`layers[{index}]` of `Sequential` cannot be called as `layer(x, key=key)`: `{name}`. If "
        f"it is a function of `x` alone, wrap it: `Lambda({name})`."
    )


def _needs_state(layer: Any) -> str:
    return (
        f"`{type(layer).__name__}` is stateful: call the `Sequential` that holds it with a state, "
        "`y, state = model(x, state, key=key)`."
    )


class Lambda(Module):
    """A function as a layer, as in `Sequential([Linear(2, 8, key=key), Lambda(jax.nn.relu)])`.

    The function is called with the input alone, without `key`.
    """

    fn: Callable[[Any], Any]

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Return `fn(x)`. `key` is ignored."""
        return self.fn(x)

    def __getstate__(self) -> dict[str, Any]:
        """The field, with a function of JAX in a form that can be pickled."""
        return to_state(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the field back."""
        vars(self).update(from_state(state))
