"""`lora` and `merge_lora`: weights that stay, with a product of two small ones added."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from eqx_pytree import Module, field

from .._init import at_least_float32, checked_size
from .._initial import Layout
from .._random import Key, Keys, with_key
from .._reinit import reinit
from .._weight import Convolve, Weight
from ._places import Place, each_weight, replaced, selected

Tree = TypeVar("Tree")


class LoRA(Module):
    """An update of low rank, `scale * b @ a`, of a weight of shape `(out, in, *kernel)`.

    From Hu et al. (2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685),
    section 4.1. As a selector the class selects the adapters of a model, in `wrt=LoRA`.

    `a` has shape `(groups * rank, in // groups, *kernel)`, where `groups` is 1 but for
    convolutions; row `o` of `b`, of shape `(out, rank)`, is for the rows of its group. Of several
    layers that are kept as one, both have the axes of these in front.
    """

    a: Inexact[Array, "*layers groups*rank in//groups *kernel"]
    b: Inexact[Array, "*layers out rank"]
    scale: float = field(static=True)
    groups: int = field(static=True)

    @property
    def rank(self) -> int:
        """The rank of the update, of each group."""
        return self.b.shape[-1]

    @property
    def __weight_layouts__(self) -> dict[str, Layout]:
        return {"a": Layout(self.a.ndim - self.b.ndim + 2, self.groups)}

    @property
    def __summary_type__(self) -> str:
        """What `summary` calls it."""
        return f"{type(self).__name__}, rank {self.rank}"


class Adapted(Weight):
    """A weight `base + scale * b @ a`, kept as `base` and the `LoRA` that is added.

    It stands in the place of the array that is the weight of a layer, which computes with it
    without forming it: `weight @ x` is `base @ x + scale * (b @ (a @ x))`. `base` is an array, or a
    `Quantised` one, and no parameter for `trainable`.
    """

    base: Any = field(trainable=False)
    lora: LoRA

    @property
    def shape(self) -> tuple[int, ...]:
        """That of `base`."""
        return self.base.shape

    @property
    def dtype(self) -> Any:
        """That of `base`."""
        return self.base.dtype

    @property
    def __weight_layouts__(self) -> dict[str, Layout]:
        return {"base": self.lora.__weight_layouts__["a"]}

    def dense(self) -> Array:
        """The array `base + scale * b @ a`, added in at least float32, in the dtype of `base`."""
        base = jnp.asarray(self.base)
        kind = at_least_float32(base.dtype)
        a, b, groups = self.lora.a.astype(kind), self.lora.b.astype(kind), self.lora.groups
        front = b.shape[:-2]
        a = jnp.reshape(a, (*front, groups, b.shape[-1], -1))
        b = jnp.reshape(b, (*front, groups, -1, b.shape[-1]))
        update = jnp.reshape(jnp.matmul(b, a, precision="highest"), base.shape)
        return (base.astype(kind) + self.lora.scale * update).astype(base.dtype)

    def __matmul__(self, x: Any) -> Array:
        """The sum `base @ x + scale * (b @ (a @ x))`; `x` has shape `(in,)` or `(in, columns)`."""
        return self.base @ x + self.lora.scale * (self.lora.b @ (self.lora.a @ x))

    def row(self, index: Any) -> Array:
        """Row `index` of `base`, plus that of `b` times `scale * a`."""
        of_b = jax.lax.dynamic_index_in_dim(self.lora.b, index, keepdims=False)  # (rank,)
        base = self.base
        if isinstance(base, Weight):
            row = base.row(index)
        else:
            row = jax.lax.dynamic_index_in_dim(base, index, keepdims=False)
        return row + self.lora.scale * (of_b @ self.lora.a)

    def convolved(self, convolve: Convolve, x: Any, axis: int) -> Array:
        """The convolution with `base`, plus that with `a`, whose channels `b` maps."""
        base, (out, rank), groups = self.base, self.lora.b.shape, self.lora.groups
        y = base.convolved(convolve, x, axis) if isinstance(base, Weight) else convolve(x, base)
        low = jnp.moveaxis(convolve(x, self.lora.a), axis, -1)  # (batch, *out, groups * rank)
        low = jnp.reshape(low, (*low.shape[:-1], groups, rank))
        b = jnp.reshape(self.lora.b, (groups, out // groups, rank))
        update = jnp.reshape(jnp.einsum("...gr,gor->...go", low, b), (*low.shape[:-2], out))
        return y + self.lora.scale * jnp.moveaxis(update, -1, axis)


def lora(model: Tree, where: Any, rank: int, *, alpha: float | None = None, key: Key) -> Tree:
    """Add trainable updates of low rank to weights of a model, which are frozen.

        model = lora(model, "**.attention", rank=8, key=key)
        opt = Optimizer(tx, model, wrt=LoRA)
        grads = filter_grad(loss, wrt=LoRA)(model, x, y)

    In place of each weight `W` of shape `(out, in, *kernel)` stands an `Adapted`, whose `base` is
    `W` and whose `lora` has `a` and `b`: the layer computes with `W + (alpha / rank) b a` without
    forming it. From Hu et al. (2021, "LoRA: Low-Rank Adaptation of Large Language Models",
    arXiv:2106.09685): `a` is drawn from U(-1/sqrt(n), 1/sqrt(n)), with `n` inputs to an output,
    and `b` is zero, so that the model begins as what it was. `a` has the numbers of its place, as
    `reinit` has it; each block of a `Stacked` has an update of its own, with the numbers that it
    would have in a tuple. What a `Shared` ties stays tied.

    **Arguments:**

    - `model`: any PyTree.
    - `where`: a selector, or anything that `by` takes, of weights of `Linear`, convolutions,
        transposed ones and `Embedding`, or of nodes above: all such weights there. Weights of
        recurrent layers (`RNN`, `LSTM`, `GRU`, their cells, `LRU`) are never among them. A weight
        that is `Quantised` is not converted (Dettmers et al. 2023, "QLoRA", arXiv:2305.14314).
    - `rank`: of each update, at least 1, and at most what the weight, or a group of it, can have.
    - `alpha`: the update is multiplied by `alpha / rank`; `rank` unless given.
    - `key`: a PRNG key, or `Keys`.

    **Returns:** the model, with two arrays more for each weight, in the dtype of that.

    **Raises:** `ValueError` with the nearest paths if `where` selects no weight, and naming the
    weight for a `rank` that is too high; `TypeError` naming a leaf that is selected and is no such
    weight, or has an update already; `TypeError` or `ValueError` for a `rank` that is no integer
    from 1 on.
    """
    size = checked_size("lora", "rank", rank)
    if size < 1:
        message = f"`lora` adds updates of rank 1 or more; got `rank={rank}`."
        raise ValueError(message)
    keys = key if isinstance(key, Keys) else with_key("lora", key, Keys)
    scale = 1.0 if alpha is None else _number(alpha) / size
    news = {place.keys: _adapted(place, size, scale) for place in selected("lora", model, where)}
    drawn = {id(it.lora.a) for it in news.values()}
    uniform = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    rules = [(lambda path, node: id(node) in drawn, uniform)]
    return reinit(replaced(model, news), rules, keys)


def _number(alpha: Any) -> float:
    """The factor as a Python number, which leaves dtypes as they are.

    **Raises:** `TypeError` for what is none, `ValueError` for one that is not finite.
    """
    try:
        number = float(alpha)
    except (TypeError, ValueError, jax.errors.ConcretizationTypeError):
        number = None
    if number is None or isinstance(alpha, str):
        message = f"`alpha` of `lora` is a number, or None for `rank`; got {alpha!r}."
        raise TypeError(message)
    if not math.isfinite(number):
        message = f"`alpha` of `lora` is a finite number; got {alpha!r}."
        raise ValueError(message)
    return number


def merge_lora(model: Tree) -> Tree:
    """Add the updates of `lora` to their weights: the model has arrays again, and is as fast.

    Its structure and the names of its leaves are those before `lora`, and so are the weights if
    nothing was trained. Sums are taken in at least float32 and given in the dtype of the weight. A
    `Quantised` weight becomes an array of the dtype of its scales, and may be quantised again.

    **Arguments:** `model`: any PyTree; one without updates is returned as it is.
    """
    return each_weight(model, Adapted, lambda weight: weight.dense())


def _adapted(place: Place, rank: int, scale: float) -> Adapted:
    """The weight with an update whose `a` is to be drawn."""
    weight, groups = place.weight, place.groups
    if isinstance(weight, Adapted):
        message = (
            f"`{place.path}` has an update already, of rank {weight.lora.rank}. Call `merge_lora` "
            "first, or narrow `where`."
        )
        raise TypeError(message)
    front = weight.ndim - place.axes
    layers, (out, *within) = weight.shape[:front], weight.shape[front:]
    most = min(out // groups, math.prod(within))
    if rank > most:
        of_group = f", in each of {groups} groups" * (groups > 1)
        message = (
            f"`rank={rank}` of `lora` is more than `{place.path}` can have: of shape "
            f"{weight.shape}, its rank is at most {most}{of_group}. Pass a lower one, or narrow "
            "`where`."
        )
        raise ValueError(message)
    a = jax.ShapeDtypeStruct((*layers, groups * rank, *within), weight.dtype)
    b = jnp.zeros((*layers, out, rank), weight.dtype)
    return Adapted(weight, LoRA(a, b, scale, groups))
