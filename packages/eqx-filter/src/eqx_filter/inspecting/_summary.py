"""`summary`: a table of a model, by path."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ..paths._nodes import Node
from ..shared._describe import describe_value
from ..shared._jax import struct_of_aval
from ..shared._jaxprs import inner_jaxprs
from ..shared._marks import mark_p
from ..shared._wrapper import as_tree
from ..tracing._abstract import over_arrays
from ._flops import flops_by_path
from ._layers import layer_by_layer
from ._rows import Row, rows_of
from ._stand_ins import restored, traced_level, with_stand_ins
from ._table import as_html, as_text


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """A table of a model; made by `summary`.

    `str` gives it as text of at most 100 columns, notebooks show it as a table, and `as_dict` is
    for programs. `rows` are in the order of the tree, each with `path`, `type`, `depth`,
    `parameters`, `trainable`, `bytes`, `shared` (from path to the path of what it is the same as),
    `calls` (in how many places it is called), `inputs`, `outputs` and `flops`. A row counts what no
    other row counts, so the table's `parameters`, `trainable`, `bytes` and `flops` are the sums.
    `flops` is None if it cannot be told of some row, or was not asked for. `has_shapes` and
    `has_cost` say what the table was asked for.
    """

    rows: Sequence[Row]
    has_shapes: bool
    has_cost: bool

    @property
    def parameters(self) -> int:
        """The number of elements of all floating and complex arrays."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """The number of parameters that `trainable` selects: all but those in buffers."""
        return sum(row.trainable for row in self.rows)

    @property
    def bytes(self) -> int:
        """The size of all arrays."""
        return sum(row.bytes for row in self.rows)

    @property
    def flops(self) -> float | None:
        """The number of floating-point operations of a call."""
        found = [row.flops for row in self.rows if row.flops is not None]
        return sum(found) if self.has_cost and len(found) == len(self.rows) else None

    def as_dict(self) -> dict[str, Any]:
        """Give the table for programs.

        **Returns:** a dict with the sums `parameters`, `trainable`, `bytes` and `flops`, and with
        `rows`: from path to a dict of what the row holds, with shapes as lists and dtypes as texts.
        """
        sums = {name: getattr(self, name) for name in ("parameters", "trainable", "bytes", "flops")}
        return {**sums, "rows": {row.path: row.as_dict() for row in self.rows}}

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)


def summary(
    model: Any, /, *args: Any, depth: int | None = None, cost: bool = False, **kwargs: Any
) -> Summary:
    """Make a table of a model: its parameters, sizes and shapes, module by module.

        print(summary(model, x, key=key))
        print(summary(filter_eval_shape(make_model, key), cost=True))    # without memory for it

    **Arguments:**

    - `model`: any PyTree, with arrays or with a `jax.ShapeDtypeStruct` for each. A dict, list or
        tuple has a row if an array is in it; any other node if an array is below it, or if it can
        be called. Equal layers that are kept as one, in a node with `__unstacked__`, have rows of
        their own, as those of a tuple.
    - `args`, `kwargs`: what the model is called with, if shapes are asked for: arrays or a
        `jax.ShapeDtypeStruct` for each. The call is traced, and nothing is computed.
    - `depth`: how many levels of rows there are below the first; what is deeper is counted in the
        row above. None for all.
    - `cost`: whether to count floating-point operations too. What XLA says of each equation is
        added up by module, as it does without `tanh` and the like; a scan counts as often as it
        has steps. What cannot be told, as in a loop of any number of steps, is None, and `?` in the
        text.

    **Returns:** a `Summary`. An array or node that stands in the tree twice is counted at its first
    path, which the row of the second names. What goes in and comes out is that of the first call
    of a module, as it is seen inside of `vmap`: with the batch axis in front.

    **Raises:** `TypeError` if there are arguments, and `model` cannot be called; `ValueError` if
    `cost` is asked for without arguments, or `depth` is negative; what the model raises.
    """
    model = as_tree(model)
    _check(model, bool(args or kwargs), depth, cost)
    rows, nodes, row_at = rows_of(model, depth)
    if not args and not kwargs:
        return Summary(tuple(layer_by_layer(rows, nodes, row_at)), False, False)
    with traced_level() as (level, _):
        places = [place for place in row_at if callable(nodes[place].value)]
        jaxpr = _traced(nodes, places, level, args, kwargs)
    flops = flops_by_path(jaxpr, level) if cost else None
    called = _calls(jaxpr, level)
    found = [_completed(row, called.get(row.path), flops) for row in rows]
    return Summary(tuple(layer_by_layer(found, nodes, row_at)), True, cost)


def _check(model: Any, is_called: bool, depth: int | None, cost: bool) -> None:
    if is_called and not callable(model):
        message = (
            f"`summary` calls the model with what comes after it, and {describe_value(model)} "
            "cannot be called. Leave the arguments out, for a table without shapes."
        )
        raise TypeError(message)
    if cost and not is_called:
        message = "`cost` of `summary` is that of a call: pass what the model is called with."
        raise ValueError(message)
    is_number = hasattr(depth, "__index__") and not isinstance(depth, bool)
    if depth is not None and (not is_number or depth < 0):
        message = f"`depth` of `summary` is a number of levels, at least 0, or None; got {depth}."
        raise ValueError(message)


def _traced(
    nodes: Sequence[Node], places: Sequence[int], level: int, args: Any, kwargs: Any
) -> Any:
    """The program of a call, with marks of what goes in and comes out."""
    model = with_stand_ins(nodes, places, level, inputs=True)

    def call(model: Any, args: Any, kwargs: Any) -> Any:
        return restored(model(*args, **kwargs), level)

    run, arrays = over_arrays(call, model, args, kwargs)
    return jax.make_jaxpr(run)(*arrays).jaxpr


@dataclasses.dataclass
class _Calls:
    """What is found of one node: how often it is called, and the arrays of the first call."""

    count: int = 0
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()


def _calls(jaxpr: Any, level: int) -> Mapping[str, _Calls]:
    calls: dict[str, _Calls] = {}
    _gather(calls, jaxpr, level)
    return calls


def _gather(calls: dict[str, _Calls], jaxpr: Any, level: int) -> None:
    for equation in jaxpr.eqns:
        for inner in inner_jaxprs(equation.params.values()):
            _gather(calls, inner, level)
        label = equation.params.get("label")
        if equation.primitive is not mark_p or label.tag.level != level:
            continue
        node = calls.setdefault(label.tag.path, _Calls())
        structs = [struct_of_aval(var.aval) for var in equation.invars]
        if label.is_input:
            node.count += 1
        if label.is_input and node.count == 1:
            node.inputs = structs
        elif not label.is_input and not node.outputs:
            node.outputs = structs


def _completed(row: Row, calls: _Calls | None, flops: Mapping[str, float | None] | None) -> Row:
    calls = calls or _Calls()
    return dataclasses.replace(
        row,
        calls=calls.count,
        inputs=tuple(calls.inputs),
        outputs=tuple(calls.outputs),
        flops=None if flops is None else flops.get(row.path, 0.0),
    )
