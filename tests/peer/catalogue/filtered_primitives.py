"""Primitives for PyTrees: bind, and each rule; `materialise_zeros`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from marks import over

import equinox as eqx
import equinox.internal as eqxi

X = jnp.arange(3.0)
bind = eqxi.filter_primitive_bind


def doubled(x, label):
    return {"out": jax.tree.map(lambda a: 2 * a, x), "label": label}


def new(rule=doubled, multiple=True):
    p = Primitive("p")
    p.multiple_results = multiple
    impl = eqxi.filter_primitive_def(rule)

    @eqxi.filter_primitive_def
    def shapes(*args):
        return rule(*args) if rule is not doubled else {"out": args[0], "label": args[1]}

    @eqxi.filter_primitive_jvp
    def jvp(primals, tangents):
        return bind(p, *primals), {"out": doubled(tangents[0], None)["out"], "label": None}

    @eqxi.filter_primitive_transpose
    def transpose(inputs, cts):
        return doubled(cts["out"], None)["out"], None

    @eqxi.filter_primitive_batching
    def batch(inputs, axes):
        return bind(p, *inputs), {"out": axes[0], "label": axes[1]}

    p.def_impl(impl)
    p.def_abstract_eval(shapes)
    mlir.register_lowering(p, mlir.lower_fun(impl, multiple_results=True))
    ad.primitive_jvps[p] = jvp
    ad.primitive_transposes[p] = transpose
    batching.primitive_batchers[p] = batch
    return p


P = new()
CALLS = {
    "array": lambda: bind(P, X, "s"),
    "tree": lambda: bind(P, (X, None, [np.ones(2)]), ("s", 2)),
    "static leaves": lambda: bind(P, (X, 2, 1.5, True), None),
    "array beside": lambda: bind(P, X, X),
    "no arrays": lambda: bind(P, 1, "s"),
    "empty": lambda: bind(P, (), ()),
    "too few": lambda: bind(P, X),
    "keyword": lambda: bind(P, X, label="s"),
    "identity": lambda: bind(new(lambda x: x), X),
    "identity of text": lambda: bind(new(lambda x: x), "s"),
    "jit": lambda: eqx.filter_jit(lambda x: bind(P, x, "s"))((X, 2)),
    "vmap": lambda: eqx.filter_vmap(lambda x: bind(P, (x, X), "s")["out"])(X),
    "vmap in and out": lambda: jax.vmap(lambda x: bind(P, x, "s")["out"], in_axes=1, out_axes=1)(
        jnp.ones((2, 3))
    ),
    "jvp": lambda: eqx.filter_jvp(lambda x: bind(P, x, "s"), (X,), (X,)),
    "jvp of a part": lambda: eqx.filter_jvp(lambda x: bind(P, (x, X), None)["out"], (X,), (X,)),
    "grad": lambda: jax.grad(lambda x: bind(P, x, "s")["out"].sum())(X),
    "grad jit": lambda: jax.jit(jax.grad(lambda x: bind(P, x, "s")["out"].sum()))(X),
    "vmap grad": lambda: jax.vmap(jax.grad(lambda x: bind(P, x, "s")["out"]))(X),
    "linear_transpose": lambda: jax.linear_transpose(lambda x: bind(P, x, "s")["out"], X)(X),
    "scan": lambda: jax.lax.scan(lambda c, _: (bind(P, c, "s")["out"], None), X, None, 3)[0],
}


@over(CALLS)
def case_bind(call):
    return call()


def linear(transpose, **options):
    p = Primitive("linear")
    p.multiple_results = True
    p.def_impl(eqxi.filter_primitive_def(lambda x, y, s: (x * y, s, y)))
    p.def_abstract_eval(eqxi.filter_primitive_def(lambda x, y, s: (x, s, y)))
    rule = transpose
    if options:
        ad.primitive_transposes[p] = eqxi.filter_primitive_transpose(**options)(rule)
    else:
        ad.primitive_transposes[p] = eqxi.filter_primitive_transpose(rule)
    return jax.linear_transpose(lambda x: bind(p, x, X, "s")[0], X)(X)


def told(inputs, cts):
    return cts[0] * inputs[1] + (0.0 if cts[2] is None else 1.0), None, None


TRANSPOSES = {
    "plain": lambda: linear(told),
    "materialise_zeros": lambda: linear(told, materialise_zeros=True),
    "materialise_zeros False": lambda: linear(told, materialise_zeros=False),
    "cotangent for what is known": lambda: linear(lambda i, c: (c[0], c[0], None)),
    "of another shape": lambda: linear(lambda i, c: (jnp.ones(5), None, None)),
}


@over(TRANSPOSES)
def case_transpose(call):
    return call()


STRUCT = jax.ShapeDtypeStruct((2,), jnp.float32)
PRIMALS = {
    "float": X,
    "integer": jnp.arange(2),
    "bool": jnp.array([True]),
    "complex": jnp.ones(2, complex),
    "bfloat16": jnp.ones(2, jnp.bfloat16),
    "key": jax.random.key(0),
    "NumPy scalar": np.float32(2),
    "NumPy array": np.ones(2, np.float32),
    "weak": jnp.asarray(1.0),
    "Python float": 1.0,
    "Python complex": 1j,
    "Python bool": True,
    "Python int": 2,
    "text": "s",
    "None": None,
    "dict": {"a": X},
    "struct": STRUCT,
    "struct of integers": jax.ShapeDtypeStruct((2,), jnp.int32),
}


@over({f"{k}, {a}": (v, a) for k, v in PRIMALS.items() for a in (False, True)})
def case_materialise_zeros(pair):
    primal, allow_struct = pair
    return eqxi.materialise_zeros(primal, None, allow_struct)


@over(PRIMALS)
def case_materialise_zeros_of_a_tangent(primal):
    return eqxi.materialise_zeros(primal, X, allow_struct=True)
