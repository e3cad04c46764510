"""`Stacked`: equal blocks, kept as one block and applied by one loop."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from eqx_filter import is_array
from eqx_pytree import field

from .._init import checked_size
from .._random import Key, split_key
from .._state import State, StatefulLayer, StateIndex
from ._rows import row_of, stack

T = TypeVar("T")
Remat = Literal["none", "full", "dots"] | int | Callable[..., bool]
"""What the way back computes again instead of keeping it."""


class Stacked(StatefulLayer, Generic[T]):
    """Equal blocks, one after the other: `x = block_i(x)` for each of `depth` of them.

    Their arrays are kept as one, with an axis of layers in front, and they are applied by one scan:
    a hundred compile in the time of one.

        blocks = Stacked(lambda key: TransformerBlock(64, 4, key=key), 12, key=key)
        y = blocks(x)

    `blocks[3]` is one block, `blocks[2:5]` are some, still as one; `len` and iteration are those of
    a tuple of blocks, and `tree_at(lambda m: m[3].attention, blocks, new)` replaces a part of one.
    `Stacked.of(layers)` and `tuple(blocks)` lead from and to a tuple, without loss.
    """

    block: T
    depth: int = field(static=True)
    remat: Remat = field(static=True)
    unroll: int | bool = field(static=True)

    def __init__(
        self,
        make: Callable[[PRNGKeyArray], T],
        depth: int,
        *,
        remat: Remat = "dots",
        unroll: int | bool = 1,
        key: PRNGKeyArray,
    ) -> None:
        """Make the blocks, each with a key of its own.

        **Arguments:**

        - `make`: a function of a key that gives a block. It is called once, for all of them.
        - `depth`: how many blocks there are.
        - `remat`: what a gradient keeps of the way forward; it computes the rest again. `"dots"`,
            the inputs of blocks and the results of products, convolutions and attention, which is
            mostly the fastest, as what lies between costs less to compute than to keep; `"none"`,
            all that it needs; `"full"`, the inputs of blocks; a number `n`, the input of every
            `n`-th block; a policy of `jax.checkpoint_policies`, what it says. Chen et al. (2016,
            "Training Deep Nets with Sublinear Memory Cost").
        - `unroll`: how many blocks a step of the scan has, or True for all of them.
        - `key`: a PRNG key, split into one for each block.

        **Raises:** `TypeError` or `ValueError` for a `depth` that is no integer from 1 on, and for
        another `remat`; `TypeError` for a subclass with more fields; what `make` raises.
        """
        _check_fields(type(self))
        self.depth = checked_size("Stacked", "depth", depth)
        if self.depth < 1:
            message = f"`Stacked` keeps at least one block; got `depth={depth}`."
            raise ValueError(message)
        self.remat, self.unroll = _checked(remat), unroll
        if not callable(make):
            message = (
                f"`make` of `Stacked` is a function of a key that gives a block; got {make!r}. "
                "Blocks that are there already go to `Stacked.of`."
            )
            raise TypeError(message)
        from eqx_filter import filter_vmap

        self.block = filter_vmap(make)(split_key("Stacked", key, self.depth))

    @classmethod
    def of(
        cls, layers: Sequence[T], *, remat: Remat = "dots", unroll: int | bool = 1
    ) -> Stacked[T]:
        """Keep blocks that are there already, in the order in which they are applied.

        **Raises:** `ValueError` if there are none, or naming the first place where one differs from
        the first block in more than the numbers of its arrays.
        """
        layers = tuple(layers)
        if not layers:
            message = "`Stacked.of` keeps at least one block; it was given none."
            raise ValueError(message)
        return cls._made(stack(layers), len(layers), _checked(remat), unroll)

    @classmethod
    def _made(cls, block: Any, depth: int, remat: Remat, unroll: int | bool) -> Stacked[T]:
        _check_fields(cls)
        new = object.__new__(cls)
        fields = {"block": block, "depth": depth, "remat": remat, "unroll": unroll}
        for name, value in fields.items():
            object.__setattr__(new, name, value)
        return new

    def is_stateful(self) -> bool:
        """Whether a block has entries in a `State`."""
        leaves = jax.tree.leaves(self.block, is_leaf=_is_index)
        return any(map(_is_index, leaves))

    @jax.named_scope("eqx.nn.Stacked")
    def __call__(
        self,
        x: Any,
        *args: Any,
        key: Key | None = None,
        cache: Any = None,
        each: Mapping[str, Any] | None = None,
        until: Callable[[Any], Any] | None = None,
        collect: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call each block as `block(x, *args, **kwargs)`, where `x` is what the one before gave.

        **Arguments:**

        - `x`: what the first block takes; every block gives arrays of the same shapes and dtypes.
        - `args`, `kwargs`: are the same for all blocks. A `State` among them is handed on: each
            block gets the part that is its own, and returns it new after `y`.
        - `key`: block `i` gets `jax.random.fold_in(key, i)` as its `key`, and of `Keys`,
            `key[i]`.
        - `cache`: what `init_cache` gave; each block gets its own as `cache`, and returns it new,
            after `y` and the state if there is one.
        - `each`: by the name of an argument, arrays with an axis of blocks in front, of which each
            block gets its row: rates of dropout that grow, biases of their own.
        - `until`: a function of what a block gave; after the first for which it is true, the others
            are left out.
        - `collect`: whether to return what each block gave, too.

        **Returns:** what the last block gave; if there are any, a tuple of that, the new state, the
        new caches and what each block gave, with an axis of blocks in front. A block that is left
        out gives what it would get.

        **Raises:** `ValueError` for arrays in `each` or `cache` without a row for each block;
        `TypeError` for blocks that return another kind of thing than they take, or no state or
        cache where they are given one.
        """
        from ._applied import Call, Row, applied

        states = [it for it in (*args, *kwargs.values()) if isinstance(it, State)]
        state = states[0].substate(self.block) if states else None
        each = dict(each or {})
        for name, value in (("each", each), ("cache", cache)):
            self._check_rows(name, value)
        rows = Row(self.block, jnp.arange(self.depth), state, cache, each)
        call = Call(args, kwargs, key, until, collect)
        y, ys, state, cache = applied(call, x, rows, self.remat, self.unroll, self.depth)
        news = [] if state is None else [states[0].update(state)]
        news += [it for it in (cache, ys) if it is not None]
        return (y, *news) if news else y

    def init_cache(self, *args: Any, **kwargs: Any) -> Any:
        """What `init_cache` of a block gives, with an axis of blocks in front of each array.

        **Raises:** `AttributeError` for blocks that have no such method.
        """
        from eqx_filter import filter_vmap

        return filter_vmap(lambda block: block.init_cache(*args, **kwargs))(self.block)

    def _check_rows(self, name: str, tree: Any) -> None:
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if is_array(leaf) and leaf.shape[:1] != (self.depth,):
                message = (
                    f"`Stacked` of {self.depth} blocks expects a row for each in "
                    f"`{name}{jax.tree_util.keystr(path)}`: an axis of size {self.depth} in front; "
                    f"got shape {leaf.shape}."
                )
                raise ValueError(message)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Stacked[T]: ...
    def __getitem__(self, index: Any) -> Any:
        """One block, or for a slice a `Stacked` of the blocks there.

        **Raises:** `IndexError` beyond the last block, and for a slice without blocks; `TypeError`
        for another kind of index.
        """
        places = range(self.depth)
        if isinstance(index, slice):
            some = places[index]
            if not some:
                message = f"`Stacked` keeps at least one block; {index} has none of {self.depth}."
                raise IndexError(message)
            return self._made(row_of(self.block, index), len(some), self.remat, self.unroll)
        try:
            place = operator.index(index)
        except TypeError as error:
            message = f"Indexing with type {type(index)} is not supported: use an `int` or a slice."
            raise TypeError(message) from error
        if not -self.depth <= place < self.depth:
            message = f"`Stacked` index out of range: {place}, with {self.depth} blocks"
            raise IndexError(message)
        return row_of(self.block, places[place])

    def __len__(self) -> int:
        """How many blocks there are."""
        return self.depth

    def __iter__(self) -> Iterator[T]:
        """The blocks, in the order in which they are applied."""
        return (self[i] for i in range(self.depth))

    def __unstacked__(self) -> tuple[T, ...]:
        """What `save` saves in its place: the names are those of a tuple of blocks."""
        return tuple(self)

    def __restacked__(self, layers: tuple[T, ...]) -> Stacked[T]:
        """The way back from `__unstacked__`, for `load`."""
        return self._made(stack(layers), self.depth, self.remat, self.unroll)

    @property
    def __summary_type__(self) -> str:
        """What `summary` calls it."""
        return f"{type(self).__name__}, {self.depth} layers"

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The wadler-lindig document: how many blocks, and one of them."""
        import wadler_lindig as wl

        block = (
            jax.tree.map(_ShownRow, self.block) if kwargs.get("short_arrays", True) else self.block
        )
        shown = wl.TextDoc(f"{self.depth} x ") + wl.pdoc(block, **kwargs)
        options = [("remat", self.remat)] if self.remat != "dots" else []
        docs = [shown, *wl.named_objs(options, **kwargs)]
        begin, end = wl.TextDoc(f"{type(self).__name__}("), wl.TextDoc(")")
        return wl.bracketed(begin=begin, docs=docs, sep=wl.comma, end=end, indent=kwargs["indent"])


def _check_fields(cls: type[Stacked[Any]]) -> None:
    """Refuse fields that a slice, and a file, would not have."""
    more = [field.name for field in dataclasses.fields(cls)[len(dataclasses.fields(Stacked)) :]]
    if more:
        told = ", ".join(f"`{name}`" for name in more)
        message = (
            f"`{cls.__name__}` is a `Stacked` with fields of its own, {told}, which its layers do "
            "not have. Keep them beside it, in a `Module` that holds a `Stacked` and these."
        )
        raise TypeError(message)


class _ShownRow:
    """Stands for a leaf where one block is shown."""

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The shape of one layer, without the axis of layers; or the leaf, if it is no array."""
        import wadler_lindig as wl

        shape = getattr(self.leaf, "shape", ())
        if not shape:
            return wl.pdoc(self.leaf, **kwargs)
        return wl.array_summary(shape[1:], str(self.leaf.dtype), kind=None)


def _is_index(node: Any) -> bool:
    return isinstance(node, StateIndex)


def _checked(remat: Any) -> Remat:
    is_number = isinstance(remat, int) and not isinstance(remat, bool) and remat > 0
    if not (is_number or callable(remat) or remat in ("none", "full", "dots")):
        message = (
            '`remat` of `Stacked` is "none", "full", "dots", a number from 1 on, or a policy of '
            f"`jax.checkpoint_policies`; got {remat!r}."
        )
        raise ValueError(message)
    return remat
