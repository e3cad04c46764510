"""`Enumeration`: named values with messages, which programs can choose among while they run."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eqx_pytree import Module, field, warn_user

from ..errors import branched_error_if
from ..shared._describe import describe_value
from ..shared._predicates import is_number_or_array


class EnumerationItem(Module):
    """A value of an `Enumeration`: an integer array, and static, which enumeration it is of."""

    _value: Any
    _enumeration: "_EnumerationMeta" = field(static=True)

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        """Whether two items of one enumeration are the same: an array of bools.

        It is traced only if an item is; so of known items it can be asked in compiled functions.

        **Raises:** `ValueError` for anything else.
        """
        if not isinstance(other, EnumerationItem) or other._enumeration is not self._enumeration:
            message = (
                "Can only compare equality between enumerations of the same type: "
                f"{self!r} and {other!r} are not. Bring an item into an enumeration that inherits "
                "from its own with `promote`."
            )
            raise ValueError(message)
        return _known_if_it_can_be(jnp.equal, self._value, other._value)

    def __ne__(self, other: object) -> Any:
        """The opposite of equality."""
        return _known_if_it_can_be(jnp.logical_not, self == other)

    def __repr__(self) -> str:
        name = f"{self._enumeration.__module__}.{self._enumeration.__qualname__}"
        return f"{name}<{self._enumeration[self]}>"

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The same text inside of the text of a tree."""
        import wadler_lindig as wl

        return wl.TextDoc(repr(self))

    def error_if(self, token: Any, pred: Any) -> Any:
        """Raise an error with the message of this item, if a condition holds: see `error_if`.

        **Arguments:**

        - `token`: any PyTree with an array in it; it is returned, and is to be used.
        - `pred`: a bool, or an array of bools.

        **Returns:** `token`.
        """
        return branched_error_if(token, pred, self._value, self._enumeration._index_to_message)

    def is_traced(self) -> bool:
        """Whether a program chooses the item while it runs."""
        return _is_traced(self._value)


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def _known_if_it_can_be(function: Any, *values: Any) -> jax.Array:
    """Call a function of JAX's; in a trace, the result is traced only if one of the values is."""
    if any(map(_is_traced, values)):
        return function(*values)
    with jax.ensure_compile_time_eval():
        return function(*values)


def _chosen(pred: Any, a: Any, b: Any) -> jax.Array:
    """`jnp.where`, known where `pred` does not matter, or is known itself."""
    if np.shape(a) == np.shape(b):
        if not _is_traced(a) and not _is_traced(b) and np.array_equal(a, b):
            return _known_if_it_can_be(jnp.asarray, a)
        if not _is_traced(pred):
            return _known_if_it_can_be(jnp.asarray, a if pred else b)
    return _known_if_it_can_be(jnp.where, pred, a, b)


_METHODS = ("promote", "where")


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _inherited(bases: tuple[Any, ...]) -> dict[str, str]:
    messages: dict[str, str] = {}
    for base in bases:
        for key, item in base._name_to_item.items():
            message = base._index_to_message[int(item._value)]
            _warn_of_other(messages, key, message)
            messages[key] = message
    return messages


def _warn_of_other(messages: dict[str, str], key: str, message: str) -> None:
    if messages.get(key, message) != message:
        told = (
            f"Enumeration has duplicate incompatible values for {key}. Using the latest, which is "
            f"'{message}'."
        )
        warn_user(told)


def _refuse_item(enumeration: str, key: str, message: Any) -> None:
    if key in _METHODS:
        told = (
            f"Cannot have enumeration item with name `{key}`, as this conflicts with the "
            "classmethod of this name."
        )
        raise ValueError(told)
    if not isinstance(message, str):
        told = (
            f"`{enumeration}.{key}` must be a text, the message of the item; it is "
            f"{describe_value(message)}."
        )
        raise TypeError(told)


class _EnumerationMeta(type):
    """Makes items of the texts in a class statement.

    - `_name_to_item`: the items by name, those of the bases first.
    - `_index_to_message`: the message of each.
    - `_tables`: for each enumeration that it inherits from, the index here of each item there.
    """

    _name_to_item: dict[str, EnumerationItem]
    _index_to_message: list[str]
    _tables: dict[Any, np.ndarray]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        own = {key: value for key, value in namespace.items() if not _is_dunder(key)}
        rest = {key: value for key, value in namespace.items() if _is_dunder(key)}
        if bases == ():  # `Enumeration` itself
            own, rest = {}, namespace
        messages = _inherited(bases)
        for key, message in own.items():
            _refuse_item(name, key, message)
            _warn_of_other(messages, key, message)
            messages[key] = message
        cls = super().__new__(mcs, name, bases, rest)
        cls._index_to_message = list(messages.values())
        cls._name_to_item = {
            key: EnumerationItem(np.array(index, np.int32), cls)
            for index, key in enumerate(messages)
        }
        places = {key: index for index, key in enumerate(messages)}
        cls._tables = {
            base: np.array([places[key] for key in base._name_to_item], np.int32)
            for base in cls.__mro__[1:]
            if isinstance(base, _EnumerationMeta)
        }
        for key, item in cls._name_to_item.items():
            setattr(cls, key, item)
        if "__doc__" not in rest:
            lines = [f"- `{key}`: {message}" for key, message in messages.items()]
            cls.__doc__ = "\n".join(["An enumeration of:", "", *lines])
        return cls

    def __getitem__(cls, item: Any) -> str:
        """The message of an item; of a batch of them, those of all; `"traced"` while tracing.

        **Raises:** `ValueError` if it is no item of this enumeration.
        """
        if not isinstance(item, EnumerationItem):
            message = (
                f"Index must be an enumeration item such as `{cls.__name__}.name`, not {item!r}."
            )
            raise ValueError(message)
        if item._enumeration is not cls:
            message = (
                "Enumeration item must be from this enumeration. It is of "
                f"`{item._enumeration.__qualname__}`, not `{cls.__qualname__}`."
            )
            raise ValueError(message)
        if item.is_traced():
            return "traced"
        found = np.array(cls._index_to_message)[np.asarray(item._value)]
        return str(found)

    def __contains__(cls, item: Any) -> bool:
        return isinstance(item, EnumerationItem) and item._enumeration is cls

    def __instancecheck__(cls, item: Any) -> bool:
        return item in cls

    def __iter__(cls) -> Iterator[EnumerationItem]:
        return iter(cls._name_to_item.values())

    def __len__(cls) -> int:
        return len(cls._name_to_item)


class Enumeration(metaclass=_EnumerationMeta):
    """Named values, each with a message.

    ```python
    class Result(eqx.Enumeration):
        successful = ""
        diverged = "The solver diverged."


    result = Result.where(jnp.isfinite(x), Result.successful, Result.diverged)
    x = result.error_if(x, result != Result.successful)
    ```

    An item is a PyTree with one integer array, so that compiled programs can take, choose and
    return items. `Result[item]` is the message; `len`, `in` and iteration are as for a collection.
    An enumeration that inherits from others has their items too, as items of its own.

    **Raises:** in the class statement: `TypeError` for a value that is no text; `ValueError` for an
    item called as a method is; a warning where a name has two messages, of which the later counts.
    """

    @classmethod
    def where(cls, pred: Any, a: Any, b: Any) -> Any:
        """Choose between two items.

        **Arguments:**

        - `pred`: a bool, or an array of shape `()` and dtype bool.
        - `a`, `b`: items of this enumeration.

        **Returns:** `a` where `pred`, and else `b`. It is traced only where the choice is: not if
        `pred` is known, nor if both are the same.

        **Raises:** `ValueError` for anything else.
        """
        if a not in cls or b not in cls:
            name = f"{cls.__module__}.{cls.__qualname__}"
            message = f"Arguments to {name}.where(...) must be members of {name}."
            raise ValueError(message)
        is_bool = is_number_or_array(pred) and jnp.result_type(pred) == jnp.bool_
        if not is_bool or jnp.ndim(pred):
            message = (
                f"`where` requires a scalar boolean predicate, not {describe_value(pred)}. "
                "For a batch of them, use `filter_vmap`."
            )
            raise ValueError(message)
        return EnumerationItem(_chosen(pred, a._value, b._value), cls)

    @classmethod
    def promote(cls, item: Any) -> Any:
        """Bring an item of an enumeration that this one inherits from into this one.

        **Arguments:**

        - `item`: the item.

        **Returns:** the item of that name here.

        **Raises:** `ValueError` if it is no item of an enumeration that this one inherits from.
        """
        if not isinstance(item, EnumerationItem):
            message = f"Can only promote enumerations; {item!r} is no item of one."
            raise ValueError(message)
        if item._enumeration not in cls._tables:
            message = (
                "Can only promote from inherited enumerations. "
                f"`{cls.__qualname__}` does not inherit from `{item._enumeration.__qualname__}`."
            )
            raise ValueError(message)
        table = cls._tables[item._enumeration]
        return EnumerationItem(_known_if_it_can_be(jnp.take, table, item._value), cls)
