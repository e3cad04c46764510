"""State that layers carry from call to call: `State` beside the model, `StateIndex` in it.

A layer never changes. What it must remember is an entry of a `State`, which is handed to the call
and comes back new; the layer holds only the index of its entry.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import Module, field, tree_pformat

from ._entries import axis_of_a_batch, name_of

P = ParamSpec("P")
T = TypeVar("T")
Value = TypeVar("Value")


class StatefulLayer(Module):
    """Base class of layers that are called as `layer(x, state, *, key=None)`.

    Such a layer returns `(y, state)`. `Sequential` hands the state from one to the next.
    """

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output and the new state."""

    def is_stateful(self) -> bool:
        """Whether this instance takes and returns a state; a subclass may look at its fields."""
        return True


class _Sentinel(Module):
    """Stands in an index for the first value, once that is in a `State`."""


class StateIndex(Module, Generic[Value]):
    """The key of one entry of a `State`, made by a layer in its `__init__`.

        class Counter(StatefulLayer):
            count: StateIndex[jax.Array]

            def __init__(self):
                self.count = StateIndex(jnp.array(0))

            def __call__(self, x, state, *, key=None):
                return x, state.set(self.count, state.get(self.count) + 1)

        counter, state = make_with_state(Counter)()

    `marker` tells indices apart: it is the place of the index in the model, as text, in what
    `make_with_state` returns, and an object of its own before.
    """

    marker: Any = field(static=True)
    init: Value | _Sentinel = field(trainable=False)

    def __init__(self, init: Value) -> None:
        """Take the first value of the entry, a PyTree of arrays and numbers."""
        self.marker = object()
        self.init = init


class _Old:
    """Stands in a `State` for its entries, once another was made of them."""

    __slots__ = ("by",)

    def __init__(self, by: str) -> None:
        self.by = by


class State:
    """The values that belong to the indices of a model. A PyTree of arrays.

    Made by `make_with_state`. `set` and `update` return a new state, after which the old one
    refuses any use: a state used twice is nearly always a layer whose news were lost. To use one
    twice on purpose, copy it first with `jax.tree.map(lambda x: x, state)`.
    """

    __slots__ = ("__weakref__", "_state")
    __full_precision__ = True
    __trainable__ = False

    _state: dict[Any, Any] | _Old

    def __init__(self, model: Any) -> None:
        """Collect the first values of every `StateIndex` in `model`, as arrays.

        **Raises:** `ValueError` if `model` comes from `make_with_state`, which took them out;
        `TypeError` for a first value that is no PyTree of arrays and numbers.
        """
        state = {}
        for path, index in jtu.tree_flatten_with_path(model, is_leaf=_is_index)[0]:
            if _is_index(index):
                place = _place(model, path)
                if isinstance(index.init, _Sentinel):
                    message = (
                        f"The first value of `{place}` is in the state that `make_with_state` "
                        "returned with this model, so `State(model)` cannot find it. Keep both: "
                        "`model, state = make_with_state(Model)(...)`."
                    )
                    raise ValueError(message)
                state[index.marker] = _as_arrays(index.init, place)
        self._state = state

    def get(self, item: StateIndex[Value]) -> Value:
        """The value at an index: a PyTree of arrays.

        **Raises:** `ValueError` if the state is old, or if `item` is no `StateIndex`;
        `KeyError` if the index is of another model.
        """
        values = self._values(f"get {_told(item)} from it")
        return values[_marker(item, values)]

    def set(self, item: StateIndex[Value], value: Value) -> State:
        """Return the state with `value` at an index. This state is old afterwards.

        `value` has the structure of what is there, and in each leaf the shape, the dtype and the
        weak type.

        **Raises:** what `get` raises, and `ValueError` if `value` differs in one of these.
        """
        values = self._values(f"set {_told(item)} in it")
        marker = _marker(item, values)
        value = _as_arrays(value, marker)
        difference = _difference(values[marker], value)
        if difference:
            old, new = (tree_pformat(it, struct_as_array=True) for it in (values[marker], value))
            message = (
                f"Old and new values have different structures/shapes/dtypes at {_told(marker)}, "
                f"{difference}. The old value is {old} and the new value is {new}."
                f"{axis_of_a_batch(values[marker], value)}"
            )
            raise ValueError(message)
        return self._superseded(
            {**values, marker: value}, f"`set` gave {_told(marker)} a new value"
        )

    def substate(self, pytree: Any) -> State:
        """The state of a part of the model alone: of the indices in `pytree`.

        Hand it to that part, also under `jax.vmap` where the rest of the state has other axes,
        and put its news back with `State.update`.

        **Raises:** `ValueError` if the state is old; `KeyError` for an index of another model.
        """
        values = self._values("take a `substate` of it")
        leaves = jax.tree.leaves(pytree, is_leaf=_is_index)
        markers = [_marker(leaf, values) for leaf in leaves if _is_index(leaf)]
        return _made({marker: values[marker] for marker in markers})

    def update(self, substate: State) -> State:
        """Return the state with the values of `substate`. This state is old afterwards.

        **Raises:** `ValueError` if either state is old, if `substate` is no `State`, or if it has
        an entry that this one has not.
        """
        if not isinstance(substate, State):
            message = (
                f"`State.update` takes a `State`, such as `state.substate(layer)` or what a layer "
                f"made of it; got a `{type(substate).__name__}`. Use `state.set(index, value)` "
                "for one value."
            )
            raise ValueError(message)
        values, news = self._values("update it"), substate._values("update another with it")
        foreign = [marker for marker in news if marker not in values]
        if foreign:
            message = (
                f"`state.update(substate)` takes a substate of `state`, and {_told(foreign[0])} "
                f"is in `substate` alone. `state` has {_listed(values)}."
            )
            raise ValueError(message)
        return self._superseded({**values, **news}, "`update` took the values of a substate")

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The values, and the markers of their indices.

        **Raises:** `ValueError` if the state is old.
        """
        values = self._values("flatten it, or pass it on,")
        return tuple(values.values()), tuple(values)

    @classmethod
    def tree_unflatten(cls, keys: tuple[Any, ...], values: Any) -> State:
        """Build a state of what `tree_flatten` gave, in reverse order."""
        return _made(dict(zip(keys, values, strict=True)))

    def __getstate__(self) -> Any:
        """What is copied and pickled."""
        return self._state

    def __setstate__(self, state: Any) -> None:
        """Put back what `__getstate__` gave."""
        self._state = state

    def __repr__(self) -> str:
        return tree_pformat(self)

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The wadler-lindig document of the state: each marker with its value."""
        import wadler_lindig as wl

        begin, end = wl.TextDoc(f"{type(self).__name__}("), wl.TextDoc(")")
        if isinstance(self._state, _Old):
            return begin + wl.TextDoc("~old~") + end
        pairs = [(str(marker), value) for marker, value in self._state.items()]
        docs = wl.named_objs(pairs, **kwargs)
        return wl.bracketed(begin=begin, docs=docs, sep=wl.comma, end=end, indent=kwargs["indent"])

    def _values(self, wish: str) -> dict[Any, Any]:
        if isinstance(self._state, _Old):
            message = (
                f"Attempted to use old state: you cannot {wish} any more, since "
                f"{self._state.by} and returned the state to go on with. Write `y, state = "
                "layer(x, state)` at every call, so that the name `state` always means the "
                "newest. To use one state twice on purpose, copy it first: "
                "`jax.tree.map(lambda x: x, state)`."
            )
            raise ValueError(message)
        return self._state

    def _superseded(self, values: dict[Any, Any], by: str) -> State:
        self._state = _Old(by)
        return _made(values)


def _made(values: dict[Any, Any]) -> State:
    state = object.__new__(State)
    state._state = values
    return state


def _flatten_with_keys(state: State) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
    values, markers = state.tree_flatten()
    keys = [jtu.DictKey(marker) for marker in markers]
    return list(zip(keys, values, strict=True)), markers


jtu.register_pytree_with_keys(State, _flatten_with_keys, State.tree_unflatten, State.tree_flatten)


def make_with_state(make_model: Callable[P, T]) -> Callable[P, tuple[T, State]]:
    """Let a class, or any function that builds a model, return the pair of model and state.

        model, state = make_with_state(Model)(...)

    **Arguments:** `make_model`: a class or a function that returns a model.

    **Returns:** a function of the same arguments that returns the pair. In the model, each
    `StateIndex` has its place in the model as its marker, such as
    `"Sequential.layers[1].batch_counter"`, so models built alike have equal structures; their
    first values are in the state alone.

    The function **raises** what `make_model` and `State` raise.
    """

    @functools.wraps(make_model, updated=())
    def make(*args: P.args, **kwargs: P.kwargs) -> tuple[T, State]:
        model = make_model(*args, **kwargs)
        state = State(model)
        pairs, structure = jtu.tree_flatten_with_path(model, is_leaf=_is_index)
        leaves, values = [leaf for _, leaf in pairs], {}
        for i, (path, leaf) in enumerate(pairs):
            if _is_index(leaf):
                place = _place(model, path)
                values[place] = state.get(leaf)
                leaves[i] = _index(place, _Sentinel())
        return jtu.tree_unflatten(structure, leaves), _made(values)

    return make


def delete_init_state(model: T) -> T:
    """Take the first values out of the indices in `model`, which is then smaller by them.

    For a model whose `State(model)` was taken by hand; `make_with_state` does both.
    """

    def without(leaf: Any) -> Any:
        return _index(leaf.marker, _Sentinel()) if _is_index(leaf) else leaf

    return jax.tree.map(without, model, is_leaf=_is_index)


def _is_index(node: Any) -> bool:
    return isinstance(node, StateIndex)


def _index(marker: Any, init: Any) -> StateIndex:
    index = StateIndex(init)
    object.__setattr__(index, "marker", marker)
    return index


def _place(model: Any, path: Any) -> str:
    return type(model).__name__ + jtu.keystr(path)


def _told(marker: Any) -> str:
    """What messages call the entry of an index, or of its marker."""
    marker = marker.marker if _is_index(marker) else marker
    return name_of(marker)


def _marker(item: Any, values: dict[Any, Any]) -> Any:
    """The marker of an index that has an entry in `values`."""
    if not _is_index(item):
        message = (
            f"A `State` is asked by `StateIndex`, as in `state.get(layer.index)`; got a "
            f"`{type(item).__name__}`."
        )
        raise ValueError(message)
    if item.marker not in values:
        message = (
            f"This `State` lacks {_told(item)}; it has {_listed(values)}. The layer and the state "
            "must come from one call of `make_with_state`, and a substate knows only the part "
            "that it was taken of."
        )
        raise KeyError(message)
    return item.marker


def _listed(values: dict[Any, Any]) -> str:
    return ", ".join(map(_told, values)) or "no entries"


def _as_arrays(value: Any, place: Any) -> Any:
    try:
        return jax.tree.map(jnp.asarray, value)
    except TypeError as error:
        error.add_note(f"A `State` holds arrays and numbers alone. This is of {_told(place)}.")
        raise


def _difference(old: Any, new: Any) -> str | None:
    """Say where two values differ in structure, shape, dtype or weak type, if they do."""
    olds, structure = jtu.tree_flatten_with_path(old)
    news, other = jax.tree.flatten(new)
    if structure != other:
        return "in their structure"
    for (path, before), after in zip(olds, news, strict=True):
        for what in ("shape", "dtype", "weak_type"):
            if getattr(before, what, None) != getattr(after, what, None):
                return f"in the {what.replace('_', ' ')} of {jtu.keystr(path) or 'the array'}"
    return None
