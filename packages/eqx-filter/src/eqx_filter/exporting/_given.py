"""What a program is given, held to what it was exported for: what is no input is a part of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.tree_util as jtu

from ..checkpoints._host import NUMBERS, is_key
from ..checkpoints._named import static_texts
from ..paths._nodes import nodes_of
from ..shared._numbers import as_dtype
from ._plain import plain
from ._specs import is_spec


class _Leaf(NamedTuple):
    name: str
    value: Any


_NONE = _Leaf("", None)


class Given:
    """The arguments that a program was exported for: specs of its inputs, and leaves in it."""

    def __init__(self, args: Any, kwargs: Any) -> None:
        self.leaves = dict(_leaves(args, kwargs)[0])
        self.structure = jtu.tree_structure((args, kwargs))
        self.static = _static(args, kwargs)

    def __call__(self, args: Any, kwargs: Any) -> Any:
        """The inputs of a call in their plain form, with arrays for numbers.

        **Raises:** `TypeError` for a leaf that is no input and is not the exported one, by its
        path, for another text of a static field, and for a number that has no place in the dtype of
        its input.
        """
        pairs, structure = _leaves(args, kwargs)
        found = dict(pairs)
        if not self._has_structure(args, kwargs):
            self._check_static(_static(args, kwargs))
        for place, leaf in self.leaves.items():
            if not is_spec(leaf.value):
                _check_fixed(leaf, found.get(place, _NONE).value)
        for place, leaf in pairs:
            if place not in self.leaves and not is_spec(leaf.value):
                self._refuse_parts(place)
                message = (
                    f"`{leaf.name}` is {leaf.value!r}, and the program was exported without it. "
                    "Leave it out, or export the function with it."
                )
                raise TypeError(message)
        inputs = [_input(leaf, self.leaves.get(place, _NONE).value) for place, leaf in pairs]
        return plain(structure.unflatten(inputs), is_spec)

    def _has_structure(self, args: Any, kwargs: Any) -> bool:
        try:
            return bool(jtu.tree_structure((args, kwargs)) == self.structure)
        except Exception:  # what the nodes hold, beside their children, cannot be compared
            return False

    def _refuse_parts(self, place: str) -> None:
        """Refuse what is in the place of an array and is none, such as a list of numbers."""
        for above, leaf in self.leaves.items():
            if is_spec(leaf.value) and place.startswith(f"{above}["):
                message = (
                    f"`{leaf.name}` is an array in the program, of shape {leaf.value.shape}; got "
                    "several leaves in its place. Pass an array, as `jax.numpy.asarray` makes it."
                )
                raise TypeError(message)

    def _check_static(self, texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            if self.static.get(path, text) != text:
                message = (
                    f"`{path}` is {self.static[path]} in the program, which has it inside; got "
                    f"{text}. Export the function again with this one."
                )
                raise TypeError(message)


def _static(args: Any, kwargs: Any) -> dict[str, str]:
    """Texts of static fields, and of what is no array, by dotted paths."""
    return static_texts(nodes_of({"args": args, "kwargs": kwargs}))


def _leaves(args: Any, kwargs: Any) -> tuple[list[tuple[str, _Leaf]], Any]:
    """The leaves by their places in the plain form, and its structure."""
    pairs, own = jtu.tree_flatten_with_path((args, kwargs))
    boxes = [_Box(_Leaf(_name(path), value)) for path, value in pairs]
    named, structure = jtu.tree_flatten_with_path(plain(own.unflatten(boxes), lambda _: True))
    return [(jtu.keystr(path), box.leaf) for path, box in named], structure


class _Box:
    """Holds a leaf, since a named tuple is a node."""

    def __init__(self, leaf: _Leaf) -> None:
        self.leaf = leaf


def _name(path: tuple[Any, ...]) -> str:
    first, *rest = path
    return ("kwargs" if first.idx else "args") + jtu.keystr(tuple(rest))


def _check_fixed(leaf: _Leaf, value: Any) -> None:
    if not _is_same(leaf.value, value):
        message = (
            f"`{leaf.name}` is {leaf.value!r} in the program, which has it inside; got {value!r}. "
            "Export the function again with this one, or with an array in its place."
        )
        raise TypeError(message)


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        return repr(one) == repr(other) if type(one) in (float, complex) else bool(one == other)
    except (TypeError, ValueError):  # of what has no truth
        return False


def _input(leaf: _Leaf, spec: Any) -> Any:
    """The leaf, or for a number that is given for an array one of its dtype.

    **Raises:** `TypeError` for one that has no place in it.
    """
    value = leaf.value
    if type(value) not in NUMBERS or not is_spec(spec) or is_key(spec):
        return value
    array = as_dtype(value, spec.dtype)
    if array is None:
        message = (
            f"`{leaf.name}` is an array of dtype {spec.dtype} in the program, in which {value!r} "
            "has no place. Pass an array of that dtype."
        )
        raise TypeError(message)
    return array
