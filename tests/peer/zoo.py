"""Leaves of every kind, by name."""

import jax
import jax.numpy as jnp
import numpy as np

import equinox as eqx


class Convertible:
    """What JAX can make an array of."""

    def __jax_array__(self) -> jax.Array:
        return jnp.ones(2)

    def __repr__(self) -> str:
        return "Convertible()"


class Opaque:
    """What JAX knows nothing of."""

    def __repr__(self) -> str:
        return "Opaque()"


class Pair(eqx.Module):
    """A Module with a leaf and a static field."""

    leaf: object
    tag: object = eqx.field(static=True, default="tag")

    def method(self) -> object:
        return self.leaf


LEAVES = {
    "jax float32": jnp.arange(2.0),
    "jax int32": jnp.arange(2),
    "jax uint8": jnp.ones(2, jnp.uint8),
    "jax bool": jnp.array(True),
    "jax complex64": jnp.ones(2, jnp.complex64),
    "jax bfloat16": jnp.ones(1, jnp.bfloat16),
    "jax float16": jnp.ones((1, 2), jnp.float16),
    "jax float8": jnp.ones(1, jnp.float8_e4m3fn),
    "jax int4": jnp.ones(1, jnp.int4),
    "jax empty": jnp.zeros(0),
    "jax key": jax.random.key(0),
    "jax raw key": jax.random.PRNGKey(0),
    "numpy float64": np.ones(2),
    "numpy float32": np.ones((1, 2), np.float32),
    "numpy int64": np.arange(2),
    "numpy bool": np.array(True),
    "numpy complex64": np.ones(1, np.complex64),
    "numpy bfloat16": np.ones(1, jnp.bfloat16),
    "numpy float0": np.zeros(1, jax.dtypes.float0),
    "numpy string": np.array("a"),
    "numpy object": np.array([None]),
    "numpy float32 scalar": np.float32(1),
    "numpy float64 scalar": np.float64(1),
    "numpy int32 scalar": np.int32(1),
    "numpy bool scalar": np.bool_(True),
    "numpy complex64 scalar": np.complex64(1),
    "float": 1.5,
    "nan": float("nan"),
    "int": 1,
    "large int": 2**70,
    "bool": True,
    "complex": 1j,
    "string": "text",
    "bytes": b"a",
    "None": None,
    "function": len,
    "class": int,
    "dtype class": jnp.float32,
    "dtype": np.dtype("float32"),
    "ellipsis": ...,
    "range": range(3),
    "set": {1},
    "list": [1, 2.0],
    "list of arrays": [jnp.ones(1)],
    "list of strings": ["text"],
    "list of None": [None],
    "ragged list": [[1], [1, 2]],
    "empty list": [],
    "tuple": (1.0,),
    "dict": {},
    "struct": jax.ShapeDtypeStruct((2,), jnp.float32),
    "convertible": Convertible(),
    "opaque": Opaque(),
    "module": Pair(jnp.ones(2)),
    "method": Pair(jnp.ones(2)).method,
}
