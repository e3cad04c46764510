"""Embeddings of indices and of positions, and `PReLU`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx
from catalogue.attention import paths, sequence
from catalogue.layers import KEY, vector

nn = eqx.nn
TABLE = np.arange(6, dtype=np.float32).reshape(2, 3)


def table(**kwargs):
    return nn.Embedding(4, 3, key=KEY, **kwargs)


EMBEDDINGS = {
    "drawn": table,
    "typed key": lambda: nn.Embedding(4, 3, key=jax.random.key(7)),
    "keywords": lambda: nn.Embedding(num_embeddings=2, embedding_size=5, key=KEY),
    "no rows": lambda: nn.Embedding(0, 3, key=KEY),
    "no columns": lambda: nn.Embedding(3, 0, key=KEY),
    "bool sizes": lambda: nn.Embedding(True, 3, key=KEY),
    "float16": lambda: table(dtype=jnp.float16),
    "bfloat16": lambda: table(dtype=jnp.bfloat16),
    "float64": lambda: table(dtype=np.float32),
    "complex64": lambda: table(dtype=jnp.complex64),
    "Python float": lambda: table(dtype=float),
    "Python complex": lambda: table(dtype=complex),
    "weight": lambda: nn.Embedding(weight=jnp.asarray(TABLE)),
    "NumPy weight": lambda: nn.Embedding(weight=TABLE),
    "int weight": lambda: nn.Embedding(weight=jnp.ones((2, 3), int)),
    "weight and sizes": lambda: nn.Embedding(2, 3, jnp.asarray(TABLE)),
    "weight and one size": lambda: nn.Embedding(2, None, jnp.asarray(TABLE)),
    "weight and key": lambda: nn.Embedding(weight=jnp.asarray(TABLE), key=KEY),
    "weight and dtype": lambda: nn.Embedding(weight=jnp.asarray(TABLE), dtype=jnp.float16),
    "traced key": lambda: eqx.filter_jit(nn.Embedding)(4, 3, key=KEY),
}


@over(EMBEDDINGS)
def case_embedding(make):
    layer = make()
    return layer, repr(layer), jax.tree.leaves(layer), paths(layer)


INDICES = {
    **{str(i): i for i in (0, 3, -1, -4, 4, 100, -5, -100)},
    "np.int64": np.int64(2),
    "np.int8": np.int8(-1),
    "np.uint8": np.uint8(2),
    "NumPy array": np.array(2),
    "JAX array": jnp.array(2),
    "JAX uint8": jnp.array(2, jnp.uint8),
    "JAX int8": jnp.array(-1, jnp.int8),
    "JAX array out of range": jnp.array(9),
    "True": True,
    "float": 1.0,
    "np.float32": np.float32(1),
    "JAX float": jnp.array(1.0),
    "complex": 1j,
    "vector": np.array([1, 2]),
    "vector of one": jnp.array([1]),
    "list": [1, 2],
    "tuple": (0, 1),
    "slice": slice(0, 1),
    "None": None,
    "string": "a",
    "ellipsis": ...,
}


@over(INDICES)
def case_lookup(index):
    return table()(index)


LOOKUPS = {
    "vmap": lambda: jax.vmap(table())(jnp.array([0, 3, -1, 7, -9])),
    "jit": lambda: eqx.filter_jit(table())(jnp.array(2)),
    "jit of number": lambda: eqx.filter_jit(table())(2),
    "key": lambda: table()(0, key=KEY),
    "gradient": lambda: eqx.filter_grad(lambda e: e(1).sum())(table()),
    "gradient of many": lambda: eqx.filter_grad(
        lambda e: (jax.vmap(e)(jnp.array([1, 1, -1])) ** 2).sum()
    )(table()),
    "many rows": lambda: nn.Embedding(weight=jnp.arange(300.0)[:, None])(jnp.array(-1, jnp.int8)),
    "NumPy weight": lambda: nn.Embedding(weight=TABLE)(1),
    "NumPy weight, out of range": lambda: nn.Embedding(weight=TABLE)(5),
    "int weight": lambda: nn.Embedding(weight=jnp.ones((2, 3), int))(1),
    "no columns": lambda: nn.Embedding(3, 0, key=KEY)(1),
    "no rows": lambda: nn.Embedding(0, 3, key=KEY)(0),
}


@over(LOOKUPS)
def case_lookup_in(make):
    return make()


MISTAKES = {
    "nothing": lambda: nn.Embedding(),
    "rows only": lambda: nn.Embedding(3, key=KEY),
    "columns only": lambda: nn.Embedding(embedding_size=3, key=KEY),
    "no key": lambda: nn.Embedding(3, 2),
    "key of number": lambda: nn.Embedding(3, 2, key=0),
    "negative rows": lambda: nn.Embedding(-1, 3, key=KEY),
    "negative columns": lambda: nn.Embedding(3, -1, key=KEY),
    "rows of 2.5": lambda: nn.Embedding(2.5, 3, key=KEY),
    "columns of 2.5": lambda: nn.Embedding(3, 2.5, key=KEY),
    "rows of string": lambda: nn.Embedding("scalar", 3, key=KEY),
    "int dtype": lambda: table(dtype=int),
    "unknown dtype": lambda: table(dtype="foo"),
    "weight of other rows": lambda: nn.Embedding(4, 3, jnp.asarray(TABLE)),
    "weight of other columns": lambda: nn.Embedding(None, 4, jnp.asarray(TABLE)),
    "weight of vector": lambda: nn.Embedding(weight=jnp.ones(3)),
    "weight of three axes": lambda: nn.Embedding(weight=jnp.ones((3, 2, 2))),
    "weight of list": lambda: nn.Embedding(weight=[[1.0]]),
    "weight of number": lambda: nn.Embedding(weight=1.0),
    "rotary of 3": lambda: nn.RotaryPositionalEmbedding(3),
    "rotary of -2": lambda: nn.RotaryPositionalEmbedding(-2),
    "rotary of -1": lambda: nn.RotaryPositionalEmbedding(-1),
    "rotary of string": lambda: nn.RotaryPositionalEmbedding("a"),
    "rotary of None": lambda: nn.RotaryPositionalEmbedding(None),
    "rotary of 2.0": lambda: rotary(26.0)(jnp.ones((3, 26))),
    "rotary, unknown dtype": lambda: rotary(12, dtype="foo")(jnp.ones((3, 12))),
    "rotary, theta of string": lambda: rotary(14, "a")(jnp.ones((3, 14))),
    "rotary of other size": lambda: rotary(4)(jnp.ones((3, 6))),
    "rotary of vector": lambda: rotary(4)(jnp.ones(4)),
    "rotary of batch": lambda: rotary(4)(jnp.ones((2, 3, 4))),
    "rotary of list": lambda: rotary(4)([[1.0, 2.0, 3.0, 4.0]]),
    "rotary of nothing": lambda: rotary(4)(None),
    "rotary of bools": lambda: rotary(4)(jnp.ones((3, 4), bool)),
    "rotate_half of list": lambda: nn.RotaryPositionalEmbedding.rotate_half([[1.0, 2.0]]),
    "rotate_half of scalar": lambda: nn.RotaryPositionalEmbedding.rotate_half(jnp.ones(())),
    "freqs without theta": lambda: freqs(4, 3),
    "freqs of string": lambda: freqs(4, 3, "a", jnp.float32),
    "slope of None": lambda: nn.PReLU(None),
    "slope of string": lambda: nn.PReLU("slope"),
    "PReLU of list": lambda: nn.PReLU()([-1.0]),
    "PReLU of None": lambda: nn.PReLU()(None),
    "PReLU with key": lambda: nn.PReLU()(vector(2), key=KEY),
    "PReLU that does not broadcast": lambda: nn.PReLU(jnp.ones(3))(jnp.ones((2, 2))),
}


@over(MISTAKES)
def case_mistake(make):
    return make()


rotary = nn.RotaryPositionalEmbedding
freqs = nn.RotaryPositionalEmbedding.precompute_freqs_cis
ROTARIES = {
    "default": lambda: rotary(4),
    "theta": lambda: rotary(4, 500.0),
    "dtype": lambda: rotary(4, dtype=jnp.float16),
    "position": lambda: rotary(4, 100.0, jnp.bfloat16),
    "dtype of string": lambda: rotary(4, dtype="float16"),
    "dtype of None": lambda: rotary(4, dtype=None),
    "size of 0": lambda: rotary(0),
}


@over(ROTARIES)
def case_rotary(make):
    layer = make()
    return repr(layer), jax.tree.leaves(layer), paths(layer), layer == make()


NUMBERS = [None, "float16", "bfloat16", "float32"]


@over({f"{size}, {dtype}": (size, dtype) for size in (0, 2, 4, 10, 64) for dtype in NUMBERS})
def case_freqs(entry):
    size, dtype = entry
    return freqs(size, 40, 500.0, None if dtype is None else jnp.dtype(dtype))


FREQS = {
    "keywords": lambda: freqs(embedding_size=4, end=3, theta=1e4, dtype=jnp.float32),
    "odd": lambda: freqs(5, 3, 1e4, jnp.float32),
    "no rows": lambda: freqs(4, 0, 1e4, jnp.float32),
    "rows of 2.5": lambda: freqs(4, 2.5, 1e4, jnp.float32),
    "rows of -1": lambda: freqs(4, -1, 1e4, jnp.float32),
    "negative size": lambda: freqs(-4, 3, 1e4, jnp.float32),
    "theta of 1": lambda: freqs(4, 3, 1, jnp.float32),
    "complex": lambda: freqs(4, 3, 1e4, jnp.complex64),
    "ints": lambda: freqs(4, 3, 1e4, jnp.int32),
    "under jit": lambda: jax.jit(lambda: freqs(4, 3, 1e4, jnp.float32))(),
}


@rounded
@over(FREQS)
def case_freqs_of(make):
    return make()


@rounded
@over({f"{of} of {x}": (of, x) for of in NUMBERS for x in NUMBERS[1:]})
def case_rotated(entry):
    """A size to each dtype: the peer keeps one table of each size and dtype."""
    of, x = entry
    layer = rotary(6, dtype=None if of is None else jnp.dtype(of))
    return layer(sequence(7, 6).astype(x))


ROTATIONS = {
    "jit": lambda: eqx.filter_jit(rotary(4))(sequence(3, 4)),
    "after jit": lambda: (eqx.filter_jit(rotary(20))(sequence(9, 20)), rotary(20)(sequence(9, 20))),
    "vmap": lambda: jax.vmap(rotary(4))(jnp.stack([sequence(3, 4), sequence(3, 4, 2.0)])),
    "gradient": lambda: jax.grad(lambda x: (rotary(4)(x)[:, 0] ** 2).sum())(sequence(3, 4)),
    "key": lambda: rotary(4)(sequence(3, 4), key=KEY),
    "NumPy": lambda: rotary(4)(np.asarray(sequence(3, 4))),
    "no rows": lambda: rotary(4)(jnp.ones((0, 4))),
    "no columns": lambda: rotary(0)(jnp.ones((2, 0))),
    "longer, then shorter": lambda: [rotary(8)(sequence(n, 8)) for n in (30, 3, 17)],
    "ints": lambda: rotary(4)(jnp.arange(12).reshape(3, 4)),
    "complex": lambda: rotary(4)(sequence(3, 4) * 1j),
    "theta of 10": lambda: rotary(16, 10)(sequence(3, 16)),
    "theta of 500.0": lambda: rotary(18, 500.0)(sequence(3, 18)),
    "two thetas": lambda: [rotary(22, t)(sequence(3, 22))[2, :2] for t in (10.0, 1000.0)],
    "rotate_half": lambda: rotary.rotate_half(sequence(3, 4)),
    "rotate_half of instance": lambda: rotary(2).rotate_half(sequence(3, 4)),
    "rotate_half of vector": lambda: rotary.rotate_half(sequence(3, 4)[0]),
    "rotate_half of odd": lambda: rotary.rotate_half(sequence(3, 5)),
    "rotate_half of three axes": lambda: rotary.rotate_half(sequence(3, 4)[None]),
    "rotate_half of NumPy": lambda: rotary.rotate_half(np.asarray(sequence(3, 4))),
}


@rounded
@over(ROTATIONS)
def case_rotation(make):
    return make()


SLOPES = {
    "default": 0.25,
    "int": 1,
    "bool": True,
    "complex": 1j,
    "np.float32": np.float32(0.3),
    "np.float64": np.float64(0.1),
    "NumPy array": np.ones(3),
    "JAX array": jnp.array([0.1, 0.2, 0.3]),
    "float16": jnp.ones((2, 3), jnp.float16),
    "ints": jnp.arange(3),
    "list": [1.0, 2.0, 3.0],
}


@rounded
@over(SLOPES)
def case_prelu(slope):
    layer = nn.PReLU(slope)
    return repr(layer), layer, layer(-np.ones(3, np.float32)), layer(-jnp.ones((2, 3)))


SPECIAL = jnp.array([-2.0, -0.0, 0.0, 1.0, jnp.nan, -jnp.inf, jnp.inf])
RECTIFIED = {
    "special": lambda: nn.PReLU()(SPECIAL),
    "float16": lambda: nn.PReLU()(SPECIAL.astype(jnp.float16)),
    "ints": lambda: nn.PReLU()(jnp.arange(-2, 2)),
    "bools": lambda: nn.PReLU()(jnp.array([True, False])),
    "complex": lambda: nn.PReLU()(jnp.array([-1 + 1j, 1 - 1j])),
    "float": lambda: nn.PReLU()(-1.0),
    "int": lambda: nn.PReLU()(-1),
    "NumPy": lambda: nn.PReLU()(np.array([-1.0, 2.0])),
    "slopes of number": lambda: nn.PReLU(jnp.array([0.1, 0.2]))(-1.0),
    "gradient": lambda: eqx.filter_grad(lambda p: p(vector(4)).sum())(nn.PReLU()),
    "gradient of x": lambda: jax.grad(lambda x: nn.PReLU()(x).sum())(SPECIAL[:4]),
    "jit": lambda: eqx.filter_jit(nn.PReLU())(vector(4)),
    "vmap": lambda: jax.vmap(nn.PReLU())(vector(4)),
    "traced slope": lambda: jax.jit(lambda a: nn.PReLU(a)(vector(4)))(0.5),
    "strict promotion": lambda: strictly(lambda: nn.PReLU()(vector(4).astype(jnp.bfloat16))),
}


def strictly(call):
    with jax.numpy_dtype_promotion("strict"):
        return call()


@rounded
@over(RECTIFIED)
def case_rectified(make):
    return make()


@rounded
@over({x: x for x in ("float32", "bfloat16")})
def case_rotation_under_strict_promotion(dtype):
    return strictly(functools.partial(rotary(4), sequence(3, 4).astype(dtype)))
