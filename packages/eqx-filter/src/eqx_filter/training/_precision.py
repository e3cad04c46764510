"""`Precision`: a function computed in another floating dtype than its arguments are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax.numpy as jnp
import jax.tree_util as jtu
from jax.typing import DTypeLike

from eqx_pytree import Module, field

from ..paths._choosing import pairs_of
from ..paths._nodes import nodes_of
from ..paths._selectors import Where, by, leaf_mask
from ..shared._naming import function_name
from ..shared._predicates import is_differentiable
from ..shared._wrapper import Wrapper, as_tree, inner_tree, wrap

_Tree = TypeVar("_Tree")


class Precision(Module):
    """Which dtypes parameters are kept, functions computed, and outputs given in.

        half = Precision(compute=jnp.bfloat16)
        grads = filter_grad(half(loss))(model, x, y)   # of float32, computed in bfloat16

    Micikevicius et al. (2018, "Mixed Precision Training"). Complex arrays and integers stay as they
    are, and so does what a class computes in a precision of its own: nothing is cast below
    a node whose class has a true `__full_precision__`, such as a normalising layer and the state of
    layers.
    """

    params: Any = field(static=True)
    compute: Any = field(static=True)
    outputs: Any = field(static=True)
    rules: tuple[tuple[Any, Any], ...] = field(static=True)

    def __init__(
        self,
        params: DTypeLike | None = None,
        compute: DTypeLike | None = None,
        outputs: DTypeLike | None = None,
        *,
        rules: Mapping[Any, DTypeLike] | Iterable[tuple[Where, DTypeLike]] = (),
    ) -> None:
        """Make a policy.

        **Arguments:**

        - `params`: the floating dtype that `cast` gives a model.
        - `compute`: the floating dtype that a function's arguments are cast to.
        - `outputs`: the floating dtype that its outputs are cast to.
        - `rules`: a dict from selector to the floating dtype that is computed in there, over the
            first argument, or pairs of them in order; the first that selects a leaf decides, also
            where a class has a precision of its own.

        Where a dtype is None, nothing is cast.

        **Raises:** `TypeError` for a dtype that is not floating.
        """
        pairs = pairs_of("Precision", rules)
        self.params = _checked("params", params)
        self.compute = _checked("compute", compute)
        self.outputs = _checked("outputs", outputs)
        self.rules = tuple((by(it), _checked("rules", dtype)) for it, dtype in pairs)

    def cast(self, model: _Tree) -> _Tree:
        """Give a model with its floating arrays in the dtype of `params`.

        **Raises:** as `__call__`, once the function is called.
        """
        return _cast(model, self.params, ())

    def __call__(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function that computes `fun` in this precision.

        **Arguments:**

        - `fun`: a function of PyTrees, or a model. The floating arrays in its arguments and in a
            model, JAX's and NumPy's, are cast to `compute`; `rules` are looked up in the model, or
            else in the first argument.

        **Returns:** a callable with the signature of `fun`, whose floating outputs are cast to
        `outputs`. Gradients through it have the dtypes of what it is given.

        **Raises:** `TypeError` if `fun` cannot be called. At a call: `ValueError` if a rule selects
        nothing, `TypeError` if there are rules and no first argument by position.
        """
        return wrap("Precision", _Cast, fun, self)


class _Cast(Wrapper):
    """A callable that is computed in another precision."""

    policy: Precision

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        policy = self.policy
        model, put_back = inner_tree(as_tree(self.fun))
        fun, first = self.fun, policy.rules
        if not jtu.all_leaves([model]):
            fun, first = put_back(_cast(model, policy.compute, policy.rules)), ()
        elif policy.rules and not args:
            message = (
                "`Precision` looks its `rules` up in the first argument of "
                f"`{function_name(self.fun)}`: pass it by position."
            )
            raise TypeError(message)
        cast = [_cast(it, policy.compute, () if i else first) for i, it in enumerate(args)]
        out = fun(*cast, **_cast(kwargs, policy.compute, ()))
        return _cast(out, policy.outputs, ())


def _checked(name: str, dtype: DTypeLike | None) -> Any:
    if dtype is None:
        return None
    if not jnp.issubdtype(jnp.dtype(dtype), jnp.floating):
        message = (
            f"`{name}` of `Precision` must be a floating dtype, such as `jnp.bfloat16`; got "
            f"{dtype!r}."
        )
        raise TypeError(message)
    return jnp.dtype(dtype)


def _cast(tree: Any, dtype: Any, rules: Iterable[tuple[Any, Any]]) -> Any:
    """Cast the floating arrays of a tree, but for those of classes with their own precision."""
    leaves, structure = jtu.tree_flatten(tree)
    wanted = _own_kept(tree, dtype)
    for selector, of_rule in reversed(list(rules)):
        mask = leaf_mask(selector, tree)
        wanted = [of_rule if it else other for it, other in zip(mask, wanted, strict=True)]
    pairs = zip(leaves, wanted, strict=True)
    return structure.unflatten([_as(leaf, it) for leaf, it in pairs])


def _own_kept(tree: Any, dtype: Any) -> list[Any]:
    """The dtype that each leaf is cast to, None for none."""
    wanted, kept = [], []
    for node in nodes_of(tree):
        above = node.parent >= 0 and kept[node.parent]
        kept.append(above or bool(getattr(type(node.value), "__full_precision__", False)))
        if node.is_leaf:
            wanted.append(None if kept[-1] else dtype)
    return wanted


def _as(leaf: Any, dtype: Any) -> Any:
    if dtype is None or not is_differentiable(leaf) or jnp.iscomplexobj(leaf):
        return leaf
    return leaf.astype(dtype)
