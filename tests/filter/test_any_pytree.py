"""The same on PyTrees that are no Modules: dicts, named tuples, dataclasses, flax structs."""

import collections
import dataclasses
from typing import Any

import flax.struct
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import eqx_filter as ef

Point = collections.namedtuple("Point", "weight bias name")


@jtu.register_pytree_with_keys_class
@dataclasses.dataclass
class ByHand:
    weight: Any
    bias: Any
    name: Any

    def tree_flatten_with_keys(self):
        children = [(jtu.GetAttrKey(n), getattr(self, n)) for n in ("weight", "bias", "name")]
        return children, None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)

    def scaled(self, x):
        return self.weight * x


@jtu.register_dataclass
@dataclasses.dataclass
class Registered:
    weight: Any
    bias: Any
    name: Any = dataclasses.field(metadata={"static": True})


@flax.struct.dataclass
class Struct:
    weight: Any
    bias: Any
    name: Any = flax.struct.field(pytree_node=False)

    def scaled(self, x):
        return self.weight * x


def as_dict(weight, bias, name):
    return {"weight": weight, "bias": bias, "name": name}


def get(tree, name):
    return tree[name] if isinstance(tree, dict) else getattr(tree, name)


@pytest.fixture(params=[as_dict, Point, ByHand, Registered, Struct], ids=lambda kind: kind.__name__)
def make(request):
    """Make a tree of one kind; flax structs and registered dataclasses hold the name static."""
    return request.param


@pytest.fixture
def tree(make):
    return make(jnp.arange(3.0), 2, "a name")


class TestData:
    def test_partition_and_combine(self, tree):
        arrays, rest = ef.partition(tree, ef.is_array)
        assert get(arrays, "bias") is None
        assert get(rest, "weight") is None
        combined = ef.combine(arrays, rest)
        assert type(combined) is type(tree)
        assert ef.tree_equal(combined, tree)
        assert get(combined, "name") == "a name"

    def test_tree_at(self, tree):
        changed = ef.tree_at(lambda t: get(t, "weight"), tree, "new")
        assert (get(changed, "weight"), get(changed, "bias")) == ("new", 2)
        doubled = ef.tree_at(lambda t: get(t, "bias"), tree, replace_fn=lambda leaf: 2 * leaf)
        assert get(doubled, "bias") == 4

    def test_tree_equal(self, make, tree):
        assert ef.tree_equal(tree, make(jnp.arange(3.0), 2, "a name"))
        assert not ef.tree_equal(tree, make(jnp.arange(3.0), 2, "another"))
        assert not ef.tree_equal(tree, make(jnp.arange(3.0), 3, "a name"))

    def test_apply_updates(self, make, tree):
        updates = ef.filter(make(jnp.ones(3), None, "a name"), ef.is_array)
        updated = ef.apply_updates(tree, updates)
        np.testing.assert_array_equal(get(updated, "weight"), [1, 2, 3])
        assert (get(updated, "bias"), get(updated, "name")) == (2, "a name")

    def test_check_and_one_level(self, tree):
        ef.tree_check([tree])
        with pytest.raises(
            ValueError, match=r"appears in the PyTree multiple times.*`pytree\[1\]`"
        ):
            ef.tree_check([tree, tree])
        assert ef.tree_flatten_one_level([tree, 1])[0] == [tree, 1]


class TestTransformations:
    def test_jit_traces_the_arrays(self, make):
        traces = []

        @ef.filter_jit
        def run(tree, x):
            traces.append(get(tree, "name"))
            return get(tree, "weight") * x + get(tree, "bias"), get(tree, "name")

        for weight in (1.0, 2.0):
            out, name = run(make(jnp.array(weight), 2, "a name"), jnp.array(3.0))
            assert (out, name) == (3 * weight + 2, "a name")
        assert run(make(jnp.array(1.0), 2, "another"), jnp.array(3.0))[1] == "another"
        assert traces == ["a name", "another"]

    def test_jit_gives_the_tree_back(self, tree):
        out = ef.filter_jit(lambda tree: tree)(tree)
        assert type(out) is type(tree)
        assert ef.tree_equal(out, tree)

    def test_grad(self, tree):
        gradient = ef.filter_grad(lambda t: jnp.sum(get(t, "weight") ** 2) * get(t, "bias"))(tree)
        assert type(gradient) is type(tree)
        np.testing.assert_array_equal(get(gradient, "weight"), [0, 4, 8])
        assert get(gradient, "bias") is None

    def test_explicit_filters(self, tree):
        def total(tree):
            return jnp.sum(get(tree, "weight") ** 2)

        mask = jtu.tree_map(ef.is_inexact_array, tree)
        assert ef.jitf(total, filter_tree=mask)(tree) == 5
        for given in ({"filter_tree": mask}, {"filter_fn": ef.is_inexact_array}):
            gradient = ef.gradf(total, **given)(tree)
            np.testing.assert_array_equal(get(gradient, "weight"), [0, 2, 4])

    def test_a_leaf_without_hash_is_named_by_path(self, make):
        with pytest.raises(ValueError, match=r"`tree(\.bias|\['bias'\])`, a `set` .* nor hashed"):
            ef.filter_jit(lambda tree: 1)(make(jnp.ones(2), {1}, "a name"))

    def test_donation(self, tree):
        weight = get(tree, "weight")
        ef.filter_jit(lambda tree: tree, donate="all")(tree)
        assert weight.is_deleted()

    @pytest.mark.parametrize("kind", [ByHand, Struct])
    def test_a_method_traces_the_arrays_of_its_instance(self, kind):
        traces = []

        class Counted(kind):
            def scaled(self, x):
                traces.append(x)
                return self.weight * x

        if kind is ByHand:
            jtu.register_pytree_with_keys_class(Counted)
        else:
            Counted = flax.struct.dataclass(Counted)
        outs = [ef.filter_jit(Counted(jnp.array(w), 1, "n").scaled)(2.0) for w in (1.0, 2.0)]
        assert outs == [2, 4]
        assert len(traces) == 1


def test_empty_trees_pass_through_everything():
    for empty in ((), [], {}, None):
        assert ef.filter_jit(lambda tree: tree)(empty) == empty
        assert ef.combine(*ef.partition(empty, ef.is_array)) == empty
        assert ef.apply_updates(empty, empty) == empty
        assert ef.tree_equal(empty, empty) is True
        assert ef.filter_grad(lambda tree: 1.0)(empty) == empty
