"""An `equinox`: a Module of many Modules, static fields, many wrapped functions."""

import jax.tree_util as jtu

import equinox as eqx
from sides import growing
from sides.equinox import side
from sides.equinox.models import Many, Pair, Variant
from sides.settings import X, fresh, scalars


@side.family
def leaves():
    call = eqx.filter_jit(fresh(growing.ignore))

    def at(size):
        arrays = scalars(size)
        model = Many([*map(Pair, arrays[::2], arrays[1::2])])
        return {
            "flatten": lambda: jtu.tree_flatten(model),
            "partition": lambda: eqx.partition(model, eqx.is_array),
            "jit": lambda: call(model, X),
        }

    return at


@side.family
def variants():
    call = eqx.filter_jit(fresh(growing.ignore))
    return growing.variants(call, lambda number: Variant(X, number))


@side.family
def functions():
    return growing.functions(eqx.filter_jit)
