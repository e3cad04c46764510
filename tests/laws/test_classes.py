"""Classes and instances: what a constructor stores, and that it stays so."""

import dataclasses

import jax.tree_util as jtu
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_pytree import Module, tree_pformat

from . import oracle
from .classes import in_a_list
from .settings import law
from .trees import CONTAINERS, MODULES, constructions, trees


@law
@given(constructions())
def test_fields_hold_what_was_given_converted_once(construction):
    cls, values = construction
    instance = cls(**values)
    assert isinstance(instance, cls)
    for spec in dataclasses.fields(cls):
        held = getattr(instance, spec.name)
        if spec.metadata.get("converter") is in_a_list:
            [held] = held
        if spec.name in values:
            assert held is values[spec.name]
        elif spec.init and spec.default is not dataclasses.MISSING:
            assert held is spec.default
        else:
            assert held == ({"late": spec.name} if not spec.init else [])


@law
@given(constructions())
def test_fields_are_in_the_order_of_the_classes(construction):
    cls, _ = construction
    written = dict.fromkeys(
        name for base in reversed(cls.__mro__) for name in vars(base).get("__annotations__", {})
    )
    assert [spec.name for spec in dataclasses.fields(cls)] == list(written)


@law
@given(constructions())
def test_a_finished_instance_stays_as_it_is(construction):
    cls, values = construction
    instance = cls(**values)
    before = dict(vars(instance))
    for name in [*before, "unknown"]:
        with pytest.raises(AttributeError, match=f"cannot assign to field '{name}'"):
            setattr(instance, name, None)
        with pytest.raises(AttributeError, match=f"cannot delete field '{name}'"):
            delattr(instance, name)
    rebuilt = jtu.tree_map(lambda leaf: leaf, instance)
    with pytest.raises(AttributeError, match="cannot assign to field 'unknown'"):
        rebuilt.unknown = None
    assert list(vars(instance).items()) == list(before.items())


@law
@given(constructions())
def test_replacing_nothing_gives_the_same(construction):
    cls, values = construction
    assume(not any(spec.metadata.get("converter") for spec in dataclasses.fields(cls)))
    instance = cls(**values)
    replaced = dataclasses.replace(instance)
    assert type(replaced) is cls
    for spec in dataclasses.fields(cls):
        if spec.init:
            assert getattr(replaced, spec.name) is getattr(instance, spec.name)


@law
@given(constructions())
def test_arguments_that_no_field_takes_are_refused(construction):
    cls, values = construction
    assume("_assign" not in cls.__init__.__qualname__)
    with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
        cls(**values, unknown=1)
    if values:
        with pytest.raises(TypeError, match="positional argument"):
            cls(*values.values())


@law
@given(trees(), st.booleans(), st.integers(1, 100))
def test_any_tree_can_be_shown(tree, short_arrays, width):
    text = tree_pformat(tree, short_arrays=short_arrays, width=width)
    assert text
    assert text == tree_pformat(tree, short_arrays=short_arrays, width=width)
    if isinstance(tree, Module):
        assert repr(tree)


@law
@given(trees(kinds=[*MODULES, "method"]), st.data())
def test_methods_are_equal_where_the_instances_are(tree, data):
    assume("everything" in dir(tree))
    method, again = tree.everything, tree.everything
    rebuilt = jtu.tree_map(lambda leaf: leaf, method)
    assert method == again == rebuilt
    assert method != tree.itself
    assert tree.itself() is tree
    assert rebuilt() == method() == sorted(vars(tree))
    if all(map(oracle.has_hash, [jtu.tree_structure(tree), *jtu.tree_leaves(tree)])):
        assert hash(method) == hash(again) == hash(rebuilt)
    changed = jtu.tree_map(lambda leaf: object(), method)
    assert (method == changed) is not bool(jtu.tree_leaves(tree))


@law
@given(trees(kinds=[*CONTAINERS, *MODULES]))
def test_classes_of_one_name_are_two(tree):
    def new():
        return type(Module)("Twin", (Module,), {"__annotations__": {"content": object}})

    one, other = new()(tree), new()(tree)
    assert jtu.tree_structure(one) != jtu.tree_structure(other)
    assert not one == other  # noqa: SIM201
    with pytest.raises(ValueError, match=r"different types|mismatch"):
        jtu.tree_map(lambda x, y: x, one, other)
