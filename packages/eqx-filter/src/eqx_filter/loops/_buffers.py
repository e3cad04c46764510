"""Arrays that a loop writes element by element: they are not copied, compared or kept each step."""

import functools
from typing import TYPE_CHECKING, Any, ForwardRef, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from ._maybe_set import maybe_set
from ._select import select_if_vmap

T = TypeVar("T")


class Buffer:
    """What stands in a loop for an array that is named in `buffers`.

    It can be read, `buffer[i]`, and written, `buffer = buffer.at[i].set(x, pred=True)`. Each place
    is to be written once at most, and not read before that: a gradient looks at the finished array.

    `preds` says, of this loop and of those around it, whether the step is taken; `marks` become
    True where the buffer is written.
    """

    def __init__(self, array: Any, preds: tuple[Any, ...], marks: tuple[Any, ...] = ()) -> None:
        self.array = array
        self.preds = preds
        self.marks = marks

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    @property
    def dtype(self) -> Any:
        """Of the array."""
        return self.array.dtype

    @property
    def size(self) -> int:
        """Of the array."""
        return self.array.size

    def __getitem__(self, item: Any) -> "jax.Array":
        return self.array[item]

    @property
    def at(self) -> "_At":
        """As of an array; `.at[i].set(x)` alone."""
        return _At(self)

    def __repr__(self) -> str:
        return f"Buffer({self.dtype.name}{list(self.shape)})"


jax.tree_util.register_pytree_node(
    Buffer,
    lambda buffer: ((buffer.array, buffer.preds, buffer.marks), None),
    lambda _, children: Buffer(*children),
)


class _At:
    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer

    def __getitem__(self, item: Any) -> "_Place":
        return _Place(self._buffer, item)


class _Place:
    def __init__(self, buffer: Buffer, item: Any) -> None:
        self._buffer = buffer
        self._item = item

    def set(self, x: Any, *, pred: Any = True, **kwargs: Any) -> Buffer:
        """The buffer with `x` there, unless `pred` is False."""
        buffer, item = self._buffer, self._item
        there = jax.eval_shape(lambda: buffer.array[item])
        new = jnp.broadcast_to(jnp.asarray(x, buffer.dtype), there.shape)
        pred = jnp.asarray(pred)
        for here in buffer.preds:
            pred = select_if_vmap(here, pred, jnp.array(False))
        array = maybe_set(pred, buffer.array, new, item, kwargs)
        marks = [mark.at[item].set(mark[item] | pred, **kwargs) for mark in buffer.marks]
        return Buffer(array, buffer.preds, tuple(marks))


if TYPE_CHECKING:
    MaybeBuffer: TypeAlias = T | Buffer
else:

    class _MaybeBufferMeta(type):
        """Makes of `MaybeBuffer[kind]` a class whose instances are checked, not made."""

        def __getitem__(cls, kind: Any) -> type:
            return _maybe_buffer(kind)

        def __instancecheck__(cls, instance: Any) -> bool:
            array = instance.array if is_buffer(instance) else instance
            return cls.kind is None or isinstance(array, cls.kind)

    class MaybeBuffer(metaclass=_MaybeBufferMeta):
        """An annotation, `MaybeBuffer[Float[Array, " n"]]`: an array, or a `Buffer` of one.

        It can be checked while a program runs, as by jaxtyping and beartype: what is subscripted
        with is asked of the array. Of a name in quotes or of a type variable, anything is one.
        """

        kind: Any = None

    @functools.cache
    def _maybe_buffer(kind: Any) -> type:
        asked = None if kind is Any or isinstance(kind, (str, TypeVar, ForwardRef)) else kind
        name = f"MaybeBuffer[{getattr(kind, '__name__', kind)}]"
        return _MaybeBufferMeta(name, (MaybeBuffer,), {"kind": asked, "__module__": __name__})


def is_buffer(node: Any) -> bool:
    """Whether a node is a `Buffer`."""
    return isinstance(node, Buffer)


def buffer_at_set(buffer: Any, item: Any, x: Any, *, pred: Any = True, **kwargs: Any) -> Any:
    """`buffer.at[item].set(x)` where `pred` is True, of an array or a `Buffer`.

    **Arguments:** `kwargs` are those of `jax.numpy.ndarray.at[...].set`. Only what is written is
    selected by `pred`, not the whole array.
    """
    if is_buffer(buffer):
        return buffer.at[item].set(x, pred=pred, **kwargs)
    if pred is True:
        return buffer.at[item].set(x, **kwargs)
    old = buffer.at[item].get(mode="clip")
    return buffer.at[item].set(jnp.where(pred, x, old), **kwargs)
