"""Selectors: one vocabulary for the nodes of a PyTree, wherever some are to be chosen."""

import functools
import inspect
import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ..shared._describe import describe
from ..shared._difference import first_difference
from ..shared._filter_spec import IsLeaf, filter_mask
from ..shared._levels import one_level_with_paths
from ._dotted import nearest, part
from ._glob import Pattern
from ._nodes import Node, covered, nodes_of, outermost, touched
from ._where import choose

_MOST_TOLD = 5


class Selector:
    """Some nodes of a PyTree, whichever it is; made by `by`.

    Called with a PyTree it gives a mask: a PyTree of that structure, True for the leaves that are
    selected or below a node that is. So Optax takes it where it takes a mask. `a & b` selects what
    lies in both, `a | b` what lies in either, and `~a` all else; each side may be anything that
    `by` takes.
    """

    names_leaves = True
    """Whether a leaf that it matches is one that was meant, and not one of what is left."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *(it for it in vars(self).values() if isinstance(it, Hashable))))

    def __call__(self, tree: Any) -> Any:
        """Make a mask of a tree, any PyTree.

        **Raises:** `ValueError` if no leaf of it is selected.
        """
        return jtu.tree_structure(tree).unflatten(leaf_mask(self, tree))

    def __and__(self, other: "Where") -> "Selector":
        return _Both(self, by(other))

    def __rand__(self, other: "Where") -> "Selector":
        return _Both(by(other), self)

    def __or__(self, other: "Where") -> "Selector":
        return _Either(self, by(other))

    def __ror__(self, other: "Where") -> "Selector":
        return _Either(by(other), self)

    def __invert__(self) -> "Selector":
        return _Others(self)

    def matched(self, nodes: Sequence[Node], is_leaf: IsLeaf = None) -> list[bool]:
        """Say of each node whether it is selected.

        **Raises:** `ValueError` if none is.
        """
        answers = self._matched(nodes, is_leaf)
        if not any(answers):
            raise ValueError(self._told_nothing(nodes))
        return answers

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        raise NotImplementedError

    def _told_nothing(self, nodes: Sequence[Node]) -> str:
        paths = [node.path or "the tree itself, a leaf" for node in nodes if node.is_leaf]
        return f"{_selects_nothing(self, nodes)} {_listed('Its leaves are', paths)}"


Chooser = str | type | types.UnionType | Selector
"""What selects nodes and is no function from a tree to nodes, nor a mask."""

Where = Chooser | Callable[..., Any] | Any
"""What selects nodes: see `by`."""


def by(where: Where) -> Selector:
    """Make a selector, which `&`, `|` and `~` put together with others.

        by("layers.*.weight")                          # by path; `**` is any number of parts
        by(BatchNorm | LayerNorm)                      # nodes of these types
        by(lambda path, node: path.endswith("bias"))   # anything
        by(lambda model: model.layers[-1])             # as in `tree_at`
        by("encoder") & ~by(lambda path, node: getattr(node, "ndim", 2) < 2)

    A selector selects nodes, leaves or subtrees; a leaf is selected with each node above it.

    **Arguments:**

    - `where`: a path as `tree_paths` gives it, in which a `*` is any text within a part and a part
        `**` any number of parts, or the same as Python has it, `layers[*].weight`, with `model.`
        before it or not; a type or a union of types, of nodes or leaves; a function of path and
        node that says True or False; a function from the tree to a node or a sequence of nodes,
        which may look at the structure alone; a prefix of the tree whose leaves are booleans, or
        functions from a leaf to one; or a selector.

    **Returns:** a selector. It works on any tree; one that selects nothing there is refused, by
    `ValueError` with the nearest paths.

    **Raises:** `TypeError` if `where` is none of these, `ValueError` if it is no path.
    """
    if isinstance(where, Selector):
        return where
    if isinstance(where, str):
        return _by_path(where)
    if isinstance(where, (type, types.UnionType)):
        return _ByType(where)
    if callable(where) and jtu.all_leaves([where]):
        return _ByNode(where) if _takes_two(where) else _ByPlace(where)
    return _ByMask(where)


def as_function(where: Where, pytree: Any, is_leaf: IsLeaf = None) -> Callable[[Any], Any]:
    """Make of a selector a function from a tree like `pytree` to its nodes, as `tree_at` calls it.

    A path without a wildcard is one node; else there is a list of the outermost ones.
    """
    return _Chosen(by(where), pytree, is_leaf)


class _Chosen:
    """A function from a tree like another one to what a selector selects there."""

    def __init__(self, selector: Selector, pytree: Any, is_leaf: IsLeaf) -> None:
        self.selector = selector
        self.pytree = pytree
        self.is_leaf = is_leaf

    def __repr__(self) -> str:
        return repr(self.selector)

    def __call__(self, copy: Any) -> Any:
        if isinstance(self.selector, _ByPath):
            return self.selector.find(copy, self.pytree, self.is_leaf)
        nodes = nodes_of(self.pytree, self.is_leaf)
        like = nodes_of(copy)
        places = outermost(nodes, self.selector.matched(nodes, self.is_leaf))
        return [like[i].value for i in places]


def leaf_mask(where: Where, tree: Any) -> list[bool]:
    """Say of each leaf whether it is selected, or below a node that is.

    **Raises:** `ValueError` if none is.
    """
    return mask_of_leaves(by(where), nodes_of(tree))


def mask_of_leaves(selector: Selector, nodes: Sequence[Node]) -> list[bool]:
    """`leaf_mask` of a tree whose nodes are known."""
    over = covered(nodes, selector.matched(nodes))
    mask = [it for node, it in zip(nodes, over, strict=True) if node.is_leaf]
    if not any(mask):
        paths = [node.path or "the tree itself" for node, it in zip(nodes, over, strict=True) if it]
        told = _listed("It selects only nodes without leaves:", paths)
        message = f"{_selects_nothing(selector, nodes)} {told}"
        raise ValueError(message)
    return mask


class _ByPath(Selector):
    def __init__(self, text: str) -> None:
        self.text = text
        self.pattern = Pattern(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByPath) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return repr(self.text)

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        own = {node.path for node in nodes if len(node.keys) == 1}
        pattern = self.pattern.without_root(own)
        return [pattern.matches(node.path, len(node.keys)) for node in nodes]

    def find(self, copy: Any, pytree: Any, is_leaf: IsLeaf) -> Any:
        """The node of `copy`, or a list of nodes where there is a wildcard."""
        pattern = self.pattern
        if pattern.may_have_root:
            level = one_level_with_paths(copy) or ()
            pattern = pattern.without_root({part(key) for (key,), _ in level})
        found = pattern.find(copy)
        if self.pattern.has_wildcard and found:
            return found
        if len(found) > 1:
            message = (
                f"`{self!r}` is the path of {len(found)} nodes, whose keys have one text. Give the "
                "keys of one node texts that differ."
            )
            raise ValueError(message)
        if not found:
            raise ValueError(self._told_nothing(nodes_of(pytree, is_leaf)))
        return found[0]

    def _told_nothing(self, nodes: Sequence[Node]) -> str:
        own = {node.path for node in nodes if len(node.keys) == 1}
        wanted = ".".join(self.pattern.without_root(own).parts)
        near = nearest(wanted, [node.path for node in nodes if node.path])
        if any(it.startswith("-") for it in self.pattern.parts):
            return f"{_selects_nothing(self, nodes)} Indices count from 0, not from the end."
        if not near:
            return super()._told_nothing(nodes)
        told = f"{_selects_nothing(self, nodes)} {_listed('The nearest paths are', near)}"
        return told + _told_of_stack(wanted, nodes)


_by_path = functools.lru_cache(maxsize=1024)(_ByPath)
"""A pattern is read once."""


class _ByType(Selector):
    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return getattr(self.kind, "__name__", str(self.kind))

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        return [isinstance(node.value, self.kind) for node in nodes]

    def _told_nothing(self, nodes: Sequence[Node]) -> str:
        names = sorted({type(node.value).__name__ for node in nodes})
        told = _listed("Its nodes are of the types", names, most=20)
        return f"{_selects_nothing(self, nodes)} {told} In a union of types some may be absent."


class _ByNode(Selector):
    """By a function of path and node."""

    def __init__(self, function: Callable[[str, Any], Any]) -> None:
        self.function = function

    def __repr__(self) -> str:
        return describe(self.function).strip("`")

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        answers = [self.function(node.path, node.value) for node in nodes]
        for node, answer in zip(nodes, answers, strict=True):
            if answer is None or not jtu.all_leaves([answer]):
                message = (
                    "A function of path and node must answer True or False; "
                    f"{describe(self.function)} answered `{answer!r}` for `{node.path}`. Does it "
                    "`return`?"
                )
                raise ValueError(message)
        return list(map(bool, answers))


class _ByPlace(Selector):
    """By a function from the tree to nodes of it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __repr__(self) -> str:
        return describe(self.function).strip("`")

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        chosen = choose(self.function, nodes[0].value, is_leaf)
        wanted = set(map(id, chosen.nodes))
        return [id(node.value) in wanted for node in nodes_of(chosen.copy)]


class _ByMask(Selector):
    """By a prefix of the tree, of booleans or functions of a leaf."""

    def __init__(self, mask: Any) -> None:
        for leaf in jtu.tree_leaves(mask):
            if not (callable(leaf) or isinstance(leaf, (bool, np.bool_))):
                message = (
                    f"`{mask!r}` selects no nodes. Pass a path, a type, a function, a tree of "
                    "booleans, or what `by` makes of them; two of them are `by(one) | other`."
                )
                raise TypeError(message)
        self.mask = mask

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"a mask, a `{type(self.mask).__name__}`"

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        tree = nodes[0].value
        try:
            jtu.tree_structure(self.mask).flatten_up_to(tree)
        except ValueError:
            path, told = first_difference(self.mask, tree, prefix=True)
            message = (
                "A mask must be a prefix of the tree that it selects of; at "
                f"`mask{jtu.keystr(path)}`: {told}."
            )
            raise ValueError(message) from None
        answers = iter(filter_mask(tree, jtu.tree_leaves(tree, is_leaf), self.mask, is_leaf))
        return [next(answers) if node.is_leaf else False for node in nodes]


class _Both(Selector):
    def __init__(self, one: Selector, other: Selector) -> None:
        self.one, self.other = one, other
        self.names_leaves = one.names_leaves and other.names_leaves

    def __repr__(self) -> str:
        return f"{self.one!r} & {self.other!r}"

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        one, other = self.one.matched(nodes, is_leaf), self.other.matched(nodes, is_leaf)
        below = zip(covered(nodes, one), covered(nodes, other), strict=True)
        either = map(any, zip(one, other, strict=True))
        return [it and all(both) for it, both in zip(either, below, strict=True)]


class _Either(Selector):
    def __init__(self, one: Selector, other: Selector) -> None:
        self.one, self.other = one, other
        self.names_leaves = one.names_leaves and other.names_leaves

    def __repr__(self) -> str:
        return f"({self.one!r} | {self.other!r})"

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        pairs = zip(
            self.one.matched(nodes, is_leaf), self.other.matched(nodes, is_leaf), strict=True
        )
        return list(map(any, pairs))


class _Others(Selector):
    """The largest subtrees that nothing of a selector is in."""

    names_leaves = False

    def __init__(self, one: Selector) -> None:
        self.one = one

    def __repr__(self) -> str:
        return f"~{self.one!r}"

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        near = touched(nodes, self.one.matched(nodes, is_leaf))
        above = [*near, True]  # the last stands for what is above the root
        return [not it and above[node.parent] for node, it in zip(nodes, near, strict=True)]


def is_selector(where: Where) -> bool:
    """Whether what stands for nodes is no function from a tree to them. Asked at each `tree_at`."""
    if type(where) is types.FunctionType:
        return _takes_two(where)
    if isinstance(where, Chooser) or not callable(where):
        return True
    return _takes_two(where) if jtu.all_leaves([where]) else _is_mask(where)


def _is_mask(tree: Any) -> bool:
    leaves = jtu.tree_leaves(tree)
    return bool(leaves) and all(isinstance(leaf, (bool, np.bool_)) for leaf in leaves)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function takes path and node, and not the tree."""
    if type(function) is types.FunctionType and not hasattr(function, "__wrapped__"):
        return function.__code__.co_argcount - len(function.__defaults__ or ()) == 2
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([p for p in parameters if p.kind in kinds and p.default is p.empty]) == 2


def _selects_nothing(selector: Selector, nodes: Sequence[Node]) -> str:
    return f"`{selector!r}` selects nothing in the `{type(nodes[0].value).__name__}`."


def _told_of_stack(wanted: str, nodes: Sequence[Node]) -> str:
    """What is said where a path names one of the layers that a node keeps as one."""
    for node in nodes:
        start = f"{node.path}." if node.path else ""
        rest = wanted.removeprefix(start)
        is_below = wanted.startswith(start) and rest.split(".")[0].isdigit()
        if is_below and hasattr(type(node.value), "__unstacked__"):
            return (
                f" The layers of a `{type(node.value).__name__}` are one node, which is selected "
                "as a whole; a function that indexes it, as `lambda tree: tree.layers[3]`, is what "
                "`tree_at` takes for one of them."
            )
    return ""


def _listed(words: str, names: Sequence[str], most: int = _MOST_TOLD) -> str:
    told = ", ".join(f"`{name}`" for name in names[:most]) or "none"
    return f"{words} {told}{', ...' if len(names) > most else ''}."
