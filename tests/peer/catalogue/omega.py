"""`ω`: each operator with each kind of operand, `is_leaf`, updates and errors."""

import copy
import operator
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

ω = eqxi.ω  # noqa: PLC2401

VECTOR = jnp.array([1.0, 2.0, 3.0])
TREE = {"a": VECTOR, "b": (jnp.array([4.0, 0.5, 1.0]), 2.0), "c": None}
OTHER = {"a": 2 * VECTOR, "b": (jnp.array([2.0, 0.5, 3.0]), 0.5), "c": None}
INTS = [jnp.array([1, 2, 3]), jnp.array([6, 5, 4])]
OTHER_INTS = [jnp.array([3, 1, 2]), jnp.array([1, 1, 2])]
HALF = jnp.ones(3, jnp.float16)
REAL = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARE = ["lt", "le", "gt", "ge", "eq", "ne"]
BITS = ["lshift", "rshift", "and_", "or_", "xor"]
UPDATES = ["set", "add", "multiply", "divide", "power", "min", "max"]
NUMBERS = {
    "int": 2,
    "bool": True,
    "float": 0.5,
    "complex": 1j,
    "float64": np.float64(2),
    "scalar": jnp.array(2.0),
    "vector": VECTOR,
    "half": jnp.array(2, jnp.float16),
}
OTHERS = {
    "None": None,
    "text": "text",
    "list": [1, 2],
    "tuple": (1,),
    "dict": {},
    "function": len,
    "struct": jax.ShapeDtypeStruct((), jnp.float32),
    "numpy array": np.arange(3.0),
    "numpy scalar": np.float32(2),
    "numpy integer": np.int32(2),
}


class Pair(eqx.Module):
    x: jax.Array
    name: str = eqx.field(static=True)


def is_none(node):
    return node is None


def is_pair(node):
    return isinstance(node, tuple)


@over({name: name for name in REAL + COMPARE})
def case_with_a_tree(name):
    return getattr(operator, name)(TREE**ω, OTHER**ω).ω


@over({name: name for name in REAL + COMPARE})
def case_number_on_the_right(name):
    return getattr(operator, name)(TREE**ω, 2).ω


@over({name: name for name in REAL + COMPARE})
def case_number_on_the_left(name):
    return getattr(operator, name)(2, TREE**ω).ω


@over({name: name for name in REAL + COMPARE})
def case_vector_on_the_left(name):
    return getattr(operator, name)(VECTOR, TREE**ω).ω


@over({name: name for name in BITS})
def case_of_bits(name):
    operation = getattr(operator, name)
    return [operation(INTS**ω, OTHER_INTS**ω).ω, operation(INTS**ω, 2).ω, operation(2, INTS**ω).ω]


@over({name: name for name in ["neg", "pos", "abs"]})
def case_of_one(name):
    return getattr(operator, name)(TREE**ω).ω


@over(NUMBERS)
def case_half_and_a_number(number):
    return (ω(HALF) + number).ω, (number - ω(HALF)).ω


@over({"float32": np.float32(2), "int32": np.int32(2), "bool": np.True_, "array": np.array(2.0)})
def case_half_and_a_numpy_number_on_the_left(number):
    return (number * ω(HALF)).ω


@over(OTHERS)
def case_with_another_thing(other):
    return (ω([VECTOR]) + other).ω


@over(OTHERS)
def case_updated_with_another_thing(other):
    return ω([VECTOR]).at[0].set(other).ω


@over({name: name for name in UPDATES})
def case_updated(name):
    at = ω([VECTOR, 2 * VECTOR]).at[1:]
    return getattr(at, name)(2.5).ω, getattr(at, name)(ω([2.0, 3.0])).ω


PAIRS = {
    "types": ((1, 2), [1, 2]),
    "lengths": ((1, 2), (1, 2, 3)),
    "left is a leaf": (1, (1, 2)),
    "right is a leaf": ((1, 2), 1),
    "None on the left": ((1, None), (1, 2)),
    "None on the right": ((1, 2), (1, None)),
    "keys": ({"a": 1}, {"b": 1}),
    "static values": (Pair(VECTOR, "one"), Pair(VECTOR, "other")),
}


@over(PAIRS)
def case_of_two_structures(pair):
    return (ω(pair[0]) + ω(pair[1])).ω


@over(PAIRS)
def case_updated_with_another_structure(pair):
    return ω(pair[0]).at[0].set(ω(pair[1])).ω


IS_LEAF = {
    "kept by an operation": lambda: (ω([1], is_none) + ω([2], is_none)).is_leaf is is_none,
    "kept with a number": lambda: (2 * ω([1], is_none)).is_leaf is is_none,
    "kept by one operand": lambda: (-ω([1], is_none)).is_leaf is is_none,
    "kept by call": lambda: ω([1], is_none).call(abs).is_leaf is is_none,
    "kept by index": lambda: ω([VECTOR], is_none)[0].is_leaf is is_none,
    "kept by update": lambda: ω([VECTOR], is_none).at[0].set(1).is_leaf is is_none,
    "chooses leaves": lambda: (ω([(1,)], is_pair) + ω([(2,)], is_pair)).ω,
    "chooses leaves for a number": lambda: (ω([(1,)], is_pair) * 2).ω,
    "chooses leaves for call": lambda: ω([(1, 2)], is_pair).call(len).ω,
    "only on the left": lambda: ω([1], is_none) + ω([1]),
    "only on the right": lambda: ω([1]) + ω([1], is_none),
    "another": lambda: ω([1], is_none) + ω([1], is_pair),
    "another, updated": lambda: ω([VECTOR], is_none).at[0].set(ω([1], is_pair)),
    "only on the left, updated": lambda: ω([VECTOR], is_none).at[0].set(ω([1])),
    "made anew": lambda: (ω([1], lambda x: x is None) + ω([1], lambda x: x is None)).ω,
    "no function": lambda: (ω([1], 3) + 1).ω,
    "attribute": lambda: (ω([1]).is_leaf, ω([1], is_leaf=None).ω),
}


@over(IS_LEAF)
def case_is_leaf(case):
    return case()


CALLS = {
    "repr": lambda: repr(ω(TREE)),
    "str of an array": lambda: str(ω(VECTOR)),
    "wrapped": lambda: (TREE**ω).ω is TREE,
    "wrapped number": lambda: (3**ω).ω,
    "wrapped None": lambda: (None**ω).ω,
    "wrapped text": lambda: ("text" ** ω).ω,
    "wrapped array": lambda: (VECTOR**ω).ω,
    "wrapped numpy scalar": lambda: (np.float32(3) ** ω).ω,
    "wrapped numpy array": lambda: (np.arange(3.0) ** ω).ω,
    "wrapped key": lambda: (jax.random.key(0) ** ω).ω,
    "wrapped Module": lambda: (Pair(VECTOR, "n") ** ω * 2).ω,
    "instance to the power of the class": lambda: ω(VECTOR) ** ω,
    "class to a power": lambda: ω**2,
    "power modulo": lambda: pow(ω(2), 2, 3),
    "matmul": lambda: (ω([jnp.eye(3)]) @ ω([VECTOR])).ω,
    "matmul with a vector": lambda: (ω([jnp.eye(3)]) @ VECTOR).ω,
    "vector matmul": lambda: (VECTOR @ ω([jnp.eye(3)])).ω,
    "matmul with a number": lambda: ω([jnp.eye(3)]) @ 2,
    "invert": lambda: (~ω([jnp.array([True]), jnp.array([1])])).ω,
    "invert floats": lambda: ~ω(VECTOR),
    "in place": lambda: operator.iadd(ω([1]), 2).ω,
    "divmod": lambda: divmod(ω(3), 2),
    "round": lambda: round(ω(3.5)),
    "float": lambda: float(ω(3.5)),
    "len": lambda: len(ω([1])),
    "iterate over numbers": lambda: list(ω([1])),
    "bool": lambda: bool(ω([0])),
    "contained": lambda: ω(1) in [0, ω(1)],
    "key of a dict": lambda: (lambda it: {it: 1}[it])(ω([1])),
    "equal to None": lambda: ω(1) == None,  # noqa: E711
    "leaf of a tree": lambda: len(jtu.tree_leaves([ω([1, 2])])),
    "returned from jit": lambda: jax.jit(lambda x: ω(x))(VECTOR),
    "call": lambda: ω(TREE).call(jnp.shape).ω,
    "call gives trees": lambda: ω([1, 2]).call(lambda x: (x, x)).ω,
    "call by name": lambda: ω([1, None]).call(fn=abs).ω,
    "call of no function": lambda: ω([1]).call(3),
    "index": lambda: ω([VECTOR, INTS[0]])[0].ω,
    "slice": lambda: ω([VECTOR, INTS[0]])[1:].ω,
    "new axis": lambda: ω([VECTOR])[None, ..., ::-1].ω,
    "index of arrays": lambda: ω([VECTOR])[jnp.array([2, 0])].ω,
    "index past the end": lambda: ω([VECTOR])[7].ω,
    "index of a number": lambda: ω([VECTOR, 2.0])[0],
    "index of an ω": lambda: ω([VECTOR])[ω([0])],
    "index of containers": lambda: ω({"a": "text"})[1:].ω,
    "update of a number": lambda: ω([VECTOR, 2.0]).at[0].set(1),
    "update of a numpy array": lambda: ω([np.arange(3.0)]).at[0].set(1),
    "update with an array": lambda: ω([VECTOR]).at[:2].add(jnp.array([1.0, 2.0])).ω,
    "update of one dtype with another": lambda: ω(INTS).at[0].multiply(2).ω,
    "update past the end": lambda: ω([VECTOR]).at[7].set(1).ω,
    "update by no name": lambda: ω([VECTOR]).at[0].replace(1),
    "update without a value": lambda: ω([VECTOR]).at[0].set(),
    "no arguments": lambda: ω(),
    "no such attribute": lambda: ω(1).value,
    "empty": lambda: ((-ω(())).ω, (ω({}) + ω({})).ω, (1 + ω(None)).ω),
    "nested": lambda: (ω([ω(1)]) + 1).ω[0].ω,
    "nested twice": lambda: (ω([ω(1)]) + ω([ω(2)])).ω[0].ω,
    "text and a number": lambda: ω(["text"]) + 1,
    "shapes that differ": lambda: ω([VECTOR, jnp.ones(2)]) + VECTOR,
    "typed keys": lambda: (ω(jax.random.key(0)) == ω(jax.random.key(0))).ω,
    "typed keys added": lambda: ω(jax.random.key(0)) + ω(jax.random.key(0)),
    "jit": lambda: jax.jit(lambda x, tree: (x * tree**ω + tree**ω).ω)(2.0, TREE),
    "vmap": lambda: jax.vmap(lambda x, t: (x * t**ω).ω)(VECTOR, [VECTOR, 2 * VECTOR]),
    "grad": lambda: jax.grad(lambda x: (x * ω([VECTOR]) ** 2).ω[0].sum())(2.0),
    "copy": lambda: copy.copy(ω([1, 2])).ω,
    "deepcopy": lambda: copy.deepcopy(ω([1, 2])).ω,
    "pickle": lambda: pickle.loads(pickle.dumps(ω([1, 2], is_pair))).ω,
    "isinstance": lambda: (isinstance(ω(1), ω), isinstance(ω, type)),
}


@over(CALLS)
def case_omega(case):
    return case()
