"""Stand-ins: nodes of a tree that mark what goes in and comes out when they are called.

A stand-in is of a class made on the fly below the node's own, with the same attributes and
children, so it is an instance of that and computes the same. A node that has no such class, as a
plain function has none, is put inside of another one.
"""

import abc
import contextlib
import functools
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.tree_util as jtu

from eqx_pytree import Module, field

from ..paths._nodes import Node
from ..rules._finalise import primitive_finalisations
from ..shared._levels import below
from ..shared._marks import calls, mark_p
from ..shared._packed import Layout

_TAGS = "__tags__"


class Tag(NamedTuple):
    """What a stand-in marks: of which node, for which call, and whether what goes in as well.

    `level` is how many calls of that kind are around the call: it is the same each time, so that a
    function that was traced with such a stand-in need not be traced again.
    """

    path: str
    level: int
    inputs: bool = False


class Label:
    """What is known of a mark: its tag, and the layout of the marked arrays."""

    __slots__ = ("is_input", "layout", "tag")

    def __init__(self, tag: Tag, layout: Layout, is_input: bool) -> None:
        self.tag = tag
        self.layout = layout
        self.is_input = is_input

    def __repr__(self) -> str:
        return f"{'into' if self.is_input else 'out of'} {self.tag.path!r}"


class StandIn:
    """What the classes on the fly have before the node's own; see `stand_in`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep hooks of the user's classes from hearing of these."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the node, and mark."""
        call: Any = super().__call__  # type: ignore[misc]
        return _call(call, vars(self).get(_TAGS, ()), args, kwargs)


def _of_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """A `__call__` of stand-ins that has the signature of the class's own."""

    @functools.wraps(function)
    def __call__(self: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - it is that
        return StandIn.__call__(self, *args, **kwargs)

    return __call__


class _Around(Module):
    """A callable of any type, with marks."""

    fun: Any
    tags: tuple[Tag, ...] = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return _call(self.fun, self.tags, args, kwargs)

    @property
    def __wrapped__(self) -> Any:
        return self.fun

    def __getattr__(self, name: str) -> Any:
        if name in ("fun", "tags"):  # absent while it is made
            raise AttributeError(name)
        return getattr(self.fun, name)


@contextlib.contextmanager
def traced_level() -> Iterator[tuple[int, set[str]]]:
    """The level of a call that is traced, and the paths of the stand-ins that were called in it."""
    around, called = calls.get(), set[str]()
    token = calls.set((*around, called))
    try:
        yield len(around), called
    finally:
        calls.reset(token)


def with_stand_ins(
    nodes: Sequence[Node], places: Iterable[int], level: int, *, inputs: bool = False
) -> Any:
    """The tree of these nodes, with stand-ins at these places of the row, within each other too."""
    values: list[Any] = [node.value for node in nodes]
    chosen = set(places)
    children: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(i)
    changed: set[int] = set()
    for i in reversed(range(len(nodes))):  # each comes after those below it
        inner = children.get(i, ())
        if not changed.isdisjoint(inner):
            structure = jtu.tree_structure(values[i], is_leaf=below(values[i]))
            values[i] = structure.unflatten([values[child] for child in inner])
            changed.add(i)
        if i in chosen:
            values[i] = stand_in(values[i], Tag(nodes[i].path, level, inputs))
            changed.add(i)
    return values[0]


def stand_in(node: Any, tag: Tag) -> Any:
    """What stands for a callable node."""
    if isinstance(node, _Around):
        return _Around(node.fun, (*node.tags, tag))
    tags = (*vars(node).get(_TAGS, ()), tag) if isinstance(node, StandIn) else (tag,)
    cls = None if jtu.all_leaves([node]) else _class_below(type(node))
    return _Around(node, tags) if cls is None else _as(cls, node, tags)


def restored(tree: Any, level: int) -> Any:
    """The tree, with the nodes in the place of the stand-ins of one call."""

    def is_ours(node: Any) -> bool:
        return any(tag.level == level for tag in _tags_of(node))

    def original(node: Any) -> Any:
        if not is_ours(node):
            return node
        tags = tuple(tag for tag in _tags_of(node) if tag.level != level)
        if isinstance(node, _Around):
            return _Around(restored(node.fun, level), tags) if tags else restored(node.fun, level)
        plain = restored(_as(_plain_class(type(node)), node), level)
        return _as(type(node), plain, tags) if tags else plain

    return jtu.tree_map(original, tree, is_leaf=is_ours)


def _tags_of(node: Any) -> tuple[Tag, ...]:
    if isinstance(node, _Around):
        return node.tags
    return vars(node).get(_TAGS, ()) if isinstance(node, StandIn) else ()


def _call(
    call: Callable[..., Any],
    tags: tuple[Tag, ...],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    around = calls.get()
    for tag in tags:
        if tag.level < len(around):
            around[tag.level].add(tag.path)
        if tag.inputs:
            args, kwargs = marked((args, dict(kwargs)), tag, is_input=True)
    out = call(*args, **kwargs)
    for tag in tags:
        out = marked(out, tag, is_input=False)
    return out


def marked(tree: Any, tag: Tag, *, is_input: bool) -> Any:
    """A tree whose arrays are marked."""
    leaves, structure = jtu.tree_flatten(tree)
    label = Label(tag, _layout(*jtu.tree_flatten(restored(tree, tag.level))), is_input)
    arrays = mark_p.bind(*[leaf for leaf in leaves if isinstance(leaf, jax.Array)], label=label)
    return _layout(leaves, structure).rebuild(arrays)


def _layout(leaves: list[Any], structure: Any) -> Layout:
    """The layout of JAX's arrays. NumPy's are static: code may rely on their values."""
    return Layout(leaves, structure, (jax.Array,))


_classes: dict[type, type | None] = {}
"""The class on the fly below each class. JAX keeps every class that it knows, and so may this."""

_making = threading.Lock()


def _class_below(cls: type) -> type | None:
    if issubclass(cls, StandIn):
        return cls
    with _making:
        if cls not in _classes:
            _classes[cls] = _made_below(cls)
        return _classes[cls]


def _made_below(cls: Any) -> type | None:
    """A class below another one, as JAX knows it; None where an instance cannot be copied."""
    meta = type(cls)
    make: Any = abc.ABCMeta.__new__ if issubclass(meta, abc.ABCMeta) else type.__new__
    names = {"__qualname__": cls.__qualname__, "__module__": cls.__module__, "__doc__": cls.__doc__}
    if isinstance(cls.__call__, types.FunctionType):
        names["__call__"] = _of_signature(cls.__call__)
    try:
        made = make(meta, cls.__name__, (StandIn, cls), names)
        tuple.__new__(made) if issubclass(made, tuple) else object.__new__(made)
        jtu.register_pytree_with_keys(made, _flatten_with_keys, _unflatten, _flatten)
    except TypeError:
        return None
    return made


def _as(cls: type, node: Any, tags: tuple[Tag, ...] = ()) -> Any:
    """An instance of a class with all that a node holds."""
    made: Any = tuple.__new__(cls, node) if isinstance(node, tuple) else object.__new__(cls)
    for slot in _slots(type(node)):
        with contextlib.suppress(AttributeError):  # nothing is in it
            slot.__set__(made, slot.__get__(node))
    held = {name: value for name, value in getattr(node, "__dict__", {}).items() if name != _TAGS}
    if tags:
        held[_TAGS] = tags
    if held:
        made.__dict__.update(held)
    return made


@functools.cache
def _slots(cls: type) -> list[types.MemberDescriptorType]:
    held = [value for base in cls.__mro__ for value in vars(base).values()]
    return [value for value in held if isinstance(value, types.MemberDescriptorType)]


def _plain_class(cls: type) -> type:
    """The class of the node that an instance of a class on the fly stands for."""
    return cls.__mro__[2]


def _flatten_with_keys(instance: Any) -> Any:
    plain = _as(_plain_class(type(instance)), instance)
    pairs, structure = jtu.tree_flatten_with_path(plain, is_leaf=below(plain))
    aux = type(instance), structure, vars(instance).get(_TAGS, ())
    return [(key, child) for (key,), child in pairs], aux


def _flatten(instance: Any) -> Any:
    plain = _as(_plain_class(type(instance)), instance)
    children, structure = jtu.tree_flatten(plain, is_leaf=below(plain))
    return children, (type(instance), structure, vars(instance).get(_TAGS, ()))


def _unflatten(aux: Any, children: Any) -> Any:
    cls, structure, tags = aux
    return _as(cls, structure.unflatten(children), tags)


primitive_finalisations[mark_p] = lambda *arrays, label: list(arrays)
