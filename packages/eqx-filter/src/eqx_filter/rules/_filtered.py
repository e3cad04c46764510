"""Primitives of JAX's for PyTrees: rules take and return trees, of which the arrays are operands.

A primitive that is bound with `filter_primitive_bind` has one parameter, `call`. It holds the
structure and the static leaves of the arguments, and, once a rule has run, those of the output. It
equals itself alone, so what JAX keeps for one call is not found for another.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.interpreters import ad

from ..shared._gaps import MisfitError, leaf_by_leaf
from ..shared._jax import Primitive, aval_of_struct, zero_tangent
from ..shared._naming import function_name, refuse_uncallable
from ..shared._packed import Layout, as_array, unpack
from ..shared._predicates import ABSTRACT_TOO, is_number_or_array

Rule = Callable[..., Any]
_OUT_TYPES = (*ABSTRACT_TOO, ShapedArray)


class Call:
    """The layout of the arguments of a call, and of its output as soon as a rule gives one."""

    __slots__ = ("args", "out")

    def __init__(self, args: Layout) -> None:
        self.args = args
        self.out: Layout | None = None

    def take_out(self, rule: Rule, out: Any) -> list[Any]:
        """Take the arrays out of an output, and keep the layout of the first.

        **Raises:** `ValueError` if the output of another rule differs in what is no array.
        """
        leaves, structure = jtu.tree_flatten(out)
        layout = Layout(leaves, structure, _OUT_TYPES)
        if self.out is None:
            self.out = layout
        elif self.out != layout:
            message = (
                f"`{function_name(rule)}` returns another structure, or other static leaves, than "
                "the other rules of its primitive; all must return the same but for arrays."
            )
            raise ValueError(message)
        return [leaf for leaf in leaves if isinstance(leaf, _OUT_TYPES)]

    def out_layout(self, name: str) -> Layout:
        """The layout of the output.

        **Raises:** `ValueError` if no rule has told it.
        """
        if self.out is None:
            message = (
                f"The rules of `{name}` did not tell the structure of the output: wrap them with "
                "`filter_primitive_def` and its kin."
            )
            raise ValueError(message)
        return self.out


def filter_primitive_def(rule: Rule) -> Rule:
    """Wrap the implementation, or the abstract evaluation, of a primitive for PyTrees.

        @filter_primitive_def
        def impl(tree, factor):
            return jax.tree.map(lambda x: factor * x, tree)

        prim.def_impl(impl)

    **Arguments:** `rule`, a function of the arguments that the primitive is bound with. It returns
    any PyTree, which has the same structure and the same static leaves for both. In an abstract
    evaluation a `jax.core.ShapedArray` stands in the place of each array among the arguments, and
    that or a `jax.ShapeDtypeStruct` in the output.

    **Returns:** a rule that JAX takes.

    **Raises:** `TypeError` if `rule` cannot be called.
    """
    refuse_uncallable("filter_primitive_def", rule=rule)

    @functools.wraps(rule)
    def of_arrays(*arrays: Any, call: Call) -> list[Any]:
        out = rule(*unpack(call.args, arrays))
        return list(map(_aval, call.take_out(rule, out)))

    return of_arrays


def filter_primitive_jvp(rule: Rule) -> Rule:
    """Wrap the rule for the Jacobian-vector product of a primitive for PyTrees.

    **Arguments:** `rule(primals, tangents)`, given the tuple of arguments, and a tuple of the same
    structure with a tangent for each array, or None where it is symbolically zero and for all that
    is no array. It returns the output and its tangents, with None again for those that are zero.

    **Returns:** a rule for `jax.interpreters.ad.primitive_jvps`.

    **Raises:** `TypeError` if `rule` cannot be called. The rule raises `TypeError` if it is not a
    pair that was returned, or a static leaf has a tangent; `ValueError` if tangents do not fit.
    """
    refuse_uncallable("filter_primitive_jvp", rule=rule)

    @functools.wraps(rule)
    def of_arrays(primals: Any, tangents: Any, *, call: Call) -> Any:
        moved = [None if _is_zero(tangent) else as_array(tangent) for tangent in tangents]
        given = rule(unpack(call.args, primals), call.args.rebuild_with_gaps(moved))
        out, tangents_out = _pair(rule, given, "(primals_out, tangents_out)")
        arrays = call.take_out(rule, out)
        found = _for_arrays(rule, tangents_out, call.out_layout(function_name(rule)))
        return arrays, [
            zero_tangent(array) if tangent is None else tangent
            for array, tangent in zip(arrays, found, strict=True)
        ]

    return of_arrays


def filter_primitive_transpose(
    rule: Rule | None = None, *, materialise_zeros: bool = False
) -> Rule | Callable[[Rule], Rule]:
    """Wrap the transpose rule of a primitive for PyTrees.

    **Arguments:**

    - `rule`: called as `rule(inputs, cts_out)`, with the tuple of arguments, in which
        `jax.interpreters.ad.UndefinedPrimal`s stand for the arrays that the primitive is linear in,
        and the cotangents of the output, with None for those that are symbolically zero and for all
        that is no array. It returns cotangents in the structure of `inputs`, with None where there
        are none.
    - `materialise_zeros`: give arrays of zeros instead of None.

    **Returns:** a rule for `jax.interpreters.ad.primitive_transposes`; without `rule`, a decorator.

    **Raises:** as `filter_primitive_jvp`.
    """
    if rule is None:
        return functools.partial(filter_primitive_transpose, materialise_zeros=materialise_zeros)
    refuse_uncallable("filter_primitive_transpose", rule=rule)

    @functools.wraps(rule)
    def of_arrays(cotangents: Any, *inputs: Any, call: Call) -> list[Any]:
        given = [
            (ad.instantiate_zeros(ct) if materialise_zeros else None)
            if _is_zero(ct)
            else as_array(ct)
            for ct in cotangents
        ]
        cts_out = call.out_layout(function_name(rule)).rebuild_with_gaps(given)
        found = _for_arrays(rule, rule(unpack(call.args, inputs), cts_out), call.args)
        linear = map(ad.is_undefined_primal, inputs)
        return [ct if is_linear else None for ct, is_linear in zip(found, linear, strict=True)]

    return of_arrays


def filter_primitive_batching(rule: Rule) -> Rule:
    """Wrap the batching rule of a primitive for PyTrees.

    **Arguments:** `rule(inputs, batch_axes)`, given the tuple of arguments, and one of the same
    structure with the batch axis of each array, or None where it has none and for all that is no
    array. It returns the output and the batch axes of its arrays.

    **Returns:** a rule for `jax.interpreters.batching.primitive_batchers`.

    **Raises:** as `filter_primitive_jvp`.
    """
    refuse_uncallable("filter_primitive_batching", rule=rule)

    @functools.wraps(rule)
    def of_arrays(inputs: Any, axes: Any, *, call: Call) -> Any:
        given = rule(unpack(call.args, inputs), call.args.rebuild_with_gaps(axes))
        out, axes_out = _pair(rule, given, "(out, batch_axes)")
        arrays = call.take_out(rule, out)
        return arrays, _for_arrays(rule, axes_out, call.out_layout(function_name(rule)))

    return of_arrays


def filter_primitive_bind(prim: "Primitive", *args: Any) -> Any:
    """Apply a primitive for PyTrees.

    **Arguments:**

    - `prim`: a primitive with `multiple_results`, whose rules are wrapped by
        `filter_primitive_def` and its kin.
    - `args`: any PyTrees. The arrays in them, NumPy's too, are operands; the rest goes with them.

    **Returns:** what the rules return, any PyTree.

    **Raises:** `TypeError` if `prim` is no primitive; `ValueError` if it has a single result.
    """
    if not isinstance(prim, Primitive):
        message = f"`prim` must be a `jax.extend.core.Primitive`; it is {prim!r}."
        raise TypeError(message)
    if not prim.multiple_results:
        message = f"A primitive for PyTrees has many results: set `{prim}.multiple_results = True`."
        raise ValueError(message)
    leaves, structure = jtu.tree_flatten(args)
    call = Call(Layout(leaves, structure))
    arrays = [leaf for leaf in leaves if isinstance(leaf, _OUT_TYPES[:3])]
    out = prim.bind(*arrays, call=call)
    return call.out_layout(str(prim)).rebuild(out)


def materialise_zeros(primal: Any, tangent: Any, allow_struct: bool = False) -> Any:
    """Give a tangent of zeros where there is none.

    **Arguments:**

    - `primal`: a leaf of a PyTree.
    - `tangent`: its tangent, or None.
    - `allow_struct`: whether `primal` may be a `jax.ShapeDtypeStruct`.

    **Returns:** `tangent`, but if it is None and `primal` is an array or a number, zeros of its
    shape and dtype; of dtype `float0` for integers, bools and keys, which have no others.
    """
    if tangent is not None:
        return ad.instantiate_zeros(tangent) if _is_zero(tangent) else tangent
    if allow_struct and isinstance(primal, jax.ShapeDtypeStruct):
        return ad.instantiate_zeros(zero_tangent(primal))
    return ad.instantiate_zeros(zero_tangent(primal)) if is_number_or_array(primal) else None


def _aval(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return aval_of_struct(leaf)
    return leaf


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is ad.Zero or getattr(tangent, "dtype", None) == jax.dtypes.float0


def _pair(rule: Rule, given: Any, wanted: str) -> Any:
    if not (isinstance(given, (tuple, list)) and len(given) == 2):
        message = (
            f"`{function_name(rule)}` must return a pair `{wanted}`; it returned a "
            f"`{type(given).__name__}`."
        )
        raise TypeError(message)
    return given


def _for_arrays(rule: Rule, given: Any, layout: Layout) -> Sequence[Any]:
    """What a rule returned for each array of a layout, of which None is the least it may say."""
    places = layout.structure.unflatten(range(layout.structure.num_leaves))
    try:
        found = leaf_by_leaf(given, places)
    except MisfitError as error:
        path, told = error.args
        message = (
            f"`{function_name(rule)}` must return one value, or None, for each leaf; at "
            f"`{jtu.keystr(path) or 'the root'}`: {told}."
        )
        raise ValueError(message) from None
    static = {place for place, _ in layout.static}
    for place in static:
        if found[place] is not None:
            message = (
                f"`{function_name(rule)}` returned {found[place]!r} for a leaf that is no array, "
                f"{dict(layout.static)[place]!r}; return None there."
            )
            raise TypeError(message)
    return [leaf for place, leaf in enumerate(found) if place not in static]
