"""`ShardingPlan`: where each array of a model lies on a mesh, by rules."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from ..paths import by
from ..paths._nodes import nodes_of
from ..paths._selectors import mask_of_leaves
from ..shared._describe import describe_value
from ..shared._shardings import lay_out
from ..tracing import filter_eval_shape
from ._batches import is_whole, rows_of, share_count
from ._fitting import check_spec
from ._made import made
from ._places import Place, is_placed, places_of
from ._plan_check import PlanCheck, checked_step
from ._plan_table import PlanTable, table_of
from ._presets import ShardingRule

_Tree = TypeVar("_Tree")


class ShardingPlan:
    """Where each array of a model lies on a mesh: one object to read, to check and to use.

        plan = ShardingPlan([("**.embedding.weight", P("model")), fsdp("data")], mesh)
        print(plan.table(filter_eval_shape(make, key)))    # before there is a model
        model = plan.init(make, key)                       # each array is made where it lies
        x, y = plan.batch((x, y))

    A rule is a pair of a selector, or anything that `by` takes, and a `PartitionSpec`, or a
    function from path and shape to one or None; or a rule such as `fsdp()`, which goes on from
    what the rules before it say. Of the pairs the first that selects an array decides. What no rule
    decides has the default.
    """

    def __init__(
        self,
        rules: Any,
        mesh: "Mesh | AbstractMesh",
        *,
        default: "PartitionSpec | None" = None,
    ) -> None:
        """Take the rules.

        **Arguments:**

        - `rules`: a dict from selector to spec, or a sequence of pairs of them and of others, in
            order; or one rule.
        - `mesh`: a `jax.sharding.Mesh`, whose axes may be `Auto` or `Explicit`, or an
            `AbstractMesh`, for a plan that is read and not run.
        - `default`: the spec of arrays that no rule decides; None for a copy on each device.

        **Raises:** `TypeError` for a rule that is none, and for a mesh that is none; `ValueError`
        for a rule that names an axis which the mesh has not.
        """
        if not isinstance(mesh, (Mesh, AbstractMesh)):
            message = f"`mesh` of `ShardingPlan` is a `jax.sharding.Mesh`; got {mesh!r}."
            raise TypeError(message)
        self.rules = _checked(rules, tuple(mesh.shape))
        self.mesh = mesh
        self.default = PartitionSpec() if default is None else default

    def __repr__(self) -> str:
        axes = ", ".join(f"{name}: {size}" for name, size in self.mesh.shape.items())
        return f"ShardingPlan({list(self.rules)}, mesh=({axes}))"

    @property
    def batch_axes(self) -> tuple[str, ...]:
        """The axes of the mesh over which the rules split batches."""
        names = [it.batch_axes for it in self.rules if isinstance(it, ShardingRule)]
        return tuple(dict.fromkeys(name for some in names for name in some))

    def specs(self, model: Any) -> Any:
        """Give the `PartitionSpec` of each array.

        **Arguments:** `model`, any PyTree, with arrays or a `jax.ShapeDtypeStruct` for each.

        **Returns:** a PyTree of its structure, with None for leaves that are no arrays.

        **Raises:** `ValueError` for a rule that selects no leaf, with the nearest paths; for a spec
        that an array cannot have, naming its path, its sizes and the nearest that would do.
        """
        places = places_of(model)
        return jtu.tree_structure(model).unflatten(self._specs(model, places))

    def _specs(self, model: Any, places: Sequence[Place | None]) -> list[PartitionSpec | None]:
        nodes, sizes = nodes_of(model), dict(self.mesh.shape)
        found: list[PartitionSpec | None] = [None] * len(places)
        for rule in self.rules:
            mask = None if isinstance(rule, ShardingRule) else mask_of_leaves(by(rule[0]), nodes)
            for i, place in enumerate(places):
                if place is None:
                    continue
                spec = found[i]
                if isinstance(rule, ShardingRule):
                    spec = rule(place, spec, sizes)
                elif mask is not None and mask[i] and spec is None:
                    spec = _asked(rule, place)
                if spec is not None and spec is not found[i]:
                    check_spec(place, spec, sizes, rule)
                found[i] = spec
        default = self.default
        return [
            None if place is None else default if spec is None else spec
            for place, spec in zip(places, found, strict=True)
        ]

    def shardings(self, tree: Any, *, of: Any = None) -> Any:
        """Give the sharding of each array.

        The plan itself stands for that in the `sharding` of `load` and `TreeRestore`, and in trees
        of shardings. As `in_shardings` of `filter_jit` it is for the first argument, and for what
        belongs to that, as with `of`; as `out_shardings` for the result, or the first of several.

        **Arguments:**

        - `tree`: a model; or with `of`, what belongs to a model, as an `Optimizer` does.
        - `of`: the model. An array whose path ends with that of an array of the model, and whose
            shape is the same, goes with that, as Adam's averages do; others are kept whole.

        **Returns:** a PyTree of the structure of `tree`, with None for leaves that are no arrays.

        **Raises:** as `specs`.
        """
        return jtu.tree_structure(tree).unflatten(self._shardings(tree, of))

    def _shardings(self, tree: Any, model: Any) -> list[NamedSharding | None]:
        """The sharding of each leaf; `model` is what the tree belongs to, or None."""
        own = places_of(tree)
        specs = (
            self._specs(tree, own)
            if model is None
            else self._following(own, model, PartitionSpec())
        )
        return [None if it is None else NamedSharding(self.mesh, it) for it in specs]

    def __leaf_shardings__(self, tree: Any, *, is_call: bool) -> list[NamedSharding | None]:
        """The sharding of each leaf, where the plan stands in the place of shardings.

        Of the arguments of a call, or of its results if they are several, the first is the model;
        what belongs to it goes with it, and None is for all else.
        """
        if not (is_call and type(tree) is tuple and tree):
            return self._shardings(tree, None)
        model, rest = tree[0], places_of(tree[1:])
        _refuse_scalars(model)
        specs = self._following(rest, model, None)
        others = [None if it is None else NamedSharding(self.mesh, it) for it in specs]
        return [*self._shardings(model, None), *others]

    def _following(
        self, own: Sequence[Place | None], model: Any, other: PartitionSpec | None
    ) -> list[PartitionSpec | None]:
        """The spec of each array that belongs to an array of the model, and `other` for others."""
        places = places_of(model)
        known = {
            place.path: (place.shape, spec)
            for place, spec in zip(places, self._specs(model, places), strict=True)
            if place is not None
        }
        return [None if place is None else _of_model(place, known, other) for place in own]

    def shard(self, tree: _Tree, *, of: Any = None) -> _Tree:
        """Lay a model out, or with `of` what belongs to one: in a compiled function, or outside.

        **Raises:** as `shardings`, and `ValueError` for arrays and an `AbstractMesh`.
        """
        if not any(isinstance(it, jax.core.Tracer) for it in jtu.tree_leaves(tree)):
            _refuse_abstract("shard", self.mesh)
        return lay_out("tree", tree, self.shardings(tree, of=of))

    def init(self, make: Callable[..., _Tree], *args: Any, **kwargs: Any) -> _Tree:
        """Make a model whose arrays are made where they lie, each device its own part.

        **Arguments:** `make`, a function, and its arguments, as `plan.init(Model, 64, key=key)`.

        **Returns:** what `make` returns.

        **Raises:** as `specs`, and what `make` raises.
        """
        _refuse_abstract("init", self.mesh)
        shardings = self.shardings(filter_eval_shape(make, *args, **kwargs))
        return made(make, args, kwargs, shardings)

    def structs(self, model: _Tree, *, of: Any = None) -> _Tree:
        """Give the model with a `jax.ShapeDtypeStruct` that has its sharding for each array.

        **Raises:** as `shardings`.
        """
        leaves, structure = jtu.tree_flatten(model)
        pairs = zip(leaves, self._shardings(model, of), strict=True)
        return structure.unflatten([_struct(x, s) if is_placed(x) else x for x, s in pairs])

    def batch(self, arrays: _Tree, *, axis: int = 0) -> _Tree:
        """Split a batch over the axes that the rules have for it.

        **Arguments:** `arrays`, any PyTree of arrays: of the whole batch, or where there are
        several processes, of the part that this one has, which `rows` tells; or of a
        `jax.ShapeDtypeStruct` for each, of the whole batch. `axis` is that of the batch.

        **Returns:** JAX arrays of the whole batch, or structs that have their sharding.

        **Raises:** `ValueError` if no rule names an axis for batches, or for a batch that the
        axes do not divide.
        """
        rows = self._batch_sharding()
        spec = PartitionSpec(*[None] * axis, *rows.spec)
        sharding = NamedSharding(self.mesh, spec)
        has_all = jax.process_count() == 1

        def split(place: Place | None, x: Any) -> Any:
            if place is None or not place.shape:
                return x
            place = place._replace(path=place.path or "the batch")
            whole = list(place.shape)
            if len(whole) > axis and not (has_all or is_whole(x)):
                whole[axis] *= share_count(rows)
            check_spec(place._replace(shape=tuple(whole)), spec, dict(self.mesh.shape), None)
            if isinstance(x, jax.ShapeDtypeStruct):
                return _struct(x, sharding)
            _refuse_abstract("batch", self.mesh)
            if isinstance(x, jax.Array) and (has_all or is_whole(x)):
                return jax.device_put(x, sharding)
            return jax.make_array_from_process_local_data(sharding, x, tuple(whole))

        leaves, structure = jtu.tree_flatten(arrays)
        return structure.unflatten(map(split, places_of(arrays), leaves))

    def rows(self, size: int) -> np.ndarray:
        """Tell which rows of a batch this process is to have, and to give to `batch`.

            rows = plan.rows(64)
            x, y = plan.batch((x[rows], y[rows]))

        Processes whose devices the axes of the batch do not tell apart have the same rows, as those
        do that share copies of the data and split the model.

        **Arguments:** `size`, that of the whole batch.

        **Returns:** integers of shape `(n,)`, in order; in a single process all of them.

        **Raises:** as `batch`, and `ValueError` for a plan of an `AbstractMesh`.
        """
        return rows_of(self._batch_sharding(), size)

    def _batch_sharding(self) -> NamedSharding:
        """The sharding of the one axis of rows."""
        if not self.batch_axes:
            message = (
                "The plan has no axis for batches. Add `data_parallel(axis)` or `fsdp(axis)` to "
                f"its rules; the mesh has the axes {tuple(self.mesh.shape)}."
            )
            raise ValueError(message)
        return NamedSharding(self.mesh, PartitionSpec(self.batch_axes))

    def check(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> PlanCheck:
        """Compile a step of training, and tell what it needs on each device; nothing is computed.

            plan.check(step, plan.structs(model), plan.structs(opt, of=model), plan.batch(batch))

        **Arguments:** `step`, a function, and its arguments: structs or arrays with shardings. No
        memory is taken for a model that is given by `filter_eval_shape`.

        **Returns:** a `PlanCheck`.

        **Raises:** `TypeError` if `step` cannot be called; `ValueError` for a plan of an
        `AbstractMesh`, which nothing can be compiled for; what `step` raises.
        """
        if isinstance(self.mesh, AbstractMesh):
            message = (
                "`ShardingPlan.check` compiles a step, for which the devices must be there; the "
                f"plan has an `AbstractMesh` of {math.prod(self.mesh.shape.values())}. A process "
                "that begins with `jax.config.update('jax_num_cpu_devices', ...)` has as many as "
                "it likes: make the mesh of these by `jax.make_mesh`."
            )
            raise ValueError(message)
        return checked_step(step, args, kwargs)

    def table(self, model: Any) -> PlanTable:
        """Tell of each array its spec, its shape and its bytes on one device.

        **Arguments:** `model`, as of `specs`; often of `filter_eval_shape`.

        **Returns:** a `PlanTable`, which `str` shows.

        **Raises:** as `specs`.
        """
        places = places_of(model)
        return table_of(places, self._specs(model, places), dict(self.mesh.shape))


def _struct(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _refuse_scalars(model: Any) -> None:
    """Refuse what has nothing to be split, such as a loss, in the place of a model."""
    shapes = [leaf.shape for leaf in jtu.tree_leaves(model) if is_placed(leaf)]
    if shapes and not any(shapes):
        message = (
            "A plan in the place of `in_shardings` or `out_shardings` is for the first argument or "
            f"result, and for what belongs to it; that is {describe_value(model)} here, without an "
            "array that could be split. Let the model come first, or say what the plan is for, as "
            "in `out_shardings=(None, plan, None)`."
        )
        raise ValueError(message)


def _refuse_abstract(caller: str, mesh: Any) -> None:
    if isinstance(mesh, AbstractMesh):
        message = (
            f"`{caller}` of a plan puts arrays on devices, and its mesh is an `AbstractMesh`, "
            "which has none. Make the plan with a `jax.sharding.Mesh`, as `jax.make_mesh` gives it."
        )
        raise ValueError(message)


def _checked(rules: Any, axes: tuple[str, ...]) -> tuple[Any, ...]:
    """The rules, pairs and others.

    **Raises:** `TypeError`, naming one that is none; `ValueError` for an axis that is none.
    """
    found = []
    given = (rules,) if isinstance(rules, ShardingRule) else rules
    for rule in given.items() if isinstance(given, Mapping) else given:
        is_pair = isinstance(rule, (tuple, list)) and len(rule) == 2
        if not (isinstance(rule, ShardingRule) or (is_pair and _is_spec(rule[1]))):
            message = (
                "A rule of `ShardingPlan` is one such as `fsdp()`, or a pair of a selector and a "
                f"`PartitionSpec` or a function of path and shape; got {rule!r}."
            )
            raise TypeError(message)
        other = [it for it in getattr(rule, "axes", ()) if it not in axes]
        if other:
            message = f"The rule `{rule!r}` is for `{other[0]}`; the mesh has the axes {axes}."
            raise ValueError(message)
        found.append(rule if isinstance(rule, ShardingRule) else tuple(rule))
    return tuple(found)


def _is_spec(spec: Any) -> bool:
    return isinstance(spec, PartitionSpec) or callable(spec)


def _asked(rule: tuple[Any, Any], place: Place) -> PartitionSpec | None:
    spec = rule[1]
    if isinstance(spec, PartitionSpec):
        return spec
    told = spec(place.path, place.shape)
    if told is None or isinstance(told, PartitionSpec):
        return told
    message = (
        f"The rule for `{rule[0]!r}` gave {told!r} for `{place.path}`; it is to give a "
        "`PartitionSpec`, or None to leave it to the rules after it."
    )
    raise TypeError(message)


def _of_model(
    place: Place, known: Mapping[str, tuple[tuple[int, ...], Any]], other: PartitionSpec | None
) -> PartitionSpec | None:
    """The spec of the array of the model that another belongs to; `other` if there is none."""
    parts = place.path.split(".")
    for first in range(len(parts)):
        shape, spec = known.get(".".join(parts[first:]), (None, None))
        if shape == place.shape:
            return spec
    return other
