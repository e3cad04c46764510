"""`capture`: what modules inside of a function return, beside its result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import field

from ..paths._nodes import Node, nodes_of
from ..paths._selectors import Where, by
from ..shared._describe import describe_value
from ..shared._naming import function_name
from ..shared._wrapper import Wrapper, as_tree, inner_tree, wrap
from ..tracing._abstract import over_arrays
from ._carrying import carried_out
from ._found import Found, found_in
from ._perturb import shifts_of
from ._stand_ins import restored, traced_level, with_stand_ins


class CaptureWrapper(Wrapper):
    """A callable that returns a pair: the function's result, and what was chosen."""

    where: Where = field(static=True)
    perturb: Mapping[str, Any] | None

    def __call__(self, /, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        with traced_level() as (level, called):
            call = _with_marks(self.fun, args, self.where, level)

            def marked(fun: Any, args: Any, kwargs: Any) -> Any:
                return restored(fun(*args, **kwargs), level)

            run, arrays = over_arrays(marked, *call, kwargs)
            closed, out = jax.make_jaxpr(run, return_shape=True)(*arrays)
        found = found_in(closed.jaxpr, level)
        unseen = called - {it.label.tag.path for it in found}
        if unseen:
            raise ValueError(_not_seen(min(unseen)))
        if not found:
            raise ValueError(_nothing_called(self.where))
        shifts = shifts_of(self.perturb, found, closed.jaxpr, level)
        results, values = carried_out(closed.jaxpr, closed.consts, arrays, shifts, level)
        return out.layout.rebuild(results), _by_path(found, values)


def capture(
    fn: Callable[..., Any], where: Where, *, perturb: Mapping[str, Any] | None = None
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Make a function that also returns what chosen modules inside of it return.

        y, inside = capture(model, "layers.*")(x)
        inside["layers.0"]                                   # what the first layer returned

        loss, inside = capture(loss_fn, Attention)(model, x) # of each `Attention` in `model`

    The gradient with respect to an activation is that with respect to a zero that is added there:

        zeros = jax.tree.map(jnp.zeros_like, inside)
        grads = jax.grad(lambda p: capture(loss_fn, where, perturb=p)(model, x)[0])(zeros)

    **Arguments:**

    - `fn`: a model, or a method of one: any PyTree that can be called; modules are chosen in it.
        Or a function whose first argument is the model.
    - `where`: which modules: a path, a type, or anything else that `by` takes. What is selected is
        called somewhere in `fn`; it is seen by its `__call__` and by no other method.
    - `perturb`: a dict from path to what is added to what the module there returns: a PyTree as
        `capture` gives it, of arrays that broadcast to those; None where nothing is added.

    **Returns:** a callable as `fn`, which returns a pair `(out, values)`: what `fn` returns, and a
    dict from path to what the module returned, any PyTree. That of a module that was called several
    times is a tuple; one that is not called is left out. In front arrays have the axes of batches
    that they depend on, and before them one for the steps of each scan. `fn` is traced, as by
    `jax.jit`, each time; compile the whole, by `filter_jit`, to call it often. While it is traced,
    each chosen node is an instance of a subclass of its type. A scan of another kind than `"lax"`
    keeps what `"lax"` keeps.

    **Raises:** `TypeError` if `fn` cannot be called, or nothing is there to choose from.
    `ValueError` with the path if a selected node cannot be called; if a module is called where
    there is no one value: in a branch of `cond`, in a while loop or in `shard_map`, or where it
    cannot be seen, as in `noinline`; if none is called; and for a `perturb` of another structure,
    shape or kind.
    """
    return wrap("capture", lambda fun: CaptureWrapper(as_tree(fun), where, perturb), fn)


def _with_marks(fun: Any, args: tuple[Any, ...], where: Where, level: int) -> tuple[Any, Any]:
    """The function and its arguments, with stand-ins at what is selected."""
    tree, put_back = inner_tree(fun)
    if not jtu.all_leaves([tree]):
        return put_back(_marked(tree, where, level)), args
    if not args or jtu.all_leaves([args[0]]):
        given = f"its first argument is {describe_value(args[0])}" if args else "it is given none"
        message = (
            f"`capture` chooses among the modules of the first argument of `{function_name(tree)}`;"
            f" {given}. Pass the model first, or `capture` a model itself."
        )
        raise TypeError(message)
    return fun, (_marked(args[0], where, level), *args[1:])


def _marked(tree: Any, where: Where, level: int) -> Any:
    nodes = nodes_of(tree)
    places = [i for i, it in enumerate(by(where).matched(nodes)) if it]
    for i in places:
        if not callable(nodes[i].value):
            raise ValueError(_not_callable(nodes[i], where))
    return with_stand_ins(nodes, places, level)


def _by_path(found: Sequence[Found], values: Sequence[list[Any]]) -> dict[str, Any]:
    """The values of the marks as PyTrees, by path."""
    calls: dict[str, list[Any]] = {}
    for it, arrays in zip(found, values, strict=True):
        calls.setdefault(it.label.tag.path, []).append(it.label.layout.rebuild(arrays))
    return {path: every[0] if len(every) == 1 else tuple(every) for path, every in calls.items()}


def _not_callable(node: Node, where: Where) -> str:
    return (
        f"`capture` gives what modules return, and `{by(where)!r}` selects `{node.path}`, "
        f"{describe_value(node.value)}, which cannot be called. Select a module, as by its type: "
        "`by(...) & Module`."
    )


def _not_seen(path: str) -> str:
    return (
        f"`capture` cannot give what `{path}` returns: it is called where programs cannot be "
        "looked into, as in `noinline` or a primitive of one's own, or only for its shape. Call it "
        "outside of that, or select others."
    )


def _nothing_called(where: Where) -> str:
    return (
        f"None of the modules that `{by(where)!r}` selects is called. Only `model(...)` is seen, "
        "and no other method."
    )
