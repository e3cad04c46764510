"""`tree_serialise_leaves`, `tree_deserialise_leaves` and their default specs, byte for byte."""

import io
import os
import pathlib
import pickle
import tempfile
from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from marks import over

import equinox as eqx

A = jnp.arange(3.0)
TREE = [A, {"a": jnp.arange(2), "b": (1, "text", None)}, np.arange(4.0).reshape(2, 2)]


class M(eqx.Module):
    """A Module with an array, a static field and any leaf."""

    w: jax.Array
    s: int = eqx.field(static=True, default=1)
    f: Any = None


class Colour(IntEnum):
    """A number with names."""

    RED = 1


class Length(float):
    """A number of a class of its own."""


class Holder:
    """What JAX can make an array of."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __jax_array__(self) -> jax.Array:
        return self.value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.value, dtype)


def saved(tree: Any, *arguments: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, tree, *arguments, **options)
    return file.getvalue()


def loaded(data: bytes, like: Any, *arguments: Any, **options: Any) -> Any:
    return eqx.tree_deserialise_leaves(io.BytesIO(data), like, *arguments, **options)


def sharded() -> jax.Array:
    return jax.device_put(jnp.arange(8.0), NamedSharding(jax.make_mesh((4,), ("d",)), P("d")))


def small(name: str) -> jax.Array:
    return jnp.ones(3, getattr(jnp, name))


LEAVES = {
    "float32": lambda: A,
    "int32": lambda: jnp.arange(3),
    "scalar": lambda: jnp.array(1.5),
    "weak scalar": lambda: jnp.asarray(1.5),
    "empty": lambda: jnp.zeros((0, 3)),
    "two axes": lambda: jnp.arange(6.0).reshape(2, 3),
    "bool array": lambda: jnp.array([True, False]),
    "complex64": lambda: A + 1j,
    "float16": lambda: small("float16"),
    "bfloat16": lambda: small("bfloat16"),
    "float8_e4m3fn": lambda: small("float8_e4m3fn"),
    "float8_e5m2": lambda: small("float8_e5m2"),
    "float8_e4m3b11fnuz": lambda: small("float8_e4m3b11fnuz"),
    "int4": lambda: small("int4"),
    "uint4": lambda: small("uint4"),
    "raw key": lambda: jax.random.PRNGKey(0),
    "typed key": lambda: jax.random.key(0),
    "sharded": sharded,
    "numpy float64": lambda: np.arange(3.0),
    "numpy int8": lambda: np.arange(3, dtype=np.int8),
    "numpy bool": lambda: np.array([True]),
    "numpy 0-d": lambda: np.array(1.5),
    "numpy Fortran": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "numpy strided": lambda: np.arange(12.0).reshape(3, 4)[::2, 1:],
    "numpy big-endian": lambda: np.arange(3, dtype=">f8"),
    "numpy bfloat16": lambda: np.ones(2, ml_dtypes.bfloat16),
    "numpy text": lambda: np.array(["a", "bc"]),
    "numpy dates": lambda: np.array(["2020-01-01"], dtype="M8[D]"),
    "numpy structured": lambda: np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]),
    "numpy unicode names": lambda: np.zeros(2, dtype=[("\u03bb", "f4")]),
    "numpy objects": lambda: np.array([1, "a"], dtype=object),
    "numpy masked": lambda: np.ma.masked_array([1.0, 2.0], [False, True]),
    "numpy matrix": lambda: np.matrix([[1, 2]]),
    "numpy float32 scalar": lambda: np.float32(1.5),
    "numpy bool scalar": lambda: np.bool_(True),
    "numpy str scalar": lambda: np.str_("ab"),
    "numpy bfloat16 scalar": lambda: ml_dtypes.bfloat16(1),
    "bool": lambda: True,
    "int": lambda: 3,
    "large int": lambda: 2**63,
    "huge int": lambda: 2**70,
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "complex": lambda: 1 + 2j,
    "enum": lambda: Colour.RED,
    "own float": lambda: Length(2),
    "text": lambda: "a",
    "bytes": lambda: b"a",
    "none": lambda: None,
    "function": lambda: jnp.tanh,
    "range": lambda: range(3),
    "struct": lambda: jax.ShapeDtypeStruct((3,), jnp.float32),
    "__jax_array__": lambda: Holder(A),
    "module": lambda: M(A, 1, 2),
    "linear": lambda: eqx.nn.Linear(2, 3, key=jax.random.key(0)),
    "mlp": lambda: eqx.nn.MLP(2, 1, 3, 2, key=jax.random.key(0)),
    "tree": lambda: TREE,
}


@over(LEAVES)
def case_bytes(leaf):
    return saved([leaf()]).hex()


@over(LEAVES)
def case_round_trip(leaf):
    return loaded(saved([leaf()]), [leaf()])


@over(LEAVES)
def case_shapes_alone(leaf):
    like = eqx.filter_eval_shape(lambda: M(leaf()))
    return loaded(saved(M(leaf())), like)


FILES = {  # what the peer wrote, so that both read it
    "float32": "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028332c292c207d"
    + "20" * 60
    + "0a"
    + "000000000000803f00000040",
    "bfloat16": "934e554d5059010076007b276465736372273a20273c5632272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028332c292c207d"
    + "20" * 60
    + "0a"
    + "803f803f803f",
}


@over(FILES)
def case_files(text):
    kind = jnp.float32 if "6634" in text else jnp.bfloat16
    return loaded(bytes.fromhex(text), jnp.zeros(3, kind))


PAIRS = {
    "float32": A,
    "int32": jnp.arange(3),
    "shorter": jnp.arange(2.0),
    "bfloat16": small("bfloat16"),
    "float16": small("float16"),
    "scalar": jnp.array(1.0),
    "one of one": jnp.ones(1),
    "int scalar": jnp.array(1),
    "bool scalar": jnp.array(True),
    "numpy float64": np.arange(3.0),
    "numpy float32": np.arange(3, dtype=np.float32),
    "numpy int64": np.arange(3),
    "numpy big-endian": np.arange(3, dtype=">f4"),
    "numpy 0-d": np.array(1.0),
    "numpy float32 scalar": np.float32(1),
    "numpy float64 scalar": np.float64(1),
    "numpy int32 scalar": np.int32(1),
    "numpy text": np.array(["a", "bc"]),
    "bool": True,
    "int": 3,
    "float": 1.5,
    "complex": 1 + 2j,
    "text": "a",
    "struct": jax.ShapeDtypeStruct((3,), jnp.float32),
    "scalar struct": jax.ShapeDtypeStruct((), jnp.float32),
}


@over(
    {
        f"{one} as {other}": (PAIRS[one], PAIRS[other])
        for one in PAIRS
        for other in PAIRS
        if "struct" not in one or other == "float32"  # nothing is saved of one
    }
)
def case_as_another(pair):
    one, other = pair
    return loaded(saved({"a": one}), {"a": other})


DAMAGED = {
    "nothing": lambda: b"",
    "too few": lambda: saved([A]),
    "cut in the magic": lambda: saved([A, A])[:143],
    "cut in the header": lambda: saved([A, A])[:200],
    "cut in the data": lambda: saved([A, A])[:-1],
    "words": lambda: b"hello world, this is no array",
    "a pickle": lambda: pickle.dumps([1, 2]),
    "an npz": lambda: npz(),
    "objects": lambda: objects(),
}


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3))
    return file.getvalue()


def objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([1, "a", None], dtype=object))
    return file.getvalue()


@over(DAMAGED)
def case_damaged(data):
    return loaded(data(), [A, A])


@over({"one array": [A], "an array and a number": [A, 1], "nothing": []})
def case_other_version(tree):
    file = io.BytesIO()
    for leaf in jax.tree.leaves(tree):
        np.lib.format.write_array(file, np.asarray(leaf), version=(2, 0))
    return loaded(file.getvalue(), tree)


def in_folder(call):
    """Call with a new working folder, and say what is in it after."""
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            result = call()
            return result, sorted(path.name for path in pathlib.Path().iterdir())
        finally:
            os.chdir(before)


class Named:
    """A path of a class of its own."""

    def __fspath__(self) -> str:
        return "named"


PATHS = {
    "plain": "a",
    "suffix": "a.eqx",
    "other suffix": "a.bin",
    "two dots": "a.b.c",
    "hidden": ".a",
    "upper case": "a.EQX",
    "slash": "a/",
    "path": pathlib.Path("a"),
    "path with suffix": pathlib.Path("a.npz"),
    "own path": Named(),
    "bytes": b"a",
    "none": None,
    "number": 3,
    "empty": "",
    "no folder": "folder/a",
}


@over(PATHS)
def case_path(path):
    def call():
        eqx.tree_serialise_leaves(path, TREE)
        return eqx.tree_deserialise_leaves(path, TREE)

    return in_folder(call)


def case_missing_path():
    return in_folder(lambda: eqx.tree_deserialise_leaves("a", TREE))


def case_overwritten_path():
    def call():
        for tree in (TREE, [A]):
            eqx.tree_serialise_leaves("a", tree)
        return eqx.tree_deserialise_leaves("a", [A])

    return in_folder(call)


@over({"bytes": b"junk", "an array": None})
def case_path_that_goes_on(added):
    def call():
        data = saved([A]) + (saved([A]) if added is None else added)
        pathlib.Path("a.eqx").write_bytes(data)
        return eqx.tree_deserialise_leaves("a", [A])

    return in_folder(call)


def case_several_in_one_file():
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, TREE)
    file.write(b'{"a": 1}\n')
    eqx.tree_serialise_leaves(file, M(A))
    file.seek(0)
    first = eqx.tree_deserialise_leaves(file, TREE)
    return first, file.readline(), eqx.tree_deserialise_leaves(file, M(A)), file.read()


def case_several_in_one_path():
    def call():
        with pathlib.Path("a").open("wb") as file:
            file.write(b'{"a": 1}\n')
            eqx.tree_serialise_leaves(file, TREE)
            eqx.tree_serialise_leaves(file, [A])
        with pathlib.Path("a").open("rb") as file:
            line = file.readline()
            first = eqx.tree_deserialise_leaves(file, TREE)
            return line, first, file.tell(), eqx.tree_deserialise_leaves(file, [A]), file.read()

    return in_folder(call)


class Writer:
    """A file that only writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


class Reader:
    """A file that only reads."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)


def case_file_that_only_writes():
    file = Writer()
    eqx.tree_serialise_leaves(file, TREE)
    return file.data.hex()


def case_file_that_only_reads():
    return eqx.tree_deserialise_leaves(Reader(saved(TREE)), TREE)


def closed() -> io.BytesIO:
    file = io.BytesIO()
    file.close()
    return file


@over({"text": io.StringIO, "closed": closed})
def case_odd_file(make):
    eqx.tree_serialise_leaves(make(), TREE)


def note(f, x):
    f.write(repr(x).encode() + b";")


def nothing(f, x):
    return None


def fail(f, x):
    message = "mine"
    raise KeyError(message)


SPECS = {
    "function": lambda: saved(TREE, note),
    "writes nothing": lambda: saved(TREE, nothing),
    "tree": lambda: saved([1, [2, 3], 4], [note, note, nothing]),
    "deep tree": lambda: saved([1, [2, 3], 4], [note, [nothing, note], note]),
    "module": lambda: saved(M(1, 1, 2), M(note, 1, nothing)),
    "default inside": lambda: saved([1, A], [note, eqx.default_serialise_filter_spec]).hex(),
    "too short": lambda: saved([1, 2], [note]),
    "too deep": lambda: saved([1, 2], [note, [note]]),
    "another kind": lambda: saved([1, 2], (note, note)),
    "none": lambda: saved([1, 2], None),
    "none for a leaf": lambda: saved([1, 2], [note, None]),
    "none for none": lambda: saved([1, None], [note, None]),
    "no function": lambda: saved([1, 2], True),
    "no function inside": lambda: saved([1, 2], [note, 3]),
    "raises": lambda: saved([1, {"a": 2}], [note, fail]),
    "is_leaf for none": lambda: saved([1, None], note, lambda x: x is None),
    "is_leaf for a node": lambda: saved([[1, 2], 3], note, lambda x: x == [1, 2]),
    "is_leaf and a tree": lambda: saved([[1, 2], 3], [note, note], lambda x: x == [1, 2]),
    "is_leaf by default": lambda: saved(
        [[A, A], A], is_leaf=lambda x: isinstance(x, list) and len(x) == 2 and x[0] is A
    ).hex(),
}


@over(SPECS)
def case_spec(call):
    return call()


def returning(value):
    return lambda f, x: value


RETURNED = {
    "the same": (lambda f, x: x, A),
    "another function": (returning(jnp.sin), jnp.tanh),
    "another text": (returning("b"), "a"),
    "a shape": (returning(jnp.ones(2)), A),
    "a dtype": (returning(jnp.arange(3)), A),
    "numpy for jax": (returning(np.arange(3.0)), A),
    "jax for numpy": (returning(A), np.arange(3.0)),
    "an array for a struct": (returning(A), jax.ShapeDtypeStruct((3,), jnp.float32)),
    "numpy for a struct": (returning(np.ones(3)), jax.ShapeDtypeStruct((3,), jnp.float32)),
    "a struct": (returning(jax.ShapeDtypeStruct((3,), jnp.float32)), A),
    "a weak type": (returning(jnp.asarray(1.0)), jnp.array(1.0)),
    "a list": (returning([A]), A),
    "none": (returning(None), A),
    "a float for an int": (returning(1.0), 1),
    "an int for a bool": (returning(1), True),
    "numpy's float": (returning(np.float64(1)), 1.0),
    "a number for text": (returning(1), "a"),
    "raises": (fail, A),
}


@over(RETURNED)
def case_returned(pair):
    spec, like = pair
    return loaded(b"", [like], spec)


PLACES = {
    "list and dict": lambda: loaded(saved([A, {"a": A}]), [A, {"a": jnp.arange(2.0)}]),
    "module": lambda: loaded(saved(M(A)), M(jnp.arange(2.0))),
    "root": lambda: loaded(saved(A), jnp.arange(2.0)),
    "missing": lambda: loaded(saved([A]), [A, {"a": A}]),
    "saving": lambda: saved([A, {"a": np.array([None])}]),
    "deep spec": lambda: loaded(saved([A, {"a": A}]), [A, {"a": 1}], [fail, fail]),
}


@over(PLACES)
def case_place(call):
    return call()


def case_traced():
    return jax.jit(lambda x: saved([x]))(A)


def case_traced_like():
    return jax.jit(lambda x: loaded(saved([A]), [x]))(A)


def case_deleted():
    x = A + 1
    x.delete()
    return saved([x])


def case_deleted_like():
    x = A + 1
    x.delete()
    return loaded(saved([A]), [x])


@over({"float": 1.0, "int": 2**40, "array": None})
def case_wide(value):
    """Saved with 64 bits, and loaded without."""
    leaf = np.array(0.1) if value is None else np.array(value)
    return loaded(saved([leaf]), [jnp.asarray(0.5) if leaf.dtype.kind == "f" else jnp.asarray(1)])


def case_default_specs_by_hand():
    file = io.BytesIO()
    told = eqx.default_serialise_filter_spec(file, A)
    file.seek(0)
    return told, eqx.default_deserialise_filter_spec(file, A)


def case_returns_nothing():
    return eqx.tree_serialise_leaves(path_or_file=io.BytesIO(), pytree=TREE, is_leaf=None)
