"""Pools: what is stored, results, derivatives and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx
from catalogue.conv import image

nn = eqx.nn
X1, X2, X3 = image(2, 9), image(2, 5, 6), image(2, 4, 5, 3)
TIES = np.array([[0, 1, 1, 0, 0, 0, 2, 2]], np.float32)


def total(*args, **kwargs):
    return nn.Pool(0.0, jax.lax.add, *args, **kwargs)


CALLS = {
    "Pool": lambda: (total(2, 3), X2),
    "Pool in 0 dimensions": lambda: (total(0, 3), X1[:, 0]),
    "Pool in 4 dimensions": lambda: (total(4, 2), image(2, 3, 2, 3, 2)),
    "Pool by position": lambda: (nn.Pool(0.0, jax.lax.add, 1, 3, 2, 1, True), X1),
    "Pool of int init": lambda: (nn.Pool(0, jax.lax.add, 2, 2), X2),
    "Pool of max": lambda: (nn.Pool(-jnp.inf, jax.lax.max, 2, 2), X2),
    "Pool of min": lambda: (nn.Pool(jnp.inf, jax.lax.min, 2, 2), X2),
    "AvgPool1d": lambda: (nn.AvgPool1d(2), X1),
    "AvgPool2d": lambda: (nn.AvgPool2d(2), X2),
    "AvgPool3d": lambda: (nn.AvgPool3d(2), X3),
    "MaxPool1d": lambda: (nn.MaxPool1d(2), X1),
    "MaxPool2d": lambda: (nn.MaxPool2d(2), X2),
    "MaxPool3d": lambda: (nn.MaxPool3d(2), X3),
    "AvgPool by position": lambda: (nn.AvgPool2d((2, 3), (1, 2), (1, 0), True), X2),
    "MaxPool by position": lambda: (nn.MaxPool2d((2, 3), (1, 2), (1, 0), True), X2),
    "kernel as a list": lambda: (nn.AvgPool2d([2, 3]), X2),
    "kernel larger than the input": lambda: (nn.MaxPool1d(20), X1),
    "stride": lambda: (nn.MaxPool2d(3, 2), X2),
    "stride larger than the kernel": lambda: (nn.AvgPool2d(2, (3, 4)), X2),
    "padding, mean": lambda: (nn.AvgPool2d(3, 2, 1), X2),
    "padding, max": lambda: (nn.MaxPool2d(3, 2, 1), X2),
    "padding of pairs": lambda: (nn.AvgPool2d(3, padding=((1, 2), (0, 1))), X2),
    "padding of the kernel": lambda: (nn.AvgPool2d(2, padding=2), X2),
    "negative padding": lambda: (nn.AvgPool2d(2, padding=-1), X2),
    "use_ceil, nothing left over": lambda: (nn.AvgPool1d(3, 2, use_ceil=True), X1),
    "use_ceil, mean": lambda: (nn.AvgPool1d(3, 2, use_ceil=True), X1[:, :8]),
    "use_ceil, max": lambda: (nn.MaxPool1d(3, 2, use_ceil=True), X1[:, :8]),
    "use_ceil and padding": lambda: (nn.MaxPool2d(3, 2, 1, True), X2),
    "use_ceil, kernel larger than the input": lambda: (nn.MaxPool1d(3, 2, 0, True), X1[:, :2]),
    "use_ceil and negative padding": lambda: (nn.AvgPool1d(2, 2, (-1,), True), X1),
    "ties": lambda: (nn.MaxPool1d(3), TIES),
    "no channels": lambda: (nn.MaxPool2d(2), X2[:0]),
    "empty image": lambda: (nn.AvgPool2d(2), X2[:, :0]),
    "AdaptivePool": lambda: (nn.AdaptivePool((2, 4), 2, jnp.mean), X2),
    "AdaptivePool of sum": lambda: (nn.AdaptivePool(2, 2, jnp.sum), X2),
    "AdaptivePool of median": lambda: (nn.AdaptivePool((2, 4), 2, jnp.median), X2),
    "AdaptivePool of function": lambda: (nn.AdaptivePool((2, 4), 2, lambda x: 2 * x.min()), X2),
    "AdaptivePool of constant": lambda: (nn.AdaptivePool((2, 4), 2, lambda x: 1.0), X2),
    "AdaptivePool in 0 dimensions": lambda: (nn.AdaptivePool((), 0, jnp.mean), X1[:, 0]),
    "AdaptiveAvgPool1d": lambda: (nn.AdaptiveAvgPool1d(4), X1),
    "AdaptiveAvgPool2d": lambda: (nn.AdaptiveAvgPool2d((3, 4)), X2),
    "AdaptiveAvgPool3d": lambda: (nn.AdaptiveAvgPool3d(2), X3),
    "AdaptiveMaxPool1d": lambda: (nn.AdaptiveMaxPool1d(4), X1),
    "AdaptiveMaxPool2d": lambda: (nn.AdaptiveMaxPool2d((3, 4)), X2),
    "AdaptiveMaxPool3d": lambda: (nn.AdaptiveMaxPool3d((2, 5, 3)), X3),
    "adaptive, evenly": lambda: (nn.AdaptiveAvgPool2d((5, 3)), X2),
    "adaptive, evenly, max": lambda: (nn.AdaptiveMaxPool2d((1, 2)), X2),
    "adaptive, of one": lambda: (nn.AdaptiveAvgPool2d(1), X2),
    "adaptive, of the same size": lambda: (nn.AdaptiveMaxPool1d(9), X1),
    "adaptive, ties": lambda: (nn.AdaptiveMaxPool1d(3), TIES),
    "adaptive, no channels": lambda: (nn.AdaptiveAvgPool2d(2), X2[:0]),
}


CORE = {
    name: call
    for name, call in CALLS.items()
    if name.endswith(("1d", "2d", "3d", "ties")) or name.startswith(("use_ceil,", "padding,"))
}
"""One of each kind."""


@over(CALLS)
def case_layer(make):
    return make()[0]


@over(CALLS)
def case_repr(make):
    return repr(make()[0])


@over(CALLS)
def case_leaves(make):
    return [leaf for leaf in jax.tree.leaves(make()[0]) if not callable(leaf)]


@rounded
@over(CALLS)
def case_result(make):
    layer, x = make()
    return layer(x)


@rounded
@over(CALLS)
def case_gradient(make):
    layer, x = make()
    return jax.grad(lambda x: jnp.sum(layer(x) ** 2))(jnp.asarray(x))


@rounded
@over(CALLS)
def case_forward_derivative(make):
    layer, x = make()
    return jax.jvp(layer, (x,), (x[..., ::-1],))


@rounded
@over(CORE)
def case_second_derivative(make):
    layer, x = make()
    gradient = jax.grad(lambda x: jnp.sum(layer(x) ** 3))
    return jax.jvp(gradient, (x,), (x[..., ::-1],)), jax.grad(lambda x: jnp.sum(gradient(x) ** 2))(
        jnp.asarray(x)
    )


@rounded
@over(CORE)
def case_compiled_and_mapped(make):
    layer, x = make()
    return jax.jit(jax.vmap(layer))(np.stack([x, -x]))


OPERATIONS = {
    "product": lambda: nn.Pool(1.0, jax.lax.mul, 2, 2),
    "product from int": lambda: nn.Pool(1, jax.lax.mul, 2, 2),
    "maximum of jax.numpy": lambda: nn.Pool(-jnp.inf, jnp.maximum, 2, 2),
    "sum from 1": lambda: nn.Pool(1.0, jax.lax.add, 2, 2),
    "max from 0": lambda: nn.Pool(0.0, jax.lax.max, 2, 2),
    "function": lambda: nn.Pool(0.0, lambda a, b: a + 2 * b, 2, 2),
    "array init": lambda: nn.Pool(jnp.array(0.0), jax.lax.add, 2, 2),
    "NumPy init": lambda: nn.Pool(np.float32(0.0), jax.lax.add, 2, 2),
    "vector init": lambda: nn.Pool(jnp.zeros(1), jax.lax.add, 2, 2),
    "no operation": lambda: nn.Pool(0.0, None, 2, 2),
}


@rounded
@over(OPERATIONS)
def case_operation(make):
    return make()(X2)


@rounded
@over(OPERATIONS)
def case_operation_forward(make):
    return jax.jvp(make(), (X2,), (X2,))


@over(OPERATIONS)
def case_operation_reverse(make):
    return jax.grad(lambda x: make()(x).sum())(jnp.asarray(X2)).shape


LAYERS = {
    "avg": lambda: nn.AvgPool2d(2),
    "max": lambda: nn.MaxPool2d(2, padding=1),
    "sum": lambda: total(2, 2),
    "product": lambda: nn.Pool(1.0, jax.lax.mul, 2, 2),
    "adaptive avg": lambda: nn.AdaptiveAvgPool2d(2),
    "adaptive max": lambda: nn.AdaptiveMaxPool2d((2, 4)),
    "adaptive sum": lambda: nn.AdaptivePool((2, 4), 2, jnp.sum),
}
INPUTS = {
    "batch": image(7, 2, 5, 6),
    "no channels": image(5, 6),
    "number": 1.0,
    "list": [1.0],
    "None": None,
    "int": np.arange(60).reshape(2, 5, 6),
    "int8": jnp.arange(60, dtype=jnp.int8).reshape(2, 5, 6),
    "uint8": jnp.arange(60, dtype=jnp.uint8).reshape(2, 5, 6),
    "bool": X2 > 0,
    "float16": X2.astype(np.float16),
    "bfloat16": jnp.asarray(X2, jnp.bfloat16),
    "float64": X2.astype(np.float64),
    "complex": X2 * 1j,
    "small": image(2, 1, 1),
}


@rounded
@over({f"{layer}, {x}": (LAYERS[layer], INPUTS[x]) for layer in LAYERS for x in INPUTS})
def case_input(entry):
    make, x = entry
    return make()(x)


@rounded
@over(LAYERS)
def case_strict_promotion(make):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        return make()(X2)


@rounded
@over(LAYERS)
def case_key_is_ignored(make):
    return make()(X2, key=jax.random.PRNGKey(7))


MISTAKES = {
    "num_spatial_dims of -1": lambda: total(-1, 2),
    "num_spatial_dims of 1.0": lambda: total(1.0, 2),
    "num_spatial_dims of a string": lambda: total("a", 2),
    "kernel_size of 0": lambda: nn.AvgPool2d(0)(X2),
    "kernel_size of -1": lambda: nn.AvgPool2d(-1)(X2),
    "kernel_size of 1.5": lambda: nn.AvgPool2d(1.5),
    "kernel_size of None": lambda: nn.AvgPool2d(None),
    "kernel_size of one": lambda: nn.AvgPool2d((2,))(X2),
    "kernel_size of floats": lambda: nn.AvgPool2d((1.0, 2))(X2),
    "kernel_size of NumPy": lambda: nn.AvgPool2d(np.int32(2)),
    "kernel_size of an array": lambda: nn.AvgPool2d(np.array([2, 2])),
    "no kernel_size": lambda: nn.AvgPool2d(),
    "stride of 0": lambda: nn.MaxPool2d(2, 0)(X2),
    "stride of -1": lambda: nn.MaxPool2d(2, -1)(X2),
    "stride of None": lambda: nn.MaxPool2d(2, None),
    "stride of one": lambda: nn.MaxPool2d(2, (1,))(X2),
    "padding of a string": lambda: nn.MaxPool2d(2, padding="SAME"),
    "padding of 1.0": lambda: nn.MaxPool2d(2, padding=1.0),
    "padding of None": lambda: nn.MaxPool2d(2, padding=None),
    "padding of one pair": lambda: nn.MaxPool2d(2, padding=((1, 2),)),
    "padding of triples": lambda: nn.MaxPool2d(2, padding=((1, 2, 3), (1, 2, 3)))(X2),
    "padding of pair and number": lambda: nn.AvgPool2d(2, padding=((1, 2), 1))(X2),
    "more padding than kernel": lambda: nn.MaxPool2d(2, padding=3)(X2),
    "use_ceil with a large stride": lambda: nn.MaxPool1d(2, 3, use_ceil=True)(X1),
    "key by position": lambda: nn.MaxPool1d(2)(X1, None),
    "target_shape of 0": lambda: nn.AdaptiveAvgPool2d(0)(X2),
    "target_shape of -1": lambda: nn.AdaptiveAvgPool2d(-1)(X2),
    "target_shape of 1.0": lambda: nn.AdaptiveAvgPool2d(1.0),
    "target_shape of None": lambda: nn.AdaptiveAvgPool2d(None),
    "target_shape of one": lambda: nn.AdaptiveAvgPool2d((2,)),
    "target_shape of a string": lambda: nn.AdaptiveAvgPool2d("a"),
    "target_shape of a list": lambda: nn.AdaptiveAvgPool2d([2, 2]),
    "target_shape of NumPy": lambda: nn.AdaptiveAvgPool2d(np.int64(2)),
    "target larger than the input": lambda: nn.AdaptiveAvgPool2d(7)(X2),
    "adaptive num_spatial_dims of 1.0": lambda: nn.AdaptivePool(2, 1.0, jnp.mean),
    "adaptive operation to a vector": lambda: nn.AdaptivePool(4, 1, lambda x: x)(X1),
    "adaptive operation to a pair": lambda: nn.AdaptivePool(4, 1, lambda x: (x.sum(),) * 2)(X1),
    "adaptive operation of first": lambda: nn.AdaptivePool(3, 1, lambda x: x[0])(X1),
    "adaptive operation of deviation": lambda: nn.AdaptivePool(3, 1, jnp.std)(X1),
}


@rounded
@over(MISTAKES)
def case_mistake(make):
    return make()
