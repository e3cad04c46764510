"""Attention: what its constructor and calls take, give and refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx
from catalogue.layers import KEY

nn = eqx.nn
build = functools.partial(nn.MultiheadAttention, key=KEY)


def sequence(length, size, scale=1.0):
    """A fixed input: not from JAX's PRNG, which the layers use."""
    return jnp.asarray(scale * np.cos(np.arange(length * size, dtype=float)), jnp.float32).reshape(
        length, size
    )


X = sequence(3, 4)
MASK = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], bool)
MASKS = np.stack([MASK, ~MASK])

LAYERS = {
    "one head": lambda **kw: build(1, 4, **kw),
    "two heads": lambda **kw: build(2, 4, **kw),
    "heads that do not divide": lambda **kw: build(3, 4, **kw),
    "more heads than sizes": lambda **kw: build(8, 4, **kw),
    "every size": lambda **kw: build(2, 4, 5, 6, 7, 3, 2, **kw),
    "key_size": lambda **kw: build(2, 4, key_size=3, **kw),
    "value_size": lambda **kw: build(2, 4, value_size=3, **kw),
    "output_size": lambda **kw: build(2, 4, output_size=3, **kw),
    "output_size of 0": lambda **kw: build(2, 4, output_size=0, **kw),
    "scalar output_size": lambda **kw: build(2, 4, output_size="scalar", **kw),
    "qk_size": lambda **kw: build(2, 4, qk_size=3, **kw),
    "qk_size of 0": lambda **kw: build(2, 4, qk_size=0, **kw),
    "vo_size": lambda **kw: build(2, 4, vo_size=5, **kw),
    "vo_size of 0": lambda **kw: build(2, 4, vo_size=0, **kw),
    "query bias": lambda **kw: build(2, 4, use_query_bias=True, **kw),
    "key bias": lambda **kw: build(2, 4, use_key_bias=True, **kw),
    "value bias": lambda **kw: build(2, 4, use_value_bias=True, **kw),
    "output bias": lambda **kw: build(2, 4, use_output_bias=True, **kw),
    "every bias, by position": lambda **kw: build(
        2, 4, None, None, None, None, None, True, True, True, True, **kw
    ),
    "dropout": lambda **kw: build(2, 4, dropout_p=0.5, **kw),
    "inference": lambda **kw: build(2, 4, dropout_p=0.5, inference=True, **kw),
    "bool sizes": lambda **kw: build(True, 4, **kw),
}


def inputs(layer, dtype=None):
    """Queries, keys and values of the sizes of the layer; five queries, three keys."""
    sizes = (5, layer.query_size), (3, layer.key_size), (3, layer.value_size)
    return [sequence(*size, scale=0.5 + i).astype(dtype) for i, size in enumerate(sizes)]


def paths(layer):
    """Where the leaves are; the text of a treedef is no part of what is compared."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(layer)]


@over(LAYERS)
def case_layer(make):
    layer = make()
    return layer, repr(layer), paths(layer)


@rounded
@over(LAYERS)
def case_result(make):
    layer = make()
    return layer(*inputs(layer, jnp.float32), key=KEY)


@rounded
@over(LAYERS)
def case_result_under_jit_and_vmap(make):
    layer = make()
    stacked = [jnp.stack([x, 2 * x]) for x in inputs(layer, jnp.float32)]
    keys = jax.random.split(KEY, 2)
    return eqx.filter_jit(jax.vmap(lambda q, k, v, key: layer(q, k, v, key=key)))(*stacked, keys)


@rounded
@over(LAYERS)
def case_gradients(make):
    layer = make()
    given = inputs(layer, jnp.float32)

    def loss(layer, given):
        return jnp.sum(layer(*given, key=KEY) ** 2)

    return eqx.filter_grad(loss)(layer, given), jax.grad(lambda x: loss(layer, x))(given)


DTYPES = {
    False: [None, "float16", "bfloat16", "float32", "float64", "complex64"],
    True: [None, "float32", "float64", "complex128"],
}


@rounded
@over({f"{d}, x64={x64}": (d, x64) for x64, ds in DTYPES.items() for d in ds})
def case_dtype(entry):
    """First values are to the bit: their bytes are a part of what is compared."""
    dtype, x64 = entry
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        dtype = None if dtype is None else jnp.dtype(dtype)
        layer = build(2, 4, 5, 6, use_key_bias=True, use_output_bias=True, dtype=dtype)
        values = [np.asarray(x).tobytes().hex() for x in jax.tree.leaves(layer) if eqx.is_array(x)]
        given = inputs(layer, dtype)
        mask = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 1], [0, 0, 1]], bool)
        return repr(layer), values, layer(*given), layer(*given, mask).dtype
    finally:
        jax.config.update("jax_enable_x64", before)


def two_heads(*args, dropout_p=0.0, **kwargs):
    return build(2, 4, dropout_p=dropout_p)(*args, **kwargs)


def dropping(**kwargs):
    return two_heads(X, X, X, dropout_p=0.5, **kwargs)


def swapped(name, layer):
    return eqx.tree_at(lambda m: getattr(m, name), build(2, 4), layer)


def seen(log):
    def process_heads(*heads):
        log.extend(str(x.shape) + str(x.dtype) for x in heads)
        return heads

    return process_heads


def logged():
    log = []
    return build(2, 4, qk_size=3, vo_size=5)(X, X[:2], X[:2], process_heads=seen(log)), log


CALLS = {
    "mask": lambda: two_heads(X, X, X, MASK),
    "mask of each head": lambda: two_heads(X, X, X, MASKS),
    "JAX mask": lambda: two_heads(X, X, X, jnp.asarray(MASK)),
    "float mask": lambda: two_heads(X, X, X, MASK.astype(np.float32)),
    "int mask": lambda: two_heads(X, X, X, MASK.astype(np.int32)),
    "mask of nothing": lambda: two_heads(X, X, X, np.zeros((3, 3), bool)),
    "mask by keyword": lambda: two_heads(query=X, key_=X, value=X, mask=MASK),
    "NumPy": lambda: two_heads(*[np.asarray(X)] * 3),
    "ints": lambda: two_heads(*[jnp.arange(12).reshape(3, 4)] * 3),
    "bfloat16": lambda: two_heads(*[X.astype(jnp.bfloat16)] * 3),
    "complex": lambda: two_heads(X, X, X * 1j),
    "fewer keys": lambda: two_heads(X, X[:2], X[:2], MASK[:, :2]),
    "one query": lambda: two_heads(X[:1], X, X),
    "ignored key": lambda: two_heads(X, X, X, key=KEY),
    "large float16": lambda: build(2, 4, dtype=jnp.float16)(
        *[sequence(3, 4, 100.0).astype(jnp.float16)] * 3, MASK
    ),
    "dropout": lambda: dropping(key=KEY),
    "dropout, typed key": lambda: dropping(key=jax.random.key(3)),
    "dropout, mask": lambda: two_heads(X, X, X, MASKS, dropout_p=0.5, key=KEY),
    "dropout of all": lambda: two_heads(X, X, X, dropout_p=1.0, key=KEY),
    "dropout of array": lambda: two_heads(X, X, X, dropout_p=jnp.array(0.5), key=KEY),
    "dropout, inference": lambda: dropping(inference=True),
    "dropout, no inference": lambda: build(2, 4, dropout_p=0.5, inference=True)(
        X, X, X, key=KEY, inference=False
    ),
    "dropout under jit": lambda: eqx.filter_jit(build(2, 4, dropout_p=0.5))(X, X, X, key=KEY),
    "deterministic": lambda: dropping(deterministic=True, inference=False),
    "not deterministic": lambda: dropping(deterministic=False, inference=True, key=KEY),
    "inference_mode": lambda: nn.inference_mode(build(2, 4, dropout_p=0.5))(X, X, X),
    "inference_mode, tree": lambda: nn.inference_mode(build(2, 4, dropout_p=0.5)),
    "process_heads": logged,
    "process_heads, list": lambda: two_heads(X, X, X, process_heads=lambda *h: list(h)),
    "process_heads, stacked": lambda: two_heads(X, X, X, process_heads=lambda *h: jnp.stack(h)),
    "process_heads, NumPy": lambda: two_heads(
        X, X, X, process_heads=lambda *h: [np.asarray(x) for x in h]
    ),
    "process_heads, dtype": lambda: two_heads(
        X, X, X, process_heads=lambda q, k, v: (q.astype("bfloat16"), k.astype("bfloat16"), v)
    ),
    "process_heads, rotary": lambda: two_heads(X, X, X, process_heads=rotated),
    "process_heads, scaled": lambda: two_heads(
        X, X, X, MASK, process_heads=lambda q, k, v: (2 * q, -k, v + 1)
    ),
    "process_heads and dropout": lambda: dropping(key=KEY, process_heads=lambda *h: h),
    "query_proj of Identity": lambda: swapped("query_proj", nn.Identity())(X, X, X),
    "output_proj of MLP": lambda: swapped("output_proj", nn.MLP(4, 7, 3, 1, key=KEY))(X, X, X),
    "output_proj of scalar": lambda: swapped("output_proj", nn.Linear(4, "scalar", key=KEY))(
        X, X, X
    ),
    "no dropout layer": lambda: swapped("dropout", None)(X, X, X),
    "key_proj of WeightNorm": lambda: swapped("key_proj", nn.WeightNorm(nn.Linear(4, 4, key=KEY)))(
        X, X, X
    ),
    "numpy weights": lambda: jax.tree.map(
        lambda x: np.asarray(x) if eqx.is_array(x) else x, build(2, 4)
    )(X, X, X),
    "typed key": lambda: build(2, 4).__class__(2, 4, key=jax.random.key(3)),
    "traced key": lambda: eqx.filter_jit(nn.MultiheadAttention)(2, 4, key=KEY),
    "equal": lambda: eqx.tree_equal(build(2, 4), build(2, 4)),
}


def rotated(q, k, v):
    rotate = jax.vmap(nn.RotaryPositionalEmbedding(2), in_axes=1, out_axes=1)
    return rotate(q), rotate(k), v


@rounded
@over(CALLS)
def case_call(make):
    return make()


HEADS = {
    "two": lambda q, k, v: (q, k),
    "four": lambda q, k, v: (q, k, v, v),
    "None": lambda q, k, v: None,
    "one array": lambda q, k, v: q,
    "fewer queries": lambda q, k, v: (q[:2], k, v),
    "fewer keys": lambda q, k, v: (q, k[:2], v),
    "fewer keys and values": lambda q, k, v: (q, k[:2], v[:2]),
    "other size": lambda q, k, v: (q[..., :1], k[..., :1], v),
    "one head": lambda q, k, v: (q[:, :1], k[:, :1], v[:, :1]),
    "error": lambda q, k, v: 1 / 0,
}
MISTAKES = {
    "no key": lambda: nn.MultiheadAttention(2, 4),
    "key of None": lambda: nn.MultiheadAttention(2, 4, key=None),
    "deterministic": lambda: build(2, 4, deterministic=True),
    "no heads": lambda: build(0, 4),
    "negative heads": lambda: build(-2, 4),
    "heads of 2.0": lambda: build(2.0, 4),
    "heads of string": lambda: build("2", 4),
    "negative query_size": lambda: build(2, -4),
    "query_size of None": lambda: build(2, None),
    "int dtype": lambda: build(2, 4, dtype=int),
    "dropout_p of 2": lambda: build(2, 4, dropout_p=2.0),
    **{
        f"{name} of {value!r}": functools.partial(build, 2, 4, **{name: value})
        for name in ("key_size", "value_size", "output_size", "qk_size", "vo_size")
        for value in (-1, 2.5, "a")
    },
    "vector": lambda: two_heads(X[0], X[0], X[0]),
    "batch": lambda: two_heads(X[None], X[None], X[None]),
    "batch of queries": lambda: two_heads(X[None], X, X),
    "list": lambda: two_heads([[1.0, 2.0, 3.0, 4.0]], X, X),
    "None": lambda: two_heads(None, X, X),
    "wrong query": lambda: two_heads(X[:, :3], X, X),
    "wrong key": lambda: two_heads(X, X[:, :3], X),
    "wrong value": lambda: two_heads(X, X, X[:, :3]),
    "fewer keys": lambda: two_heads(X, X[:2], X),
    "fewer values": lambda: two_heads(X, X, X[:1]),
    "no keys": lambda: two_heads(X, X[:0], X[:0]),
    "mask of vector": lambda: two_heads(X, X, X, MASK[0]),
    "mask of row": lambda: two_heads(X, X, X, MASK[:1]),
    "mask of three heads": lambda: two_heads(X, X, X, np.stack([MASK] * 3)),
    "mask of four axes": lambda: two_heads(X, X, X, MASK[None, None]),
    "mask of list": lambda: two_heads(X, X, X, MASK.tolist()),
    "key by position": lambda: two_heads(X, X, X, MASK, KEY),
    "dropout without key": dropping,
    "process_heads of number": lambda: two_heads(X, X, X, process_heads=1),
    **{
        f"process_heads, {name}": functools.partial(two_heads, X, X, X, process_heads=made)
        for name, made in HEADS.items()
    },
    "query_proj of other size": lambda: swapped("query_proj", nn.Linear(4, 6, key=KEY))(X, X, X),
    "value_proj of other size": lambda: swapped("value_proj", nn.Linear(4, 5, key=KEY))(X, X, X),
}


@over(MISTAKES)
def case_mistake(make):
    return make()
