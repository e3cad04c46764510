"""`Optimizer`: an Optax transformation together with its state and what it trains."""

from typing import Any, TypeVar

import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import Module, field

from ..derivatives._wrt import mask_of
from ..paths._dotted import dotted
from ..paths._selectors import Where
from ..shared._difference import first_difference
from ..shared._predicates import is_none
from ._trainable import trainable

_Model = TypeVar("_Model")


class Trained:
    """Which leaves of a model are trained, in order, and the paths of all."""

    __slots__ = ("_hash", "mask", "paths")

    def __init__(self, mask: list[bool], paths: list[str]) -> None:
        self.mask = mask
        self.paths = paths
        self._hash = hash((tuple(mask), tuple(paths)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trained):
            return NotImplemented
        return self is other or (self.mask, self.paths) == (other.mask, other.paths)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"<{sum(self.mask)} of {len(self.mask)} leaves>"


def _paths(model: Any) -> list[str]:
    return [dotted(keys) for keys, _ in jtu.tree_flatten_with_path(model)[0]]


class Optimizer(Module):
    """Trains the parameters of a model by any Optax transformation.

        opt = Optimizer(optax.adamw(1e-3), model)

        @filter_jit(donate="all")
        def step(model, opt, x, y):
            loss, grads = filter_value_and_grad(loss_fn)(model, x, y)
            model, opt = opt.update(grads, model)
            return model, opt, loss

    What is not trained has no state, no decay, and comes back as it is. `state` is Optax's state,
    for a model with None for all that is not trained; the optimizer is a PyTree of its arrays, to
    be jitted, saved, loaded and sharded as any other.
    """

    state: Any
    tx: Any = field(static=True)
    trained: "Trained" = field(static=True)

    __follows_parameters__ = True
    """Whether what is below has the classes of a model, and other numbers than parameters."""

    def __init__(self, tx: Any, model: Any, *, wrt: Where | None = None) -> None:
        """Make the first state.

        **Arguments:**

        - `tx`: an `optax.GradientTransformation`: something with `init` and `update`.
        - `model`: any PyTree.
        - `wrt`: what is trained: a selector over the model, or anything that `by` takes. By default
            `trainable`, all floating and complex arrays that are no buffers.

        **Raises:** `TypeError` if `tx` has no `init` and `update`, or if `wrt` names an array that
        has no gradient; `ValueError` if there is nothing to train.
        """
        if not (hasattr(tx, "init") and hasattr(tx, "update")):
            message = (
                "`tx` of `Optimizer` must be an Optax transformation, with `init` and `update`; it "
                f"is {tx!r}. Call it first, as in `optax.adam(1e-3)`."
            )
            raise TypeError(message)
        self.tx = tx
        mask = mask_of(trainable if wrt is None else wrt, model, "model")
        self.trained = Trained(mask, _paths(model))
        self.state = tx.init(self.params(model))

    def params(self, model: _Model) -> _Model:
        """Give what is trained of a model: a PyTree of its structure, with None for the rest.

        This is what Optax calls `params`. `combine(params, model)` puts it back.

        **Raises:** `ValueError` for a model whose leaves have other paths.
        """
        leaves, structure = jtu.tree_flatten(model)
        self._check_paths(_paths(model))
        pairs = zip(leaves, self.trained.mask, strict=True)
        return structure.unflatten([leaf if it else None for leaf, it in pairs])

    def gradients(self, grads: Any, model: Any) -> Any:
        """Give the gradients of what is trained, with None for the rest.

        **Raises:** as `update`.
        """
        params = self.params(model)
        structure = jtu.tree_structure(params, is_leaf=is_none)
        try:
            found = structure.flatten_up_to(grads)
        except ValueError:
            path, told = first_difference(params, grads, prefix=True, is_leaf=is_none)
            message = (
                "`grads` must have the structure of the model; at "
                f"`grads{jtu.keystr(path)}`: {told}. Take the gradient with respect to the model."
            )
            raise ValueError(message) from None
        wanted = jtu.tree_flatten_with_path(params, is_leaf=is_none)[0]
        for gradient, (keys, leaf) in zip(found, wanted, strict=True):
            if leaf is not None and (gradient is None or not jtu.all_leaves([gradient])):
                message = (
                    f"`grads` has no gradient for `{dotted(keys)}`, which the `Optimizer` trains. "
                    "Give `Optimizer` and the gradient the same `wrt`."
                )
                raise ValueError(message)
            if leaf is not None and jnp.shape(gradient) != jnp.shape(leaf):
                message = (
                    f"The gradient of `{dotted(keys)}` has shape {jnp.shape(gradient)}, and the "
                    f"leaf {jnp.shape(leaf)}. Take the gradient of a mean or a sum over the batch."
                )
                raise ValueError(message)
        pairs = zip(found, wanted, strict=True)
        return structure.unflatten([None if leaf is None else it for it, (_, leaf) in pairs])

    def update(self, grads: Any, model: _Model, **extra: Any) -> tuple[_Model, "Optimizer"]:
        """Take one step.

        **Arguments:**

        - `grads`: a PyTree of the model's structure, with a gradient for each leaf that is trained;
            what it holds for others is left out.
        - `model`: the model.
        - `extra`: for transformations that take more, such as `value`, `grad` and `value_fn` of
            `optax.lbfgs`. `grad` is of the model's structure, and `value_fn` takes a model.

        **Returns:** the new model and the new optimizer. Leaves that are not trained are the same
        objects; the others keep their dtypes.

        **Raises:** `ValueError` naming the leaf that lacks a gradient, or where the structure of
        `grads` differs; what Optax raises.
        """
        params, grads = self.params(model), self.gradients(grads, model)
        if extra.get("grad") is not None:
            extra["grad"] = self.gradients(extra["grad"], model)
        if extra.get("value_fn") is not None:
            extra["value_fn"] = self._of_params(extra["value_fn"], model)
        updates, state = self.tx.update(grads, self.state, params, **extra)
        leaves, structure = jtu.tree_flatten(model)
        changes = structure.flatten_up_to(updates)
        added = [
            jnp.asarray(leaf + change).astype(leaf.dtype) if it else leaf
            for leaf, change, it in zip(leaves, changes, self.trained.mask, strict=True)
        ]
        return structure.unflatten(added), self._with_state(state)

    def _check_paths(self, paths: list[str]) -> None:
        """Refuse a model of which it was not made."""
        known = self.trained.paths
        if paths == known:
            return
        if len(paths) != len(known):
            told = f"The model has {len(paths)} leaves, and that of which it was made {len(known)}"
        else:
            new, old = next(pair for pair in zip(paths, known, strict=True) if pair[0] != pair[1])
            told = f"The model has `{new}` where that of which it was made had `{old}`"
        message = f"This `Optimizer` is of another model. {told}. Make one of this model."
        raise ValueError(message)

    def _with_state(self, state: Any) -> "Optimizer":
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, state=state)
        return new

    def _of_params(self, value_fn: Any, model: Any) -> Any:
        """A function of a model as one of what is trained of it."""
        leaves, structure = jtu.tree_flatten(model)

        def of_params(params: Any, *args: Any, **kwargs: Any) -> Any:
            moved = structure.flatten_up_to(params)
            pairs = zip(moved, leaves, self.trained.mask, strict=True)
            merged = structure.unflatten([new if it else leaf for new, leaf, it in pairs])
            return value_fn(merged, *args, **kwargs)

        return of_params
