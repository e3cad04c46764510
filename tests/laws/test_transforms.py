"""Transformations: a program gives what the function gives, and gradients are those of JAX."""

import copy

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_filter import (
    combine,
    filter_grad,
    filter_jit,
    filter_value_and_grad,
    gradf,
    is_array,
    is_inexact_array,
    jitf,
    partition,
    value_and_grad_f,
)
from eqx_pytree import Static

from . import oracle
from .settings import law_of_programs
from .trees import CONTAINERS, EVERYTHING, MODULES, portable_trees, trees
from .values import HASHABLE, INEXACT, hashable_statics, jax_arrays, jit_leaves, plain_leaves


def jit_trees(**options):
    return trees(leaves=jit_leaves(), statics=hashable_statics(), **options)


def float_trees(**options):
    """Trees with arrays to differentiate, and other leaves."""
    floats = jax_arrays(dtypes=INEXACT, odd=False)
    return trees(leaves=st.one_of(floats, floats, jit_leaves().filter(_is_finite)), **options)


def _is_finite(leaf):
    return not is_array(leaf) or bool(np.all(np.isfinite(np.asarray(leaf, dtype=np.complex64))))


def as_jax(tree):
    """The tree with JAX arrays in the place of NumPy's, as it comes back from a program."""
    return jtu.tree_map(lambda leaf: jnp.asarray(leaf) if is_array(leaf) else leaf, tree)


def as_array_if_number(leaf):
    """A number as `jax.jit` returns it."""
    return jnp.asarray(leaf) if is_number(leaf) else leaf


def is_number(leaf):
    return isinstance(leaf, (bool, int, float, complex))


MOST = 2**30
"""A number beyond it may not fit into what JAX makes of it."""


def add_to_itself(leaf):
    return jnp.add(leaf, leaf) if is_array(leaf) else leaf


def rearranged(tree, times, *, name):
    """A function with arguments of all kinds, and an output of another structure."""
    doubled = jtu.tree_map(add_to_itself, tree)
    arrays, rest = partition(tree, is_array)
    shapes = [leaf.shape for leaf in jtu.tree_leaves(arrays)]
    return {"doubled": [doubled] * times, "rest": rest, name: (shapes, times), "tree": tree}


@filter_jit
def identity(tree):
    return tree


compiled = filter_jit(rearranged)


ALSO_OF_NOTHING = pytest.mark.filterwarnings("ignore:.*has no floating array")


@law_of_programs
@given(jit_trees())
def test_a_program_returns_what_it_is_given(tree):
    assert oracle.same(identity(tree), as_jax(tree))


@law_of_programs
@given(st.lists(jit_trees(depth=1), min_size=2, max_size=3), st.data())
def test_programs_are_not_mixed_up(trees, data):
    for tree in data.draw(st.permutations([*trees, *trees])):
        assert oracle.same(identity(tree), as_jax(tree))


@law_of_programs
@given(portable_trees())
def test_what_is_the_same_is_traced_once(tree):
    traces = []

    @filter_jit
    def run(tree):
        traces.append(tree)
        return tree

    for same in (tree, jtu.tree_map(lambda leaf: leaf, tree), copy.deepcopy(tree), as_jax(tree)):
        assert oracle.same(run(same), as_jax(tree))
    assert len(traces) == 1


SIMILAR = [value for value in HASHABLE if not is_array(value) and value in (0, 1)]


@law_of_programs
@given(st.lists(st.sampled_from(SIMILAR), min_size=2, max_size=4), st.data())
def test_what_is_static_in_the_output_may_depend_on_the_shape(values, data):
    @filter_jit
    def run(x):
        return x, around(values[x.size])

    around = data.draw(st.sampled_from([Static, lambda leaf: leaf]))
    for size in data.draw(st.permutations([*range(len(values)), *range(len(values))])):
        assert oracle.same(run(jnp.zeros(size))[1], around(values[size]))


@law_of_programs
@given(trees(leaves=jit_leaves()))
def test_static_fields_need_no_hash(tree):
    assert oracle.same(identity(tree), as_jax(tree))


@law_of_programs
@given(jit_trees(depth=2), st.integers(0, 2), st.sampled_from(["a", "b"]))
def test_a_program_gives_what_the_function_gives(tree, times, name):
    expected = as_jax(rearranged(tree, times, name=name))
    assert oracle.same(compiled(tree, times, name=name), expected)
    assert oracle.same(compiled(times=times, name=name, tree=tree), expected)


@law_of_programs
@given(jit_trees(depth=1), st.sampled_from(["a", "b"]))
def test_a_program_compiled_ahead_gives_the_same(tree, name):
    ahead = compiled.lower(tree, 1, name=name).compile()
    assert oracle.same(ahead(tree, 1, name=name), compiled(tree, 1, name=name))


@law_of_programs
@given(jit_trees(depth=1))
def test_programs_inside_programs_give_the_same(tree):
    nested = filter_jit(lambda tree: filter_jit(rearranged)(identity(tree), 1, name="a"))
    assert oracle.same(nested(tree), as_jax(rearranged(tree, 1, name="a")))


@law_of_programs
@given(jit_trees(kinds=["module", "method", "list"], depth=2))
def test_callables_are_inputs_too(tree):
    for node in jtu.tree_leaves(tree, is_leaf=lambda node: hasattr(type(node), "everything")):
        if hasattr(type(node), "everything"):
            assert filter_jit(node.everything)() == node.everything()
            assert oracle.same(filter_jit(node)(tree), as_jax(tree))


@law_of_programs
@given(trees(leaves=jax_arrays() | plain_leaves(), statics=hashable_statics(), depth=2))
def test_jitf_traces_what_its_filter_picks(tree):
    run = jitf(lambda tree: jtu.tree_map(add_to_itself, tree), filter_fn=is_inexact_array)
    leaves = oracle.leaves(tree)
    assume(not any(is_number(leaf) and abs(leaf) > MOST for leaf in leaves))
    if all(is_inexact_array(leaf) or not is_array(leaf) for leaf in leaves):
        expected = as_jax(jtu.tree_map(add_to_itself, tree))
        assert oracle.same(run(tree), jtu.tree_map(as_array_if_number, expected))


@law_of_programs
@given(trees(leaves=jax_arrays(), kinds=[*CONTAINERS, *MODULES], depth=2))
def test_jax_takes_trees_of_arrays_as_they_are(tree):
    arrays, static = partition(tree, is_array)
    doubled = jax.jit(lambda arrays: jtu.tree_map(add_to_itself, arrays))(arrays)
    expected = jtu.tree_map(add_to_itself, tree)
    assert oracle.same(combine(doubled, static), expected)


def energy(tree, factor=1.0):
    """A real number that depends on each inexact array."""
    leaves = [jnp.asarray(leaf) for leaf in jtu.tree_leaves(tree) if is_array(leaf)]
    parts = [
        jnp.sum(jnp.abs(leaf) ** 2).astype(jnp.float32) + jnp.sum(leaf.real).astype(jnp.float32)
        for leaf in leaves
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
    return factor * sum(parts, start=jnp.float32(0))


def gradients_of_jax(tree):
    leaves, structure = jtu.tree_flatten(tree)
    wanted = [is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def of_wanted(arrays):
        remaining = iter(arrays)
        merged = [next(remaining) if w else x for w, x in zip(wanted, leaves, strict=True)]
        return energy(structure.unflatten(merged))

    arrays = [leaf for leaf, w in zip(leaves, wanted, strict=True) if w]
    value, gradients = jax.value_and_grad(of_wanted)(arrays)
    remaining = iter(gradients)
    return value, structure.unflatten([next(remaining) if w else None for w in wanted])


@ALSO_OF_NOTHING
@law_of_programs
@given(float_trees(depth=2))
def test_gradients_are_those_of_jax(tree):
    value, gradient = gradients_of_jax(tree)
    assert oracle.same(filter_grad(energy)(tree), gradient)
    assert oracle.same(filter_value_and_grad(energy)(tree), (value, gradient))


@ALSO_OF_NOTHING
@law_of_programs
@given(float_trees(depth=1), float_trees(depth=1))
def test_only_the_first_argument_is_differentiated(tree, other):
    def both(tree, other, *, factor):
        return energy(tree, factor) + energy(other, factor), other

    (value, aux), gradient = filter_value_and_grad(both, has_aux=True)(tree, other, factor=2.0)
    assert oracle.identical(aux, other)
    assert oracle.same(value, both(tree, other, factor=2.0)[0])
    single = filter_grad(energy)(tree)
    assert oracle.same(gradient, jtu.tree_map(lambda g: g * 2, single))


@ALSO_OF_NOTHING
@law_of_programs
@given(float_trees(depth=1))
def test_a_compiled_gradient_is_the_gradient(tree):
    value, gradient = gradients_of_jax(tree)
    compiled_value, compiled_gradient = filter_jit(filter_value_and_grad(energy))(tree)
    np.testing.assert_allclose(compiled_value, value, rtol=1e-3)
    assert oracle.shape(compiled_gradient) == oracle.shape(gradient)
    for one, other in zip(oracle.leaves(compiled_gradient), oracle.leaves(gradient), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            np.asarray(one, np.complex64), np.asarray(other, np.complex64), rtol=1e-2
        )


@law_of_programs
@given(
    trees(
        leaves=jax_arrays(dtypes=INEXACT, odd=False),
        kinds=[kind for kind in EVERYTHING if "partial" not in kind],
        depth=2,
    )
)
def test_explicit_gradients_are_those_of_filter_grad(tree):
    assert oracle.same(
        value_and_grad_f(energy, filter_fn=is_inexact_array)(tree),
        filter_value_and_grad(energy)(tree),
    )
    everything = jtu.tree_map(is_inexact_array, tree)
    assert oracle.same(gradf(energy, filter_tree=everything)(tree), filter_grad(energy)(tree))
