"""`filter_grad` and `filter_value_and_grad`."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded
from zoo import LEAVES, Pair

import equinox as eqx


@over(LEAVES)
def case_of_leaf(leaf):
    return eqx.filter_grad(lambda tree: 3.0 * tree[0])([2.0, leaf])


@over(LEAVES)
def case_of_leaf_alone(leaf):
    return eqx.filter_grad(lambda x: 1.0)(leaf)


@over(LEAVES)
def case_of_leaf_squared(leaf):
    return eqx.filter_grad(lambda x: jnp.sum(jnp.real(x * x)))(leaf)


@over(LEAVES)
def case_second_argument(leaf):
    return eqx.filter_value_and_grad(lambda x, y: x**2)(3.0, leaf)


@over(LEAVES)
def case_aux(leaf):
    return eqx.filter_value_and_grad(lambda x: (x**2, leaf), has_aux=True)(3.0)


@over(LEAVES)
def case_result(leaf):
    return eqx.filter_grad(lambda x: leaf)(3.0)


WRAPPED = {
    "tuple": lambda x: (x, x),
    "vector": lambda x: jnp.stack([x, x]),
    "one element": lambda x: x[None],
    "int": lambda x: jnp.array(1),
    "complex": lambda x: x * 1j,
    "list": lambda x: [x],
    "raises": lambda x: 1 / 0,
    "takes none": lambda: 1.0,
    "takes two": lambda x, y: x,
    "bfloat16": lambda x: x.astype(jnp.bfloat16),
    "float16": lambda x: x.astype(jnp.float16),
}


@over(WRAPPED)
def case_function(function):
    return eqx.filter_grad(function)(jnp.array(2.0))


@over(WRAPPED)
def case_function_with_aux(function):
    return eqx.filter_value_and_grad(function, has_aux=True)(jnp.array(2.0))


OPTIONS = {
    "argnums": {"argnums": 0},
    "argnums 1": {"argnums": 1},
    "unknown": {"unknown": 1},
    "reduce_axes": {"reduce_axes": ()},
    "allow_int": {"allow_int": True},
    "holomorphic": {"holomorphic": True},
    "has_aux": {"has_aux": True},
}


@over(OPTIONS)
def case_option(options):
    return eqx.filter_grad(lambda x: x**2, **options)(jnp.array(2.0))


@over(OPTIONS)
def case_option_of_value_and_grad(options):
    return eqx.filter_value_and_grad(**options)(lambda x: x**2)(jnp.array(2.0))


def case_holomorphic():
    return eqx.filter_grad(lambda x: x**2, holomorphic=True)(jnp.array(1j))


def case_allow_int():
    return eqx.filter_grad(lambda x: 1.0, allow_int=True)(jnp.array(1))


def case_no_argument():
    return eqx.filter_grad(lambda: 1.0)()


def case_keyword_argument_only():
    return eqx.filter_grad(lambda x: x)(x=jnp.array(1.0))


def case_keywords():
    return eqx.filter_grad(lambda x, *, k, name: x * k)(2.0, k=3.0, name="name")


def case_has_aux_decorator():
    @eqx.filter_grad(has_aux=True)
    def function(x):
        return x**2, "aux"

    return function(3.0)


def case_tree():
    tree = {"a": 2.0, "b": 3, "c": "s", "d": np.float32(1), "e": np.ones(2), "f": None, "g": len}
    return eqx.filter_grad(lambda t: t["a"] ** 2 + jnp.sum(t["e"]) * t["d"])(tree)


def case_module():
    return eqx.filter_grad(lambda m: jnp.sum(m.leaf**2))(Pair(jnp.arange(3.0)))


def case_module_that_is_called():
    class Model(eqx.Module):
        w: object

        def __call__(self, x):
            return jnp.sum(self.w * x)

    return eqx.filter_grad(Model(jnp.arange(2.0)))(3.0)


@rounded
def case_model():
    model = eqx.nn.MLP(2, 1, 4, 2, key=jax.random.PRNGKey(0))
    return eqx.filter_value_and_grad(lambda m, x: jnp.sum(m(x) ** 2))(model, jnp.ones(2))


def case_under_jit():
    return jax.jit(eqx.filter_grad(lambda x: x**2))(2.0)


def case_under_filter_jit():
    return eqx.filter_jit(eqx.filter_grad(jnp.sin))(2.0)


def case_under_vmap():
    return jax.vmap(eqx.filter_grad(lambda x: x**2))(jnp.arange(3.0))


def case_second_order():
    return eqx.filter_grad(eqx.filter_grad(lambda x: x**3))(2.0)


def case_complex():
    return eqx.filter_grad(lambda x: jnp.real(x * jnp.conj(x)))(jnp.array(1 + 2j))


def case_unused():
    return eqx.filter_grad(lambda t: t[0])([1.0, jnp.ones(2)])


def case_attributes():
    def function(x):
        """Document."""

    wrapper = eqx.filter_grad(function)
    return wrapper.__name__, wrapper.__doc__, wrapper.__wrapped__


def case_attributes_of_value_and_grad():
    def function(x):
        """Document."""

    wrapper = eqx.filter_value_and_grad(function)
    return wrapper.__name__, wrapper.__doc__, wrapper.__wrapped__


def case_wraps_a_number():
    return eqx.filter_grad(3)


def case_step():
    model = Pair((jnp.arange(3.0), 2.0, "name"))
    gradient = eqx.filter_grad(lambda m: jnp.sum(m.leaf[0] ** 2) * m.leaf[1])(model)
    return eqx.apply_updates(model, jax.tree.map(lambda x: -0.5 * x, gradient))


def case_int_input():
    return eqx.filter_grad(lambda x: x)(1)


def case_tangent_type():
    return eqx.filter_grad(lambda x: jnp.sum(x).astype(jnp.float32))(jnp.ones(2, jnp.bfloat16))
