"""Replace primitives by what they do: programs for exporters, that know those of JAX alone.

A program is evaluated operation by operation. Where `primitive_finalisations` has a function for
the primitive, that is called instead; of all others the programs inside, as the body of a
`jax.lax.scan`, are finalised first. What holds none of these primitives is left as it is.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.custom_derivatives import custom_jvp_call_p
from jax.lax import stop_gradient_p

from ..shared._jax import ClosedJaxpr, Jaxpr, Literal, Primitive, bind_with, struct_of_aval
from ..shared._jaxprs import inner_jaxprs
from ..shared._naming import refuse_uncallable

primitive_finalisations: dict[Primitive, Callable[..., Any]] = {}
"""What takes a primitive's place, called as the primitive is bound: `f(*operands, **params)`."""


def register_impl_finalisation(prim: "Primitive") -> None:
    """Have the finalising functions replace a primitive by its implementation.

    **Arguments:** `prim`, a primitive. What is called is what `prim.def_impl` was given last, which
    must consist of JAX operations; the primitives in it are replaced too.
    """

    def finalise(*operands: Any, **params: Any) -> Any:
        return finalise_fn(functools.partial(prim.impl, **params))(*operands)

    primitive_finalisations[prim] = finalise


def finalise_eval_jaxpr(jaxpr: Any, consts: Sequence[Any], *args: Any) -> list[Any]:
    """Evaluate a jaxpr with its primitives replaced; otherwise as `jax.core.eval_jaxpr`.

    **Arguments:** `jaxpr`, a `jax.extend.core.Jaxpr` or a closed one, whose constants are not
    looked at; `consts`, the values of its constants; `args`, those of its inputs.

    **Returns:** a list of arrays.

    **Raises:** `ValueError` if there are more or fewer values than the jaxpr has.
    """
    if isinstance(jaxpr, ClosedJaxpr):
        jaxpr = jaxpr.jaxpr
    _refuse_other_count("consts", consts, jaxpr.constvars)
    _refuse_other_count("args", args, jaxpr.invars)
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        out = _evaluate(equation.primitive, map(read, equation.invars), equation.params)
        results = out if equation.primitive.multiple_results else [out]
        known.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def finalise_jaxpr_as_fn(jaxpr: "ClosedJaxpr") -> Callable[..., list[Any]]:
    """Make a function of a closed jaxpr, with its primitives replaced.

    **Arguments:** `jaxpr`, a `jax.extend.core.ClosedJaxpr`.

    **Returns:** a function of its inputs that returns a list of arrays.

    **Raises:** `TypeError` if `jaxpr` is none.
    """
    if not isinstance(jaxpr, ClosedJaxpr):
        message = (
            f"`jaxpr` must be a `ClosedJaxpr`, as `jax.make_jaxpr` returns; it is a "
            f"`{type(jaxpr).__name__}`. Use `finalise_eval_jaxpr` for an open one."
        )
        raise TypeError(message)
    return functools.partial(finalise_eval_jaxpr, jaxpr.jaxpr, jaxpr.consts)


def finalise_jaxpr(jaxpr: "ClosedJaxpr") -> "ClosedJaxpr":
    """Replace the primitives of a closed jaxpr, and of all jaxprs in it.

    **Arguments**, **Raises:** as `finalise_jaxpr_as_fn`.

    **Returns:** a closed jaxpr with inputs and outputs of the same shapes and dtypes.
    """
    run = finalise_jaxpr_as_fn(jaxpr)
    return jax.make_jaxpr(run)(*map(struct_of_aval, jaxpr.in_avals))


def finalise_fn(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that does the same with its primitives replaced.

    **Arguments:** `fn`, a function of PyTrees of arrays and numbers.

    **Returns:** a function that traces `fn` at each call, and evaluates what it found.

    **Raises:** `TypeError` if `fn` cannot be called.
    """
    refuse_uncallable("finalise_fn", fn=fn)

    def finalised(*args: Any, **kwargs: Any) -> Any:
        closed, out = jax.make_jaxpr(fn, return_shape=True)(*args, **kwargs)
        leaves = jax.tree.leaves((args, kwargs))
        found = finalise_eval_jaxpr(closed.jaxpr, closed.consts, *leaves)
        return jax.tree.unflatten(jax.tree.structure(out), found)

    return finalised


def finalise_make_jaxpr(fn: Callable[..., Any], *, return_shape: bool = False) -> Any:
    """Do as `jax.make_jaxpr`, with the primitives replaced.

    **Arguments:** `fn`, a function of PyTrees of arrays; `return_shape`, whether to give the
    output's shapes and dtypes too.

    **Returns:** a function of the arguments of `fn`, or of `jax.ShapeDtypeStruct`s, that returns a
    closed jaxpr; or a pair of that and of the output with `jax.ShapeDtypeStruct`s.

    **Raises:** `TypeError` if `fn` cannot be called.
    """
    refuse_uncallable("finalise_make_jaxpr", fn=fn)
    return jax.make_jaxpr(finalise_fn(fn), return_shape=return_shape)


def _evaluate(primitive: Primitive, operands: Any, params: dict[str, Any]) -> Any:
    rule = primitive_finalisations.get(primitive)
    if rule is not None:
        return rule(*operands, **params)
    inner = {name: _finalised(value) for name, value in params.items()}
    return bind_with(primitive, operands, inner)


def _finalised(value: Any) -> Any:
    """A parameter with every jaxpr in it finalised, and the same object where there is none."""
    if isinstance(value, ClosedJaxpr):
        return finalise_jaxpr(value) if _is_changed(value.jaxpr) else value
    if isinstance(value, Jaxpr):
        return _finalised_open(value) if _is_changed(value) else value
    if isinstance(value, (tuple, list)) and any(
        _is_changed(jaxpr) for jaxpr in inner_jaxprs([value])
    ):
        parts = map(_finalised, value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _finalised_open(jaxpr: Jaxpr) -> Jaxpr:
    closed = jax.make_jaxpr(lambda consts, args: finalise_eval_jaxpr(jaxpr, consts, *args))(
        *([struct_of_aval(var.aval) for var in part] for part in (jaxpr.constvars, jaxpr.invars))
    )
    if closed.consts or jaxpr.constvars:
        message = (
            "A jaxpr inside of this program has constants of its own, or gets them where its "
            "primitives are replaced. Pass the arrays as arguments to the function around it."
        )
        raise NotImplementedError(message)
    return closed.jaxpr


def _is_changed(jaxpr: Jaxpr) -> bool:
    return any(
        equation.primitive in primitive_finalisations
        or any(_is_changed(inner) for inner in inner_jaxprs(equation.params.values()))
        for equation in jaxpr.eqns
    )


def _refuse_other_count(name: str, values: Sequence[Any], variables: Sequence[Any]) -> None:
    if len(values) != len(variables):
        message = f"`{name}` must be {len(variables)} values, as the jaxpr has; got {len(values)}."
        raise ValueError(message)


def _call_jaxpr(*operands: Any, call_jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return finalise_eval_jaxpr(call_jaxpr.jaxpr, call_jaxpr.consts, *operands)


def _passed_on(x: Any, **params: Any) -> Any:
    return x


primitive_finalisations[custom_jvp_call_p] = _call_jaxpr
primitive_finalisations[stop_gradient_p] = _passed_on
