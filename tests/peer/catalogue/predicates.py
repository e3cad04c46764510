"""What is an array, on leaves of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES

import equinox as eqx


@over(LEAVES)
def case_is_array(leaf):
    return eqx.is_array(leaf)


@over(LEAVES)
def case_is_array_like(leaf):
    return eqx.is_array_like(leaf)


@over(LEAVES)
def case_is_inexact_array(leaf):
    return eqx.is_inexact_array(leaf)


@over(LEAVES)
def case_is_inexact_array_like(leaf):
    return eqx.is_inexact_array_like(leaf)


PREDICATES = {
    name: getattr(eqx, name)
    for name in ("is_array", "is_array_like", "is_inexact_array", "is_inexact_array_like")
}


@over(PREDICATES)
def case_tracer(predicate):
    found = []

    def look(x):
        found.append(predicate(x))
        return x

    jax.jit(look)(1.0)
    jax.jit(look)(1)
    jax.vmap(look)(jnp.ones(2))
    jax.grad(look)(1.0)
    return found


@over(PREDICATES)
def case_array_subclass(predicate):
    return predicate(np.ma.masked_array([1.0])), predicate(np.matrix([[1.0]]))


@over(PREDICATES)
def case_list_of_one_letter(predicate):
    return predicate(["a"])


@over(PREDICATES)
def case_no_argument(predicate):
    return predicate()


@over(PREDICATES)
def case_keyword(predicate):
    return predicate(element=jnp.ones(1))
