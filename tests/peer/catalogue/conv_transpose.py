"""Transposed convolutions: what is stored, first values, results, derivatives and mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx

nn = eqx.nn
KEY = jax.random.PRNGKey(7)


def image(*shape):
    """A fixed input: not from JAX's PRNG, which the layers use."""
    return np.cos(np.arange(1.0, np.prod(shape) + 1)).reshape(shape).astype(np.float32)


X1, X2, X3 = image(2, 9), image(2, 5, 6), image(2, 4, 5, 3)
G2 = image(4, 5, 6)


def conv(*args, **kwargs):
    return nn.ConvTranspose2d(2, 4, *args, **kwargs, key=KEY)


CALLS = {
    "ConvTranspose in 0 dimensions": lambda: (nn.ConvTranspose(0, 2, 4, (), key=KEY), X1[:, 0]),
    "ConvTranspose in 1 dimension": lambda: (nn.ConvTranspose(1, 2, 4, 3, key=KEY), X1),
    "ConvTranspose in 4 dimensions": lambda: (
        nn.ConvTranspose(4, 2, 4, 2, key=KEY),
        image(2, 3, 4, 2, 3),
    ),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(2, 4, 3, key=KEY), X1),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(2, 4, 3, key=KEY), X2),
    "ConvTranspose3d": lambda: (nn.ConvTranspose3d(2, 4, 3, key=KEY), X3),
    "ConvTranspose1d by position": lambda: (
        nn.ConvTranspose1d(2, 4, 3, 2, 1, 2, 2, 2, False, "ZEROS", jnp.float32, key=KEY),
        X1,
    ),
    "ConvTranspose3d, mixed": lambda: (
        nn.ConvTranspose3d(
            2, 4, (2, 3, 1), (1, 2, 2), (0, 1, 0), ((0, 1), (1, 1), (0, 0)), (2, 1, 1), key=KEY
        ),
        X3,
    ),
    "kernel of two sizes": lambda: (conv((2, 3)), X2),
    "kernel as a list": lambda: (conv([2, 3]), X2),
    "kernel of 1": lambda: (conv(1), X2),
    "kernel larger than the input": lambda: (conv(7), X2),
    "stride": lambda: (conv(3, 2), X2),
    "two strides": lambda: (conv(3, stride=(1, 3)), X2),
    "padding": lambda: (conv(3, padding=1), X2),
    "two paddings": lambda: (conv(3, padding=(1, 2)), X2),
    "pairs": lambda: (conv(3, padding=((1, 2), (0, 1))), X2),
    "negative padding": lambda: (conv(2, padding=-1), X2),
    "SAME": lambda: (conv((3, 4), padding="SAME"), X2),
    "SAME in lower case": lambda: (conv((3, 4), padding="same"), X2),
    "SAME_LOWER": lambda: (conv((3, 4), padding="Same_Lower"), X2),
    "SAME with stride": lambda: (conv((3, 4), 2, padding="SAME"), X2),
    "SAME_LOWER with stride": lambda: (conv((3, 4), 2, padding="SAME_LOWER"), X2),
    "SAME with dilation": lambda: (conv((3, 4), padding="SAME", dilation=2), X2),
    "VALID": lambda: (conv(3, padding="valid"), X2),
    "dilation": lambda: (conv(2, dilation=2), X2),
    "two dilations": lambda: (conv(2, dilation=(1, 3)), X2),
    "groups": lambda: (nn.ConvTranspose2d(4, 8, 3, groups=2, key=KEY), G2),
    "groups of one": lambda: (nn.ConvTranspose2d(4, 4, 3, groups=4, key=KEY), G2),
    "groups with stride": lambda: (nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, groups=2, key=KEY), G2),
    "groups in one dimension": lambda: (
        nn.ConvTranspose1d(4, 4, 3, groups=2, key=KEY),
        image(4, 9),
    ),
    "groups in three dimensions": lambda: (
        nn.ConvTranspose3d(4, 4, 2, groups=2, key=KEY),
        image(4, 3, 4, 3),
    ),
    "many groups": lambda: (nn.ConvTranspose2d(8, 8, 3, groups=8, key=KEY), image(8, 5, 6)),
    "without bias": lambda: (conv(3, use_bias=False), X2),
    "no output channels": lambda: (nn.ConvTranspose2d(2, 0, 3, key=KEY), X2),
    "empty image": lambda: (conv(3), image(2, 0, 0)),
    "typed key": lambda: (nn.ConvTranspose2d(2, 4, 3, key=jax.random.key(7)), X2),
    "output_padding": lambda: (conv(3, 2, 1), X2),
    "two output_paddings": lambda: (conv(3, (2, 3), (1, 2)), X2),
    "negative output_padding": lambda: (conv(3, 2, -1), X2),
    "SAME with output_padding": lambda: (conv(3, 2, 1, "SAME"), X2),
    "SAME_LOWER with output_padding": lambda: (conv((3, 4), (3, 2), (2, 1), "SAME_LOWER"), X2),
    "VALID with output_padding": lambda: (conv(3, 2, 1, "VALID"), X2),
    "SAME, stride larger than the kernel": lambda: (conv(2, 4, padding="SAME"), X2),
    "three dimensions, stride": lambda: (nn.ConvTranspose3d(2, 3, 3, 2, key=KEY), X3),
    "three dimensions, stride of 3": lambda: (nn.ConvTranspose3d(2, 3, 2, 3, 1, 1, key=KEY), X3),
    "three dimensions, dilation": lambda: (
        nn.ConvTranspose3d(2, 3, 2, (2, 1, 3), padding="SAME", dilation=(2, 3, 1), key=KEY),
        X3,
    ),
    "three dimensions, groups": lambda: (
        nn.ConvTranspose3d(4, 6, 2, 2, groups=2, key=KEY),
        image(4, 3, 2, 3),
    ),
    "three dimensions, much padding": lambda: (
        nn.ConvTranspose3d(2, 3, 3, 2, padding=3, key=KEY),
        X3,
    ),
    "three dimensions, circular": lambda: (
        nn.ConvTranspose3d(2, 3, 3, 2, padding="SAME", padding_mode="CIRCULAR", key=KEY),
        X3,
    ),
    "four dimensions, stride": lambda: (
        nn.ConvTranspose(4, 2, 2, 2, 2, key=KEY),
        image(2, 2, 3, 2, 2),
    ),
    **{
        f"circular, kernel {kernel}, stride {stride}, dilation {dilation}, {padding}": (
            functools.partial(
                lambda *how: (
                    nn.ConvTranspose1d(
                        2,
                        3,
                        how[0],
                        how[1],
                        padding=how[3],
                        dilation=how[2],
                        padding_mode="circular",
                        key=KEY,
                    ),
                    X1[:, :4],
                ),
                kernel,
                stride,
                dilation,
                padding,
            )
        )
        for kernel, stride, dilation in ((1, 2, 1), (2, 1, 3), (3, 2, 1), (4, 3, 2), (5, 2, 3))
        for padding in ("SAME", "SAME_LOWER")
    },
    "CIRCULAR with dilation": lambda: (
        conv(3, padding="SAME", dilation=2, padding_mode="CIRCULAR"),
        X2,
    ),
}


CORE = {name: call for name, call in CALLS.items() if not name.startswith("circular, kernel")}
"""Without what differs in the padding alone."""


@over(CALLS)
def case_layer(make):
    return make()[0]


@over(
    {
        name: CALLS[name]
        for name in ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "without bias")
    }
)
def case_repr(make):
    return repr(make()[0])


@over(
    {
        name: CALLS[name]
        for name in ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "without bias")
    }
)
def case_structure(make):
    return jax.tree.structure(make()[0])


@rounded
@over(CALLS)
def case_result(make):
    layer, x = make()
    return layer(x)


@rounded
@over(CORE)
def case_gradient(make):
    layer, x = make()
    return eqx.filter_grad(lambda both: jnp.sum(both[0](both[1]) ** 2))((layer, jnp.asarray(x)))


@rounded
@over(CORE)
def case_compiled_and_mapped(make):
    layer, x = make()
    return eqx.filter_jit(eqx.filter_vmap(layer))(np.stack([x, -x]))


DTYPES = {
    f"{kind}, {dtype}, x64={x64}": (kind, dtype, x64)
    for kind in ("ConvTranspose1d", "ConvTranspose2d")
    for x64, dtypes in {
        False: [None, "float16", "bfloat16", "float32", "float64", "complex64"],
        True: [None, "float32", "float64", "complex128"],
    }.items()
    for dtype in dtypes
}


@functools.cache
def made(name):
    kind, dtype, x64 = DTYPES[name]
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        dtype = None if dtype is None else jnp.dtype(dtype)
        layer = getattr(nn, kind)(2, 3, 2, dtype=dtype, key=KEY)
        x = jnp.asarray({"ConvTranspose1d": X1, "ConvTranspose2d": X2}[kind], layer.weight.dtype)
        return [layer.weight, layer.bias], layer(x)
    finally:
        jax.config.update("jax_enable_x64", before)


@over({name: name for name in DTYPES})
def case_first_values(name):
    return made(name)[0]


@rounded
@over({name: name for name in DTYPES})
def case_result_of_dtype(name):
    return made(name)[1]


INPUTS = {
    "batch": image(7, 2, 5, 6),
    "no channels": image(5, 6),
    "other channels": image(3, 5, 6),
    "one channel": image(1, 5, 6),
    "number": 1.0,
    "list": [1.0],
    "None": None,
    "int": np.arange(60).reshape(2, 5, 6),
    "bool": X2 > 0,
    "float16": X2.astype(np.float16),
    "float64": X2.astype(np.float64),
    "complex": X2 * 1j,
}


@rounded
@over(INPUTS)
def case_input(x):
    return conv(3)(x)


MISTAKES = {
    "num_spatial_dims of -1": lambda: nn.ConvTranspose(-1, 2, 4, 3, key=KEY),
    "num_spatial_dims of 1.0": lambda: nn.ConvTranspose(1.0, 2, 4, 3, key=KEY),
    "num_spatial_dims of None": lambda: nn.ConvTranspose(None, 2, 4, 3, key=KEY),
    "in_channels of -2": lambda: nn.ConvTranspose1d(-2, 4, 3, key=KEY),
    "in_channels of 0": lambda: nn.ConvTranspose1d(0, 4, 3, key=KEY),
    "in_channels of 2.0": lambda: nn.ConvTranspose1d(2.0, 4, 3, key=KEY),
    "in_channels of a string": lambda: nn.ConvTranspose1d("scalar", 4, 3, key=KEY),
    "out_channels of -2": lambda: nn.ConvTranspose1d(2, -4, 3, key=KEY),
    "out_channels of None": lambda: nn.ConvTranspose1d(2, None, 3, key=KEY),
    "kernel_size of 0": lambda: conv(0),
    "kernel_size of -1": lambda: conv(-1),
    "kernel_size of 1.5": lambda: conv(1.5),
    "kernel_size of None": lambda: conv(None),
    "kernel_size of one": lambda: conv((2,)),
    "kernel_size of three": lambda: conv((2, 2, 2)),
    "kernel_size of a string": lambda: conv("a"),
    "kernel_size of NumPy": lambda: conv(np.int32(2)),
    "stride of 0": lambda: conv(3, 0)(X2),
    "stride of 1.5": lambda: conv(3, 1.5)(X2),
    "stride of one": lambda: conv(3, (1,)),
    "stride of None": lambda: conv(3, None)(X2),
    "dilation of 0": lambda: conv(3, dilation=0)(X2),
    "dilation of three": lambda: conv(3, dilation=(1, 1, 1)),
    "padding of a string": lambda: conv(3, padding="foo"),
    "padding of 1.0": lambda: conv(3, padding=1.0),
    "padding of None": lambda: conv(3, padding=None),
    "padding of one": lambda: conv(3, padding=(1,)),
    "padding of one pair": lambda: conv(3, padding=((1, 2),)),
    "padding of triples": lambda: conv(3, padding=((1, 2, 3), (1, 2, 3)))(X2),
    "padding of floats": lambda: conv(3, padding=((1.0, 2), (0, 1)))(X2),
    "padding of an array": lambda: conv(3, padding=np.array([1, 2])),
    "padding of NumPy": lambda: conv(3, padding=np.int64(1)),
    "padding of pair and number": lambda: conv(3, padding=((1, 2), 1))(X2),
    "padding of lists": lambda: conv(3, padding=[[1, 2], [0, 1]]),
    "groups of 3": lambda: conv(3, groups=3),
    "groups of 0": lambda: conv(3, groups=0),
    "groups of -1": lambda: conv(3, groups=-1),
    "groups of 1.0": lambda: conv(3, groups=1.0),
    "groups that do not divide the output": lambda: nn.ConvTranspose2d(4, 3, 3, groups=2, key=KEY)(
        G2
    ),
    "padding_mode of another name": lambda: conv(3, padding_mode="foo"),
    "padding_mode of None": lambda: conv(3, padding_mode=None),
    "REFLECT": lambda: conv(3, padding="SAME", padding_mode="REFLECT"),
    "REPLICATE": lambda: conv(3, padding_mode="replicate"),
    "CIRCULAR without SAME": lambda: conv(3, padding=1, padding_mode="CIRCULAR"),
    "CIRCULAR with output_padding": lambda: conv(3, 2, 1, "SAME", padding_mode="CIRCULAR"),
    "output_padding of the stride": lambda: conv(3, 2, 2),
    "output_padding of one": lambda: conv(3, 2, (1,)),
    "output_padding of None": lambda: conv(3, 2, None),
    "more padding than there is": lambda: conv(3, padding=10)(X2),
    "dtype of int": lambda: conv(3, dtype=int),
    "bias": lambda: conv(3, bias=False),
    "no key": lambda: nn.ConvTranspose2d(2, 4, 3),
    "key of None": lambda: nn.ConvTranspose2d(2, 4, 3, key=None),
    "bias taken away": lambda: eqx.tree_at(lambda c: c.bias, conv(3), None)(X2),
    "two inputs": lambda: conv(3)(X2, X2),
}


@rounded
@over(MISTAKES)
def case_mistake(make):
    return make()


@rounded
def case_numpy_parameters():
    return jax.tree.map(np.asarray, conv(3))(X2)


@rounded
def case_key_is_ignored():
    return conv(3)(X2, key=KEY)


@rounded
def case_strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        return [conv(3)(X2), conv(3, padding="SAME", padding_mode="CIRCULAR")(X2)]


@rounded
def case_forward_derivative():
    return jax.jvp(nn.ConvTranspose3d(2, 3, 3, 2, key=KEY), (X3,), (X3,))


@rounded
def case_hessian():
    layer = nn.ConvTranspose1d(2, 2, 2, groups=2, key=KEY)
    return jax.hessian(lambda x: jnp.sum(layer(x) ** 3))(jnp.asarray(X1[:, :4]))


def case_shapes_alone():
    return jax.eval_shape(lambda key: nn.ConvTranspose2d(2, 4, 3, key=key), KEY)
