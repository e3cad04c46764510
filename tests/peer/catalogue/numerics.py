"""`nextafter` and kin, `left_broadcast_to`, `eval_empty`, `str2jax`, `GetKey`, `to_onnx`."""

import copy
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

FLOATS = jnp.array([1.0, 0.0, -2.0])
VALUES = {
    "float": 1.5,
    "zero": 0.0,
    "int": 1,
    "bool": True,
    "complex": 1j,
    "None": None,
    "list": [1.0],
    "text": "text",
    "array": FLOATS,
    "weak": jnp.asarray(1.0),
    "float16": jnp.array([1, 0, -1, 65504, 6e-8], jnp.float16),
    "bfloat16": jnp.array([1, 0, -1], jnp.bfloat16),
    "not finite": jnp.array([jnp.inf, -jnp.inf, jnp.nan]),
    "limits": jnp.array([np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1e-45, -0.0]),
    "integers": jnp.arange(3),
    "bools": jnp.array([True]),
    "complexes": jnp.array([1j]),
    "float32": np.float32(1.5),
    "float64": np.float64(1.5),
    "numpy": np.array([1.0, 0.0]),
    "numpy integers": np.arange(2),
    "key": jax.random.key(0),
    "empty": jnp.zeros((0, 2)),
}
TRANSFORMED = {
    "jit": lambda f: jax.jit(f)(FLOATS),
    "vmap": lambda f: jax.vmap(f)(FLOATS),
    "grad": lambda f: jax.grad(f)(1.0),
    "grad at zero": lambda f: jax.grad(f)(0.0),
    "grad of float16": lambda f: jax.grad(lambda x: f(x).sum())(FLOATS.astype(jnp.float16)),
    "jvp": lambda f: jax.jvp(f, (FLOATS,), (2 * FLOATS,)),
    "linearize": lambda f: jax.linearize(f, FLOATS)[1](2 * FLOATS),
    "vjp": lambda f: jax.vjp(f, FLOATS)[1](2 * FLOATS),
    "hessian": lambda f: jax.hessian(lambda x: f(x) ** 2)(1.0),
    "scan": lambda f: jax.lax.scan(lambda x, _: (f(x), x), jnp.float32(1), length=3),
    "by name": lambda f: f(x=1.0),
    "twice": lambda f: f(f(FLOATS)),
}


@over(VALUES)
def case_nextafter(value):
    return eqxi.nextafter(value)


@over(VALUES)
def case_prevbefore(value):
    return eqxi.prevbefore(value)


@over(TRANSFORMED)
def case_nextafter_transformed(case):
    return case(eqxi.nextafter)


@over(TRANSFORMED)
def case_prevbefore_transformed(case):
    return case(eqxi.prevbefore)


SHAPES = {
    "vector": (jnp.arange(3), (3, 2)),
    "the same": (jnp.arange(3), (3,)),
    "scalar": (jnp.array(1.0), (2, 3)),
    "scalar to scalar": (jnp.array(1.0), ()),
    "length one": (jnp.ones((1, 2)), (3, 2, 2)),
    "numpy": (np.arange(3.0), (3, 2)),
    "numpy scalar": (np.float32(2), (2,)),
    "keys": (jax.random.split(jax.random.key(0), 2), (2, 2)),
    "empty": (jnp.zeros(0), (0, 4)),
    "to no elements": (jnp.ones(1), (0,)),
    "list": (jnp.arange(3), [3, 2]),
    "axes on the right": (jnp.arange(3), (2, 3)),
    "fewer axes": (jnp.ones((2, 3)), (2,)),
    "integer for a shape": (jnp.arange(3), 3),
    "negative": (jnp.arange(3), (3, -1)),
    "float": (1.0, (2,)),
    "nested list": ([1, 2], (2, 3)),
    "None": (None, (2,)),
}


@over(SHAPES)
def case_left_broadcast_to(arguments):
    return eqxi.left_broadcast_to(*arguments)


EVALUATED = {
    "array": lambda f: f(lambda x: x + 1, FLOATS),
    "tree": lambda f: f(lambda x, y: {"a": x + y, "b": (x > y, x.astype(int), None)}, FLOATS, 1.0),
    "dtypes": lambda f: f(lambda x: [x.astype(d) for d in ("float16", "int8", "uint32")], FLOATS),
    "complex": lambda f: f(lambda x: x.astype(complex), FLOATS),
    "numpy argument": lambda f: f(lambda x: x, np.arange(3)),
    "numpy result": lambda f: f(lambda: (np.arange(3.0), np.float32(1))),
    "numpy scalar": lambda f: f(lambda x: x, np.float64(3)),
    "struct": lambda f: f(lambda x: x * 2, jax.ShapeDtypeStruct((3,), jnp.float32)),
    "function argument": lambda f: f(lambda g, x: g(x), jnp.sin, FLOATS),
    "keys": lambda f: f(lambda k: jax.random.split(k), jax.random.key(0)).shape,
    "no elements": lambda f: f(lambda x: x, jnp.zeros((0, 2))),
    "weak": lambda f: f(lambda: jnp.asarray(1.0)),
    "Module": lambda f: f(lambda m: m, eqx.nn.Linear(2, 2, key=jax.random.key(0))),
    "jit": lambda f: jax.jit(lambda x: f(lambda y: y + 1, x))(FLOATS),
    "vmap": lambda f: jax.vmap(lambda x: f(lambda y: y + 1, x))(FLOATS),
    "grad": lambda f: jax.grad(lambda x: x + f(jnp.sin, x))(1.0),
    "closure": lambda f: jax.jit(lambda x: f(lambda: x + 1))(FLOATS),
    "number result": lambda f: f(lambda x: (x, 1), FLOATS),
    "text result": lambda f: f(lambda x: (x, "text"), FLOATS),
    "number argument": lambda f: f(lambda x: x, 3),
    "error": lambda f: f(lambda x: x + "text", FLOATS),
    "traced truth": lambda f: f(lambda x: bool(x), FLOATS[0]),
    "no function": lambda f: f(3, FLOATS),
    "by name": lambda f: f(lambda x: x, x=FLOATS),
}


@over(EVALUATED)
def case_eval_empty(case):
    return case(eqxi.eval_empty)


@over(EVALUATED)
def case_eval_zero(case):
    return case(eqxi.eval_zero)


TEXTS = {
    "str": lambda: str(eqxi.str2jax("text")),
    "repr": lambda: repr(eqxi.str2jax("text")),
    "format": lambda: f"{eqxi.str2jax('text')}",
    "empty": lambda: str(eqxi.str2jax("")),
    "tree_pformat": lambda: eqx.tree_pformat((eqxi.str2jax("text"), 2)),
    "leaves": lambda: jtu.tree_leaves(eqxi.str2jax("text")),
    "jit": lambda: str(jax.jit(lambda x: x)(eqxi.str2jax("text"))),
    "hash": lambda: isinstance(hash(eqxi.str2jax("text")), int),
    "equal": lambda: eqxi.str2jax("text") == eqxi.str2jax("text"),
    "itself": lambda: (lambda text: text == text)(eqxi.str2jax("text")),  # noqa: PLR0124
    "equal to another": lambda: eqxi.str2jax("text") == eqxi.str2jax("other"),
    "equal to a string": lambda: eqxi.str2jax("text") == "text",
    "copied": lambda: str(copy.deepcopy(eqxi.str2jax("text"))),
    "Module": lambda: isinstance(eqxi.str2jax("text"), eqx.Module),
    "number": lambda: eqxi.str2jax(3),
    "None": lambda: eqxi.str2jax(None),
    "bytes": lambda: eqxi.str2jax(b"text"),
    "list": lambda: eqxi.str2jax(["text"]),
    "assigned": lambda: setattr(eqxi.str2jax("text"), "x", 1),
    "len": lambda: len(eqxi.str2jax("text")),
}


@over(TEXTS)
def case_str2jax(case):
    return case()


def several(getkey, number):
    return [getkey() for _ in range(number)]


KEYS = {
    "repr": lambda: repr(eqxi.GetKey(3)),
    "calls": lambda: several(eqxi.GetKey(3), 3),
    "repr after calls": lambda: (lambda g: (several(g, 2), repr(g)))(eqxi.GetKey(3)),
    "by name": lambda: eqxi.GetKey(seed=5)(),
    "attributes": lambda: (lambda g: (g.seed, g.call, g.key))(eqxi.GetKey(5)),
    "seed": lambda: type(eqxi.GetKey().seed),
    "None": lambda: type(eqxi.GetKey(None).seed),
    "numpy seed": lambda: eqxi.GetKey(np.int32(5))(),
    "array seed": lambda: eqxi.GetKey(jnp.array(5))(),
    "bool seed": lambda: eqxi.GetKey(True)(),
    "large seed": lambda: eqxi.GetKey(2**40)(),
    "negative seed": lambda: eqxi.GetKey(-1)(),
    "float seed": lambda: eqxi.GetKey(5.0),
    "text seed": lambda: eqxi.GetKey("text"),
    "equal": lambda: eqxi.GetKey(3) == eqxi.GetKey(3),
    "leaf": lambda: len(jtu.tree_leaves(eqxi.GetKey(3))),
    "jit": lambda: (lambda g: (jax.jit(lambda: g())(), g.call, g()))(eqxi.GetKey(3)),
    "two arguments": lambda: eqxi.GetKey(3, 0),
}


@over(KEYS)
def case_getkey(case):
    return case()


def without(*names):
    return mock.patch.dict(sys.modules, dict.fromkeys(names))


def case_to_onnx_without_tensorflow():
    with without("tensorflow"):
        return eqxi.to_onnx(lambda x: x)
