"""Primitives for PyTrees: `filter_primitive_bind` and the rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from eqx_filter import filter_jit, filter_jvp
from eqx_filter.primitives import (
    filter_primitive_batching,
    filter_primitive_bind,
    filter_primitive_def,
    filter_primitive_jvp,
    filter_primitive_transpose,
    materialise_zeros,
)

X = jnp.arange(3.0)


def primitive(impl, shapes=None, jvp=None, transpose=None, batch=None):
    made = Primitive("made")
    made.multiple_results = True
    rule = filter_primitive_def(impl)
    made.def_impl(rule)
    made.def_abstract_eval(filter_primitive_def(shapes or impl))
    mlir.register_lowering(made, mlir.lower_fun(rule, multiple_results=True))
    if jvp is not None:
        ad.primitive_jvps[made] = filter_primitive_jvp(jvp)
    if transpose is not None:
        ad.primitive_transposes[made] = transpose
    if batch is not None:
        batching.primitive_batchers[made] = filter_primitive_batching(batch)
    return made


def scaled(jvp=None, transpose=None, batch=None):
    """`(factor * x, label)`, linear in `x`."""
    return primitive(
        lambda x, factor, label: (factor * x, label),
        lambda x, factor, label: (x, label),
        jvp,
        transpose,
        batch,
    )


def bind(made, x, label="s"):
    return filter_primitive_bind(made, x, 2.0, label)


@pytest.mark.parametrize("jit", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
def test_trees_go_in_and_come_out(jit):
    made = primitive(lambda tree, other: {"a": tree, "b": (other, None, "text")})
    tree = {"x": X, "y": ["s", 3, np.arange(2)]}
    out = jit(lambda tree: filter_primitive_bind(made, tree, len))(tree)
    assert out["b"] == (len, None, "text")
    assert out["a"]["y"][:2] == ["s", 3]
    assert out["a"]["x"].tolist() == X.tolist()
    assert out["a"]["y"][2].tolist() == [0, 1]


def test_a_leaf_that_cannot_be_hashed_goes_with_it():
    class Unhashable:
        __hash__ = None

    leaf = Unhashable()
    assert filter_jit(lambda x: bind(scaled(), x, leaf)[1] is leaf)(X)


def test_the_output_may_be_told_by_structs():
    made = primitive(lambda x: (x[:2], "s"), lambda x: (jax.ShapeDtypeStruct((2,), x.dtype), "s"))
    out = jax.eval_shape(lambda x: filter_primitive_bind(made, x)[0], X)
    assert out.shape == (2,)


def test_rules_that_disagree_are_named():
    made = primitive(lambda x: (x, "run"), lambda x: (x, "shapes"))
    with pytest.raises(ValueError, match=r"other static leaves, than the other rules"):
        jax.jit(lambda x: filter_primitive_bind(made, x)[0])(X)


def test_bind_refuses():
    with pytest.raises(TypeError, match=r"`prim` must be a `jax.extend.core.Primitive`; it is 3"):
        filter_primitive_bind(3, X)
    with pytest.raises(ValueError, match=r"set `single.multiple_results = True`"):
        filter_primitive_bind(Primitive("single"), X)
    bare = Primitive("bare")
    bare.multiple_results = True
    bare.def_impl(lambda *arrays, call: list(arrays))
    with pytest.raises(ValueError, match=r"The rules of `bare` did not tell the structure"):
        filter_primitive_bind(bare, X)


@pytest.mark.parametrize(
    "wrap",
    [
        filter_primitive_def,
        filter_primitive_jvp,
        filter_primitive_transpose,
        filter_primitive_batching,
    ],
    ids=lambda wrap: wrap.__name__,
)
def test_a_rule_must_be_a_function(wrap):
    with pytest.raises(TypeError, match=rf"`{wrap.__name__}` takes a function as `rule`; 3"):
        wrap(3)


def test_jvp_is_given_none_for_zeros():
    seen = []

    def jvp(primals, tangents):
        seen.append(jax.tree.structure(tangents))
        (x, integers, fixed), _, label = primals
        return bind(made, (x, integers, fixed), label), ((tangents[0][0], None, None), None)

    made = primitive(lambda x, factor, label: (x, label), jvp=jvp)
    _, tangents = filter_jvp(lambda x: bind(made, (x, jnp.arange(2), X)), (X,), (X + 1,))
    assert seen == [jax.tree.structure(((0, None, None), None, None))]
    assert tangents[0][0].tolist() == [1, 2, 3]
    assert tangents[0][1:] == (None, None)
    assert tangents[1] is None


def test_a_number_that_jax_hands_on_is_an_array_to_each_rule():
    def jvp(primals, tangents):
        (x, factor, label), (moved, _, _) = primals, tangents
        assert isinstance(x, jax.Array)
        out, _ = filter_primitive_bind(made, x, factor, label)
        return (out, label), (filter_primitive_bind(made, moved, factor, label)[0], None)

    made = scaled(jvp)
    found = jax.jvp(lambda x: filter_primitive_bind(made, x, 3, "s")[0], (2.0,), (1.0,))
    assert found == (6.0, 3.0)


def test_the_gradient_is_that_of_the_formula():
    def jvp(primals, tangents):
        x, _, label = primals
        return bind(made, x, label), (bind(made, tangents[0], label)[0], None)

    @filter_primitive_transpose
    def transpose(inputs, cts):
        assert ad.is_undefined_primal(inputs[0])
        assert inputs[2] == "s"
        return inputs[1] * cts[0], None, None

    made = scaled(jvp, transpose, lambda inputs, axes: (bind(made, inputs[0]), (axes[0], None)))
    gradient = jax.grad(lambda x: (bind(made, x)[0] ** 2).sum())
    want = jax.grad(lambda x: ((2 * x) ** 2).sum())(X)
    assert gradient(X).tolist() == want.tolist()
    assert jax.jit(gradient)(X).tolist() == want.tolist()
    assert jax.vmap(jax.grad(lambda x: bind(made, x)[0]))(X).tolist() == [2, 2, 2]
    assert jax.linear_transpose(lambda x: bind(made, x)[0], X)(X)[0].tolist() == [0, 2, 4]


@pytest.mark.parametrize("materialise", [False, True])
def test_transpose_is_given_zeros_if_it_wants_them(materialise):
    seen = []

    @filter_primitive_transpose(materialise_zeros=materialise)
    def transpose(inputs, cts):
        seen.append(cts)
        return (cts[0],)

    made = primitive(lambda x: (x, "s", x), transpose=transpose)
    jax.linear_transpose(lambda x: filter_primitive_bind(made, x)[0], X)(X)
    [(_, static, unused)] = seen
    assert static is None
    assert (unused is None) is not materialise
    assert not materialise or unused.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("returned", "kind", "match"),
    [
        (3, TypeError, r"must return a pair `\(primals_out, tangents_out\)`; it returned a `int`"),
        (((X, "s"), (X,)), ValueError, r"one value, or None, for each leaf; at `the root`"),
        (((X, "s"), (X, X)), TypeError, r"for a leaf that is no array, 's'; return None there"),
    ],
    ids=["no pair", "too few", "static"],
)
def test_a_jvp_that_does_not_fit_is_refused(returned, kind, match):
    made = scaled(jvp=lambda primals, tangents: returned)
    with pytest.raises(kind, match=match):
        jax.jvp(lambda x: bind(made, x)[0], (X,), (X,))


def test_a_transpose_may_say_none_for_zero():
    made = scaled(transpose=filter_primitive_transpose(lambda inputs, cts: (None, None, None)))
    assert jax.linear_transpose(lambda x: bind(made, x)[0], X)(X)[0].tolist() == [0, 0, 0]


def test_batching_is_given_axes():
    seen = []

    def batch(inputs, axes):
        seen.append(axes)
        return bind(made, inputs[0], inputs[2]), ((axes[0][0], None), None)

    made = primitive(lambda x, factor, label: (x, label), batch=batch)
    run = jax.vmap(lambda x: bind(made, (x, X))[0][0], in_axes=1, out_axes=1)
    assert run(jnp.ones((2, 3))).shape == (2, 3)
    assert seen == [((1, None), None, None)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_zeros_have_the_dtype_of_the_primal(dtype):
    x = jnp.ones((2, 1), dtype)
    struct = jax.ShapeDtypeStruct(x.shape, x.dtype)
    for zeros in (materialise_zeros(x, None), materialise_zeros(struct, None, allow_struct=True)):
        assert zeros.dtype == dtype
        assert zeros.shape == (2, 1)
        assert not zeros.any()
    assert materialise_zeros(struct, None) is None


def test_zeros_of_what_has_no_tangent():
    for primal in (jnp.arange(2), np.bool_(1), 3, True, jax.random.key(0)):
        assert materialise_zeros(primal, None).dtype == jax.dtypes.float0
    for primal in ("s", None, {"a": X}):
        assert materialise_zeros(primal, None) is None
    assert materialise_zeros(X, 2 * X).tolist() == [0, 2, 4]
