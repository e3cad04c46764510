"""Private paths that published packages import: the names are there, and do the same."""

import abc
import functools
import importlib
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx

NAMES = {
    "_ad": ["_ClosureConvert", "_TrivialClosureConvert"],
    "_compile_utils": ["Compiled", "hashable_partition"],
    "_config": ["EQX_GETKEY_SEED", "EQX_ON_ERROR", "EQX_ON_ERROR_BREAKPOINT_FRAMES"],
    "_custom_types": ["sentinel"],
    "_deprecate": ["deprecated_0_10"],
    "_doc_utils": ["doc_remove_args", "doc_repr"],
    "_enum": ["EnumerationItem"],
    "_errors": ["EquinoxTracetimeError", "_EquinoxRuntimeError", "_error", "_nan_like"],
    "_filters": ["combine", "is_array", "is_array_like", "is_inexact_array", "partition"],
    "_jit": ["_JitWrapper"],
    "_misc": ["default_floating_dtype", "left_broadcast_to"],
    "_module": ["Module", "Partial", "Static", "StrictConfig", "field", "static_field"],
    "_module._flatten": ["MISSING"],
    "_module._module": ["Module", "_ModuleMeta", "_currently_initialising", "is_abstract_module"],
    "_module._prebuilt": ["BoundMethod"],
    "_serialisation": ["TreePathError", "_with_suffix"],
    "_tree": ["tree_at"],
    "_unvmap": ["unvmap_any", "unvmap_max"],
    "_vmap_pmap": ["filter_vmap"],
    "internal._loop.bounded": ["bounded_while_loop"],
    "internal._loop.checkpointed": ["checkpointed_while_loop"],
    "internal._loop.common": ["_Buffer"],
    "internal._omega": ["_Metaω"],
    "nn._attention": [
        "MultiheadAttention",
        "dot_product_attention",
        "dot_product_attention_weights",
    ],
    "nn._batch_norm": ["BatchNorm"],
    "nn._conv": ["Conv", "_ntuple"],
    "nn._dropout": ["Dropout"],
    "nn._linear": ["Linear"],
    "nn._misc": ["default_init", "named_scope"],
    "nn._mlp": ["MLP"],
    "nn._shared": ["SharedNode"],
    "nn._stateful": ["State", "StateIndex"],
}
GONE = ["_pretty_print.tree_pp", "_module._FlattenedData", "_module._ModuleMeta", "_vectorize.f"]
KEY = jax.random.PRNGKey(0)


def of(path):
    folder, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"equinox.{folder}"), name)


@over({f"{path}.{name}": f"{path}.{name}" for path, names in NAMES.items() for name in names})
def case_resolves(path):
    found = of(path)
    return found is functools.reduce(getattr, path.split("."), eqx), isinstance(found, type)


@over({path: path for path in GONE})
def case_gone(path):
    try:
        of(path)
    except (ImportError, AttributeError):
        return "gone"


class Scale(eqx.Module):
    by: jax.Array
    name: str = eqx.field(static=True, default="name")

    def scaled(self, x):
        return self.by * x


class Asks(eqx.Module):
    x: eqx.AbstractVar[int]


class Promises(eqx.Module):
    @abc.abstractmethod
    def f(self): ...


class Forced(eqx.Module, strict=eqx.StrictConfig(force_abstact=True)):
    pass


@over({"asks": Asks, "promises": Promises, "forced": Forced, "scale": Scale, "int": int})
def case_is_abstract_module(cls):
    return of("_module._module.is_abstract_module")(cls)


def case_currently_initialising():
    constructing, scale = of("_module._module._currently_initialising"), object.__new__(Scale)
    constructing.add(scale)
    scale.by, scale.name = jnp.ones(2), "other"
    inside = scale in constructing
    constructing.remove(scale)
    return inside, scale in constructing, scale


def case_frozen_after_remove():
    constructing, scale = of("_module._module._currently_initialising"), object.__new__(Scale)
    constructing.add(scale)
    constructing.remove(scale)
    scale.by = 1


def case_removed_twice():
    try:
        of("_module._module._currently_initialising").remove(object.__new__(Scale))
    except KeyError:
        return True


def case_bound_method():
    method = Scale(jnp.array(3.0)).scaled
    kind = of("_module._prebuilt.BoundMethod")
    anew = kind(jax.jit(method.__func__), method.__self__)
    traced = jax.jit(lambda f, x: f(x))(anew, 2.0)
    return isinstance(method, kind), isinstance(anew, kind), anew(2.0), traced, anew.__name__


def case_missing():
    missing = of("_module._flatten.MISSING")
    return repr(missing), bool(missing), jax.tree.leaves([missing, 1])


def case_types():
    class Result(eqx.Enumeration):
        good = ""

    array = jnp.ones(2)
    jitted = eqx.filter_jit(lambda x: x)
    shared = eqx.nn.Shared((array, array), lambda it: it[0], lambda it: it[1])
    converted = eqx.filter_closure_convert(eqx.Partial(jnp.add, array), 1.0)
    return (
        type(jitted) is of("_jit._JitWrapper"),
        isinstance(eqx.filter_grad(jitted), of("_jit._JitWrapper")),
        type(jitted.lower(1.0).compile()) is of("_compile_utils.Compiled"),
        type(Result.good) is of("_enum.EnumerationItem"),
        type(jax.tree.leaves(shared)[0]) is of("nn._shared.SharedNode"),
        type(converted) is of("_ad._ClosureConvert"),
        type(eqx.filter_closure_convert(len, "")) is of("_ad._ClosureConvert"),
        type(eqx.filter_closure_convert(of, "")) is of("_ad._TrivialClosureConvert"),
        of("_module._module._ModuleMeta") is type(eqx.Module),
        of("internal._omega._Metaω") is type(eqx.internal.ω),
    )


def case_errors():
    kinds = of("_errors._EquinoxRuntimeError"), of("_errors.EquinoxTracetimeError")
    return [issubclass(kind, RuntimeError) for kind in kinds], kinds[1] is eqx.EquinoxTracetimeError


NAN_LIKE = {
    "float32": np.ones((2, 3), np.float32),
    "float64": np.ones(2),
    "float16": np.ones(2, np.float16),
    "int32": np.ones((), np.int32),
    "uint8": np.ones(1, np.uint8),
    "bool": np.ones(2, bool),
    "complex64": np.ones(2, np.complex64),
    "nothing": np.ones((0, 2)),
}


@over(NAN_LIKE)
def case_nan_like(array):
    return of("_errors._nan_like")(array)


@over({"raise": "raise", "nan": "nan", "off": "off"})
def case_error(on_error):
    arguments = {"msgs": ["one", "two"], "on_error": on_error, "stack": b""}
    error = of("_errors._error")
    fine = error(jnp.ones(2), jnp.array(False), jnp.array(1), **arguments)
    if on_error == "raise":
        return fine
    return fine, error(jnp.ones(2), jnp.array(True), jnp.array(1), **arguments)


@over({"absent": {"a": 1}, "present": {"name": 1}, "none": {"name": None}})
def case_deprecated(kwargs):
    return of("_deprecate.deprecated_0_10")(kwargs, "name")


def case_sentinel():
    sentinel = of("_custom_types.sentinel")
    return eqx.tree_at(lambda it: it[0], [1, 2], replace=sentinel, replace_fn=lambda x: x + 4)


def case_default_floating_dtype():
    return str(of("_misc.default_floating_dtype")().dtype)


INTS = {
    "int": 3,
    "tuple": (1, 2),
    "list": [1, 2],
    "too many": (1, 2, 3),
    "text": "ab",
    "none": None,
    "float": 2.5,
    "range": range(2),
    "mapping": {1: 2},
    "array": np.arange(2),
}


@over(INTS)
def case_ntuple(given):
    return of("nn._conv._ntuple")(2)(given)


@over({"float32": jnp.float32, "complex64": jnp.complex64, "none": None, "int32": jnp.int32})
def case_default_init(dtype):
    return of("nn._misc.default_init")(KEY, (2, 3), dtype, 0.5)


def case_named_scope():
    return of("nn._misc.named_scope") is jax.named_scope


PATHS = {"plain": "a", "other": "a.b", "path": Path("x/y"), "eqx": "a.eqx", "folder": "a/"}


@over({**PATHS, "number": 3, "bytes": b"a", "nothing": "."})
def case_with_suffix(path):
    return str(of("_serialisation._with_suffix")(path))


@rounded
def case_attention():
    query, key, value = jax.random.normal(KEY, (3, 4, 2))
    mask = jnp.tri(4, dtype=bool)
    attention = of("nn._attention.dot_product_attention")
    weights = of("nn._attention.dot_product_attention_weights")
    return (
        weights(query, key),
        weights(query, key, mask=mask),
        attention(query, key, value, mask),
        attention(query, key, value, dropout=eqx.nn.Dropout(0.5), key=KEY),
        attention(query, key, value, dropout=eqx.nn.Dropout(0.5), inference=True),
    )


def case_hashable_partition():
    tree = [1, jnp.ones(2), "s", None]
    dynamic, static = of("_compile_utils.hashable_partition")(tree, eqx.is_array)
    return dynamic, hash(static) == hash(static), eqx.internal.hashable_combine(dynamic, static)


LOOPS = {
    "checkpointed": ("checkpointed.checkpointed_while_loop", {"max_steps": 16}),
    "checkpoints": ("checkpointed.checkpointed_while_loop", {"checkpoints": 3}),
    "neither": ("checkpointed.checkpointed_while_loop", {}),
    "bounded": ("bounded.bounded_while_loop", {"max_steps": 16}),
    "base": ("bounded.bounded_while_loop", {"max_steps": 16, "base": 2}),
    "unbounded": ("bounded.bounded_while_loop", {"max_steps": None}),
    "missing": ("bounded.bounded_while_loop", {}),
}


@rounded
@over(LOOPS)
def case_loop(given):
    path, options = given
    loop = of(f"internal._loop.{path}")

    def power(x):
        return loop(lambda c: c[1] < 5, lambda c: (c[0] * x, c[1] + 1), (x, 0), **options)[0]

    return jax.value_and_grad(power)(jnp.array(1.5, jnp.float32))


@over({name: LOOPS[name][0] for name in ("checkpointed", "bounded")})
def case_loop_signature(path):
    parameters = inspect.signature(of(f"internal._loop.{path}")).parameters.values()
    return [(it.name, str(it.kind), it.default is it.empty or it.default) for it in parameters]


def case_buffer():
    seen = []

    def body(carry):
        i, buffer = carry
        seen.append(type(buffer) is of("internal._loop.common._Buffer"))
        return i + 1, buffer.at[i].set(1.0)

    loop = of("internal._loop.checkpointed.checkpointed_while_loop")
    state = (0, jnp.zeros(4))
    return loop(lambda c: c[0] < 3, body, state, max_steps=4, buffers=lambda c: c[1]), seen[0]
