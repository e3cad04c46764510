"""`State`: values beside the model, used once, told by name."""

import copy
import pickle
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqx_filter import filter_jit, tree_equal
from eqx_nn import (
    Identity,
    Sequential,
    State,
    StatefulLayer,
    StateIndex,
    delete_init_state,
    make_with_state,
)
from eqx_pytree import Module


class Counter(StatefulLayer):
    """Counts its calls, and keeps the last input."""

    count: StateIndex
    last: StateIndex

    def __init__(self, start=0):
        self.count = StateIndex(start)
        self.last = StateIndex({"x": jnp.zeros(2)})

    def __call__(self, x, state, *, key=None):
        state = state.set(self.count, state.get(self.count) + 1)
        return x, state.set(self.last, {"x": x})


class Pair(Module):
    parts: dict
    rest: int

    def __init__(self):
        self.parts = {"a": Counter(), "b": [Counter(5), None]}
        self.rest = 3


@pytest.fixture
def pair():
    return make_with_state(Pair)()


def clone(state):
    return jax.tree.map(lambda x: x, state)


def test_make_with_state_names_indices_by_their_place(pair):
    model, state = pair
    assert model.parts["b"][0].count.marker == "Pair.parts['b'][0].count"
    assert state.get(model.parts["b"][0].count) == 5
    assert "Pair.parts['a'].last={'x': f32[2]}" in repr(state)
    assert jax.tree.leaves(model) == [3]
    assert make_with_state(lambda: StateIndex(1.0))()[0].marker == "StateIndex"


def test_models_built_alike_have_equal_structures(pair):
    assert jax.tree.structure(make_with_state(Pair)()) == jax.tree.structure(pair)
    assert tree_equal(make_with_state(Pair)(), pair)


def test_make_with_state_passes_arguments_and_keeps_the_name():
    make = make_with_state(Counter)
    assert make(start=7)[1].get(make(start=7)[0].count) == 7
    assert make.__name__ == "Counter"
    assert not hasattr(make, "is_stateful")


def test_a_layer_carries_its_state_through_sequential_jit_and_scan():
    model, state = make_with_state(lambda: Sequential([Counter(), Identity(), Counter(10)]))()
    x = jnp.array([1.0, 2.0])
    y, state = model(x, state)
    y, state = filter_jit(model)(y, state)

    def step(state, x):
        y, state = model(x, state)
        return state, y

    state, _ = jax.lax.scan(step, state, jnp.ones((3, 2)))
    assert state.get(model[0].count) == 5
    assert state.get(model[2].count) == 15
    assert np.array_equal(state.get(model[2].last)["x"], [1, 1])


@pytest.mark.parametrize(
    ("use", "wish"),
    [
        (lambda state, index: state.get(index), "get `Counter.count` from it"),
        (lambda state, index: state.set(index, 1), "set `Counter.count` in it"),
        (lambda state, index: state.substate(index), "take a `substate`"),
        (lambda state, index: state.update(State(StateIndex(1))), "update it"),
        (lambda state, index: State(StateIndex(1)).update(state), "update another with it"),
        (lambda state, index: jax.tree.leaves(state), "pass it on"),
        (lambda state, index: jax.jit(lambda s: 0)(state), "pass it on"),
    ],
    ids=["get", "set", "substate", "update", "update by it", "flatten", "jit"],
)
def test_an_old_state_is_refused_with_what_made_it_old(use, wish):
    counter, state = make_with_state(Counter)()
    state.set(counter.count, 3)
    with pytest.raises(ValueError, match=r"Attempted to use old state") as caught:
        use(state, counter.count)
    assert wish in str(caught.value)
    assert "`set` gave `Counter.count` a new value" in str(caught.value)
    assert repr(state) == "State(~old~)"


def test_a_copy_may_be_used_as_well():
    counter, state = make_with_state(Counter)()
    copies = [clone(state), copy.copy(state), copy.deepcopy(state)]
    copies.append(pickle.loads(pickle.dumps(state)))
    state = state.set(counter.count, 3)
    for each in copies:
        assert each.get(counter.count) == 0
        assert each.set(counter.count, 4).get(counter.count) == 4


@pytest.mark.parametrize(
    ("value", "difference"),
    [
        ({"x": jnp.zeros(3)}, r"in the shape of \['x'\]"),
        ({"x": jnp.zeros(2, int)}, r"in the dtype of \['x'\]"),
        (jnp.zeros(2), "in their structure"),
        (None, "in their structure"),
    ],
)
def test_a_value_of_another_kind_is_refused(value, difference):
    counter, state = make_with_state(Counter)()
    with pytest.raises(ValueError, match=difference) as caught:
        state.set(counter.last, value)
    assert "Old and new values have different structures/shapes/dtypes" in str(caught.value)
    assert "`Counter.last`" in str(caught.value)
    assert np.array_equal(state.get(counter.last)["x"], [0, 0]), "the state is as it was"


def test_weak_types_count_and_numpy_arrays_are_taken():
    counter, state = make_with_state(Counter)()
    with pytest.raises(ValueError, match=r"in the weak type of the array"):
        state.set(counter.count, jnp.int32(1))
    assert isinstance(state.set(counter.last, {"x": np.ones(2, "f4")}), State)


def test_an_index_of_another_model_is_refused(pair):
    foreign, _ = make_with_state(Counter)()
    with pytest.raises(KeyError, match=r"lacks `Counter.count`; it has `Pair.parts\['a'\].count`"):
        pair[1].get(foreign.count)
    with pytest.raises(KeyError, match=r"lacks an entry that has no name yet"):
        pair[1].set(StateIndex(1), 1)
    with pytest.raises(KeyError, match=r"it has no entries"):
        State(3).substate(foreign)
    with pytest.raises(ValueError, match=r"asked by `StateIndex`.* got a `int`"):
        pair[1].get(3)


def test_substate_and_update(pair):
    model, state = pair
    part = model.parts["a"]
    sub = state.substate(part)
    assert len(jax.tree.leaves(sub)) == 2
    _, sub = part(jnp.ones(2), sub)
    state = state.update(sub)
    assert state.get(part.count) == 1
    assert state.get(model.parts["b"][0].count) == 5
    with pytest.raises(ValueError, match=r"`Counter.count` is in `substate` alone"):
        state.update(make_with_state(Counter)()[1])
    with pytest.raises(ValueError, match=r"takes a `State`.* got a `dict`"):
        state.update({})


def test_an_ensemble_under_vmap():
    def make(start):
        return make_with_state(Counter)(start)

    model, state = jax.vmap(make)(jnp.arange(3))
    _, state = jax.vmap(lambda m, s, x: m(x, s), in_axes=(None, 0, 0))(
        model, state, jnp.ones((3, 2))
    )
    assert np.array_equal(state.get(model.count), [1, 2, 3])


def test_state_of_a_model_without_its_first_values_is_refused(pair):
    with pytest.raises(ValueError, match=r"first value of `Pair.parts\['a'\].count`"):
        State(pair[0])
    counter = Counter(4)
    state = State(counter)
    assert state.get(delete_init_state(counter).count) == 4
    with pytest.raises(ValueError, match=r"make_with_state"):
        State(delete_init_state(counter))


def test_a_first_value_that_is_no_array_is_refused():
    with pytest.raises(TypeError) as caught:
        make_with_state(Counter)(jnp.sin)
    assert "`Counter.count`" not in str(caught.value.args)
    assert any("arrays and numbers alone" in note for note in caught.value.__notes__)


def test_paths_name_the_entries(pair):
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(pair[1])]
    assert paths[1] == "[\"Pair.parts['a'].last\"]['x']"


@pytest.mark.parametrize(
    ("new", "told"),
    [(jnp.ones((5, 2)), True), (jnp.ones(()), True), (jnp.ones(3), False)],
)
def test_an_axis_of_a_batch_is_told(new, told):
    index, state = make_with_state(StateIndex)(jnp.ones(2))
    with pytest.raises(ValueError, match="in the shape of the array") as caught:
        state.set(index, new)
    assert ("jax.vmap(layer, in_axes=(0, None), out_axes=(0, None))" in str(caught.value)) is told


def test_annotations_name_the_value():
    class Model(Module):
        index: StateIndex[jax.Array]

    model, state = make_with_state(Model)(StateIndex[jax.Array](jnp.ones(2)))
    assert typing.get_args(Model.__annotations__["index"]) == (jax.Array,)
    assert state.get(model.index).shape == (2,)


names = st.text("abc", min_size=1, max_size=3)


@given(st.dictionaries(names, st.integers(-5, 5), max_size=5), st.data())
def test_a_state_is_a_dictionary(values, data):
    """`get`, `set`, `substate` and `update` are those of a dict, whatever their order."""
    model, state = make_with_state(lambda: {k: StateIndex(v) for k, v in values.items()})()
    expected = dict(values)
    keys = data.draw(
        st.lists(st.sampled_from(sorted(values)), max_size=4) if values else st.just([])
    )
    for number, key in enumerate(keys):
        if number % 2:
            part = state.substate({key: model[key]}).set(model[key], number)
            state = state.update(part)
        else:
            state = state.set(model[key], number)
        expected[key] = number
    assert {key: int(state.get(index)) for key, index in model.items()} == expected
