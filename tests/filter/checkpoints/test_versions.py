"""`__migrations__`: files of earlier versions of a class."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from eqx_filter import Checkpoints, Optimizer, filter_eval_shape, load, save, tree_equal
from eqx_filter.checkpoints._container import read_header, write
from eqx_filter.migrations import convert, default, drop, rename, transpose
from eqx_pytree import Module

W, V = jnp.arange(6.0).reshape(2, 3), jnp.ones(2)


class Layer(Module):  # as it was
    weight: jax.Array
    bias: jax.Array


class Model(Module):
    lin: Layer


class NewLayer(Module):
    __migrations__ = (rename("weight", "kernel"), (transpose("kernel"), default("gain", 2.0)))
    kernel: jax.Array
    bias: jax.Array
    gain: jax.Array


class MiddleLayer(Module):  # of version 1
    __migrations__ = NewLayer.__migrations__[:1]
    kernel: jax.Array
    bias: jax.Array


class NewModel(Module):
    __migrations__ = (rename("lin", "layers.0"),)
    layers: tuple


NEW = NewModel((NewLayer(W.T, V, jnp.array(2.0)),))


def versions(path):
    header = read_header(path.with_name(f"{path.name}.safetensors"))
    return json.loads(header.metadata.get("eqx.versions", "{}"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some"


class TestOldFiles:
    def test_outer_nodes_go_before_inner_ones(self, path):
        save(path, {"m": Model(Layer(W, V))})
        assert versions(path) == {}
        like = filter_eval_shape(lambda: {"m": NEW})
        assert tree_equal(load(path, like), {"m": NEW})

    def test_the_version_of_a_node_moves_with_it(self, path):
        save(path, Model(MiddleLayer(W, V)))
        assert versions(path) == {"lin": 1}
        assert tree_equal(load(path, filter_eval_shape(lambda: NEW)), NEW)

    def test_each_place_of_a_class(self, path):
        layer = NEW.layers[0]
        save(path, [Layer(W, V), layer, MiddleLayer(W, V)])
        assert versions(path) == {"1": 2, "2": 1}
        assert tree_equal(load(path, [layer] * 3), [layer] * 3)

    def test_of_now(self, path):
        save(path, NEW)
        assert versions(path) == {"": 1, "layers.0": 2}
        assert tree_equal(load(path, NEW), NEW)

    def test_a_rule_for_all_goes_first(self, path):
        save(path, {"net": Model(Layer(W, V))})
        like = filter_eval_shape(lambda: {"model": NEW})
        assert tree_equal(load(path, like, migrations=rename("net", "model")), {"model": NEW})

    def test_a_part_that_becomes_the_whole_brings_its_version(self, path):
        save(path, NEW)
        found = load(path, NEW.layers[0], migrations=rename("layers.0", ""))
        assert tree_equal(found, NEW.layers[0])

    def test_within_stacked_layers(self, path):
        class Stack(Module):
            kernels: jax.Array

            def __unstacked__(self):
                return tuple(MiddleLayer(row, V) for row in self.kernels)

            def __restacked__(self, layers):
                return Stack(jnp.stack([layer.kernel for layer in layers]))

        save(path, [Layer(W, V), Layer(-W, V)])
        stack = Stack(jnp.stack([W, -W]))
        assert tree_equal(load(path, stack), stack)
        save(path, stack)
        assert versions(path) == {"0": 1, "1": 1}

    def test_steps_of_checkpoints(self, path):
        Checkpoints(path).save(1, Model(Layer(W, V)))
        assert tree_equal(Checkpoints(path).restore(NEW), (NEW, 1))


class TestNoSteps:
    def test_files_of_others_have_no_versions(self, path):
        with path.with_suffix(".safetensors").open("wb") as file:
            write(file, {"kernel": W, "bias": V, "gain": V[0]}, {"format": "pt"})
        like = NewLayer(jnp.zeros((2, 3)), V, V[0])
        assert tree_equal(load(path, like), NewLayer(W, V, V[0]))

    def test_a_node_without_names_in_the_file_has_none(self, path):
        save(path, {"a": V})
        like = {"a": V, "b": NEW.layers[0]}
        assert tree_equal(load(path, like, strict=False), like)
        rules = default("b.*")
        assert tree_equal(load(path, like, migrations=rules), like)

    def test_a_subclass_has_those_of_its_base_unless_it_has_its_own(self, path):
        class Sub(NewLayer):
            pass

        class Own(NewLayer):
            __migrations__ = (drop("old"),)

        save(path, [Sub(W.T, V, V), Own(W.T, V, V)])
        assert versions(path) == {"0": 2, "1": 1}


class TestRefusals:
    def test_a_file_of_later_code_names_both_versions(self, path):
        save(path, {"a": NEW.layers[0], "b": W})
        told = (
            r"`.*some\.safetensors` is of later code: `a` is of version 2 of `MiddleLayer` there, "
            r"and `__migrations__` leads to version 1 here\. Load it with the code that saved"
        )
        with pytest.raises(RuntimeError, match=told):
            load(path, {"a": MiddleLayer(W, V), "b": W})
        with pytest.raises(RuntimeError, match=r"version 2 of `Layer` there, .* to version 0 here"):
            load(path, {"a": Layer(W, V), "b": W})

    def test_a_container_of_another_kind_has_no_version(self, path):
        layer = NEW.layers[0]
        save(path, layer)
        like = {"kernel": layer.kernel, "bias": layer.bias, "gain": layer.gain}
        assert tree_equal(load(path, like, static="ignore"), like)

    def test_a_step_that_does_not_fit_names_node_class_and_version(self, path):
        save(path, {"a": {"kernel": W, "bias": V}})
        told = (
            r"`rename\('weight', 'kernel'\)` finds no name in `.*`, for `a`, a `NewLayer`, from "
            r"version 0 to 1, that `weight`"
        )
        with pytest.raises(ValueError, match=told):
            load(path, {"a": NEW.layers[0]})
        save(path, {"kernel": W, "bias": V})
        with pytest.raises(ValueError, match=r", for the whole, a `NewLayer`, from version 0 to"):
            load(path, NEW.layers[0])

    @pytest.mark.parametrize("versions", [{"a": "1"}, {"a": 0}, {"a": True}, [1]])
    def test_damage(self, path, versions):
        with path.with_suffix(".safetensors").open("wb") as file:
            texts = {"eqx.version": "1", "eqx.versions": json.dumps(versions)}
            write(file, {"a": V}, texts)
        with pytest.raises(RuntimeError, match=r"is damaged: `eqx\.versions` of its metadata"):
            load(path, {"a": V})

    @pytest.mark.parametrize(
        ("steps", "told"),
        [
            ({1: drop("a")}, r"`__migrations__` of `.*Bad` is a tuple of steps, each a rule or se"),
            (("a",), r"`__migrations__` of `.*Bad` has rules, as `rename` and its kin .* got 'a'"),
        ],
    )
    def test_steps_that_are_no_rules(self, path, steps, told):
        class Bad(Module):
            __migrations__ = steps
            x: jax.Array

        with pytest.raises(TypeError, match=told):
            save(path, Bad(V))


def test_each_node_looks_at_the_names_below_it_alone(path, monkeypatch):
    seen = []

    class Counting(type(NewLayer.__migrations__[0])):
        def apply(self, entries, place):
            seen.append((len(entries), len(place.like)))
            return super().apply(entries, place)

    rule = Counting("weight", "kernel")
    monkeypatch.setattr(MiddleLayer, "__migrations__", (rule,))
    like = [MiddleLayer(W, V)] * 9
    save(path, [Layer(W, V)] * 9)
    assert tree_equal(load(path, like), like)
    assert seen == [(2, 2)] * 9


class Old(Module):
    scale: jax.Array


class Logarithmic(Module):
    __migrations__ = ((convert("scale", np.log, np.exp), default("shift", 1.0)),)
    scale: jax.Array
    shift: jax.Array


@pytest.mark.parametrize("is_abstract", [False, True])
def test_moments_of_what_is_given_values_begin_anew(tmp_path, is_abstract):
    """A logarithm of a moment is none, and nor is the first value of a parameter."""
    old = Old(jnp.array([1.0, 2.0]))
    opt = Optimizer(optax.adam(0.1), old)
    _, opt = opt.update(Old(jnp.array([-1.0, 1.0])), old)
    save(tmp_path / "old", (old, opt))

    def make():
        model = Logarithmic(jnp.zeros(2), jnp.zeros(()))
        return model, Optimizer(opt.tx, model)

    like = filter_eval_shape(make) if is_abstract else make()
    model, found = load(tmp_path / "old", like)
    assert tree_equal(model, Logarithmic(jnp.log(old.scale), jnp.ones(())), rtol=1e-6)
    assert int(found.state[0].count) == 1
    for moment in (found.state[0].mu, found.state[0].nu):
        assert not any(np.any(it) for it in jax.tree.leaves(moment))
