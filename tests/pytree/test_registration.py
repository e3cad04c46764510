"""How a Module flattens and comes back, whole or with fields absent."""

import functools
import operator
import threading
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import Module, field, static_key

NAMES = st.lists(
    st.sampled_from(["weight", "bias", "instance", "aux", "children", "D", "S0", "new", "größe"]),
    unique=True,
    max_size=6,
)
LEAVES = st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)


@st.composite
def instances(draw):
    """An instance of a class made for it, some of its fields static and some absent."""
    names = draw(NAMES)
    static = {name for name in names if draw(st.booleans())}
    present = [name for name in names if draw(st.integers(0, 4))]
    namespace = {
        "__annotations__": dict.fromkeys(names, Any),
        **{name: field(static=True) for name in static},
    }
    instance = object.__new__(type(Module)("Drawn", (Module,), namespace))
    for name in present:
        object.__setattr__(instance, name, draw(LEAVES if name in static else VALUES))
    return instance


class Affine(Module):
    weight: Any
    bias: Any
    name: str = field(static=True, default="affine")


@pytest.fixture
def affine():
    return Affine(jnp.ones((3, 2)), jnp.zeros(3))


class TestRoundTrip:
    @settings(deadline=None, max_examples=50)
    @given(instances())
    def test_flatten_then_unflatten_gives_the_same_fields_back(self, instance):
        leaves, structure = jtu.tree_flatten(instance)
        rebuilt = structure.unflatten(leaves)
        assert type(rebuilt) is type(instance)
        assert vars(rebuilt).keys() == vars(instance).keys()
        assert jtu.tree_structure(rebuilt) == structure
        assert all(map(operator.is_, jtu.tree_leaves(rebuilt), leaves))

    @settings(deadline=None, max_examples=50)
    @given(instances())
    def test_flatten_with_path_gives_the_same_leaves(self, instance):
        pairs, structure = jtu.tree_flatten_with_path(instance)
        leaves = jtu.tree_leaves(instance)
        assert all(leaf is other for (_, leaf), other in zip(pairs, leaves, strict=True))
        assert structure == jtu.tree_structure(instance)
        assert all(path[0].name in vars(instance) for path, _ in pairs)

    def test_key_paths_name_the_fields(self, affine):
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path([affine])[0]]
        assert paths == ["[0].weight", "[0].bias"]

    def test_children_are_in_field_order_bases_first(self):
        class Named(Affine):
            scale: Any = 2.0

        assert jtu.tree_leaves(Named(1, 2, "name", 3)) == [1, 2, 3]

    def test_a_module_without_fields_has_no_leaves(self):
        class Empty(Module):
            pass

        leaves, structure = jtu.tree_flatten(Empty())
        assert leaves == []
        assert type(structure.unflatten([])) is Empty

    def test_unflatten_runs_no_init(self):
        class Counted(Module):
            weight: Any

            def __init__(self):
                self.weight = 1
                calls.append(self)

        calls = []
        structure = jtu.tree_structure(Counted())
        assert structure.unflatten([object()]).weight is not None
        assert len(calls) == 1

    def test_a_rebuilt_instance_is_frozen(self, affine):
        rebuilt = jtu.tree_map(lambda leaf: leaf, affine)
        with pytest.raises(AttributeError, match="cannot assign to field 'weight'"):
            rebuilt.weight = 1

    def test_the_wrong_number_of_leaves_is_refused(self, affine):
        with pytest.raises(ValueError, match="Too few leaves"):
            jtu.tree_structure(affine).unflatten([1])

    def test_none_fields_are_no_leaves(self):
        assert jtu.tree_leaves(Affine(1, None)) == [1]


class TestAbsentFields:
    def test_flatten_inside_init_sees_what_is_there(self):
        seen = []

        class Staged(Module):
            one: Any
            two: Any

            def __init__(self):
                self.two = 2
                seen.append(jtu.tree_flatten_with_path(self)[0])
                self.one = 1

        assert jtu.tree_leaves(Staged()) == [1, 2]
        assert [[(jtu.keystr(path), leaf) for path, leaf in found] for found in seen] == [
            [(".two", 2)]
        ]

    def test_an_instance_without_any_field_stays_so(self):
        rebuilt = jtu.tree_map(lambda leaf: leaf, object.__new__(Affine))
        assert vars(rebuilt) == {}

    def test_a_default_that_an_inherited_init_never_set_is_no_leaf(self):
        class Base(Module):
            weight: Any

            def __init__(self):
                self.weight = 1

        class Scaled(Base):
            scale: Any = 2.0

        scaled = Scaled()
        assert scaled.scale == 2.0
        assert jtu.tree_leaves(scaled) == [1]
        assert jtu.tree_map(lambda leaf: leaf, scaled).scale == 2.0

    def test_structures_with_other_fields_present_differ(self):
        one, two = object.__new__(Affine), object.__new__(Affine)
        object.__setattr__(one, "weight", 1)
        object.__setattr__(two, "bias", 1)
        assert jtu.tree_structure(one) != jtu.tree_structure(two)
        assert jtu.tree_structure(one) == jtu.tree_structure(jtu.tree_map(lambda _: 2, one))


class TestStaticValues:
    @pytest.mark.parametrize(
        ("one", "other"),
        [(1, 1.0), (1, True), (0.0, -0.0), ((1,), (1.0,)), ([0], [False]), ({"a": 1}, {"a": 1.0})],
    )
    def test_structures_differ_by_type_and_value(self, one, other):
        first = jtu.tree_structure(Affine(1, 2, one))
        assert first == jtu.tree_structure(Affine(3, 4, one))
        assert first != jtu.tree_structure(Affine(1, 2, other))
        assert jtu.tree_structure(Affine(1, 2, other)) != first

    def test_nan_equals_nan(self):
        one, other = (jtu.tree_structure(Affine(1, 2, float("nan"))) for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)

    def test_numpy_arrays_compare_by_value(self):
        structures = []
        with pytest.warns(UserWarning, match="A JAX array is being set as static!"):
            structures += [jtu.tree_structure(Affine(1, 2, np.arange(3))) for _ in range(2)]
        assert structures[0] == structures[1]
        assert structures[0] != jtu.tree_structure(Affine(1, 2, np.arange(4)))

    def test_many_variants_are_all_told_apart(self):
        structures = {jtu.tree_structure(Affine(1, 2, i)): i for i in range(1000)}
        assert len(structures) == 1000
        assert structures[jtu.tree_structure(Affine(5, 6, 700))] == 700

    def test_a_plain_jit_compiles_anew_for_another_type(self):
        traces = []

        @jax.jit
        def scaled(affine):
            traces.append(affine.name)
            return affine.weight * affine.name

        dtypes = [scaled(Affine(jnp.arange(2), 0, value)).dtype for value in (1, 1.0, 1, 1.0)]
        assert dtypes == [jnp.int32, jnp.float32, jnp.int32, jnp.float32]
        assert len(traces) == 2


class TestBesideTheFields:
    def test_cached_properties_work_and_are_dropped_by_flattening(self):
        class Cached(Module):
            weight: Any

            @functools.cached_property
            def double(self):
                return 2 * self.weight

        cached = Cached(2)
        plain = jtu.tree_structure(cached)
        assert cached.double == 4
        assert jtu.tree_structure(cached) == plain
        assert jtu.tree_map(lambda _: 5, cached).double == 10

    def test_transformations_of_jax_take_and_return_modules(self, affine):
        doubled = jax.jit(lambda m: jtu.tree_map(lambda leaf: 2 * leaf, m))(affine)
        assert isinstance(doubled, Affine)
        np.testing.assert_array_equal(doubled.weight, 2 * np.ones((3, 2)))
        gradient = jax.grad(lambda m: jnp.sum(m.weight**2))(affine)
        np.testing.assert_array_equal(gradient.weight, 2 * np.ones((3, 2)))
        summed = jax.vmap(lambda m: jnp.sum(m.weight) + m.bias)(affine)
        np.testing.assert_array_equal(summed, np.full(3, 2.0))

    def test_an_abstract_evaluation_gives_the_shapes(self, affine):
        shapes = jax.eval_shape(lambda m: m, affine)
        assert isinstance(shapes, Affine)
        assert (shapes.weight.shape, shapes.name) == ((3, 2), "affine")


def test_threads_flatten_a_new_class_at_the_same_time():
    class Fresh(Module):
        weight: Any
        name: Any = field(static=True)

    start = threading.Barrier(8)
    results = [None] * 8

    def flatten(i):
        instances = [Fresh(i, i if i % 2 else str(i)) for _ in range(200)]
        start.wait()
        structures = [jtu.tree_flatten(instance) for instance in instances]
        results[i] = {(leaves[0], tree.unflatten(leaves).name) for leaves, tree in structures}

    threads = [threading.Thread(target=flatten, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{(i, i if i % 2 else str(i))} for i in range(8)]


class Holder(Module):
    held: Any = field(static=True)


class Inner(Module):
    array: np.ndarray


def increment(array):
    array[0] += 1


def clear(collection):
    collection.clear()


BASE = np.zeros(4)
CHANGED_IN_PLACE = {
    "array": (lambda: np.zeros(2), increment),
    "view": (lambda: BASE[::2], lambda _: increment(BASE)),
    "objects": (lambda: np.zeros(2, object), increment),
    "tuple": (lambda: (1, (np.zeros(2),)), lambda it: increment(it[1][0])),
    "list": (lambda: [1.0], increment),
    "dict": (lambda: {"a": [np.zeros(2)]}, lambda it: increment(it["a"][0])),
    "dict of numbers": (lambda: {"a": 1}, clear),
    "set": (lambda: {1}, clear),
    "Module": (lambda: Inner(np.zeros(2)), lambda it: increment(it.array)),
}


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
@pytest.mark.parametrize("name", CHANGED_IN_PLACE)
def test_a_static_value_that_is_changed_in_place_is_another(name):
    make, change = CHANGED_IN_PLACE[name]
    holder, traces = Holder(make()), []
    traced = jax.jit(lambda it: traces.append(repr(it.held)))
    before = jtu.tree_structure(holder)
    traced(holder)
    assert before == jtu.tree_structure(Holder(make()))
    change(holder.held)
    traced(holder)
    assert before != jtu.tree_structure(holder)
    assert len(traces) == 2
    again = jtu.tree_unflatten(jtu.tree_structure(holder), []).held
    assert static_key(again) == static_key(holder.held)
    assert (again is holder.held) == (name in ("list", "dict of numbers", "set"))
