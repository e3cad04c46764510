"""Plain JAX: a list of many dicts, static arguments, many jitted functions."""

import jax
import jax.tree_util as jtu

from sides import growing
from sides.plain import side
from sides.settings import X, fresh, scalars


@side.family
def leaves():
    call = jax.jit(fresh(growing.ignore))

    def at(size):
        arrays = scalars(size)
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        model = [{"weight": weight, "bias": bias} for weight, bias in pairs]
        return {"flatten": lambda: jtu.tree_flatten(model), "jit": lambda: call(model, X)}

    return at


@side.family
def variants():
    return growing.variants(jax.jit(fresh(growing.ignore), static_argnums=0), lambda number: number)


@side.family
def functions():
    return growing.functions(jax.jit)
