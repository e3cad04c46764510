"""What a class statement becomes: a frozen dataclass, built by whichever `__init__` applies."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
import weakref
from typing import Any

import cloudpickle
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import Module, field, tree_equal

FROZEN = dataclasses.FrozenInstanceError


class Affine(Module):
    weight: Any
    bias: Any = None
    name: str = field(static=True, default="affine")

    def __call__(self, x):
        return self.weight * x


class Own(Module):
    weight: Any

    def __init__(self, size):
        self.weight = jnp.ones(size)


class TestConstructors:
    def test_a_generated_one_takes_the_fields_in_order(self):
        assert list(inspect.signature(Affine).parameters) == ["weight", "bias", "name"]
        assert Affine(1, 2, "n") == Affine(name="n", bias=2, weight=1)

    def test_an_own_one_is_used(self):
        assert Own(3).weight.shape == (3,)
        assert list(inspect.signature(Own).parameters) == ["size"]

    def test_an_inherited_own_one_wins_over_a_generated_one(self):
        class Scaled(Own):
            scale: Any = 2.0

        assert list(inspect.signature(Scaled).parameters) == ["size"]
        assert (Scaled(3).weight.shape, Scaled(3).scale) == ((3,), 2.0)

    def test_an_own_one_wins_over_an_inherited_generated_one(self):
        class Unit(Affine):
            def __init__(self):
                self.weight = 1

        assert Unit().weight == 1
        assert Unit().bias is None

    def test_a_field_added_to_a_generated_one_is_in_the_subclass(self):
        class Scaled(Affine):
            scale: Any = 2.0

        assert list(inspect.signature(Scaled).parameters) == ["weight", "bias", "name", "scale"]

    def test_super_init_chains(self):
        class Deep(Own):
            depth: int

            def __init__(self, size):
                super().__init__(size)
                self.depth = 2

        class Deeper(Deep):
            def __init__(self):
                super().__init__(4)
                self.depth = self.depth + 1

        deeper = Deeper()
        assert (deeper.weight.shape, deeper.depth) == ((4,), 3)

    def test_super_init_of_a_generated_one(self):
        class Deep(Affine):
            depth: int

            def __init__(self):
                super().__init__(1, bias=2)
                self.depth = 3

        assert jtu.tree_leaves(Deep()) == [1, 2, 3]

    def test_post_init_runs_after_a_generated_one(self):
        class Doubled(Module):
            weight: Any
            double: Any = field(init=False)

            def __post_init__(self):
                self.double = 2 * self.weight

        assert Doubled(2).double == 4

    def test_post_init_may_call_that_of_a_base(self):
        class Base(Module):
            weight: Any

            def __post_init__(self):
                self.weight = self.weight + 1

        class Derived(Base):
            def __post_init__(self):
                super().__post_init__()
                self.weight = self.weight * 10

        assert Derived(1).weight == 20

    def test_check_init_runs_over_the_mro_own_class_first(self):
        order = []

        class Mixin:
            def __check_init__(self):
                order.append("Mixin")

        class Base(Module):
            def __check_init__(self):
                order.append("Base")

        class Derived(Base, Mixin):
            def __check_init__(self):
                order.append("Derived")

        Derived()
        assert order == ["Derived", "Base", "Mixin"]

    def test_check_init_cannot_assign(self):
        class Checked(Module):
            weight: Any

            def __check_init__(self):
                self.weight = 2

        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            Checked(1)

    def test_an_error_in_check_init_is_the_error(self):
        class Positive(Module):
            weight: Any

            def __check_init__(self):
                if self.weight < 0:
                    message = "weight must be positive"
                    raise ValueError(message)

        assert Positive(1).weight == 1
        with pytest.raises(ValueError, match="weight must be positive"):
            Positive(-1)

    def test_methods_called_in_init_may_assign(self):
        class Staged(Module):
            weight: Any

            def __init__(self):
                self.set_up()

            def set_up(self):
                self.weight = 3

        assert Staged().weight == 3

    def test_modules_are_built_inside_init(self):
        class Chain(Module):
            rest: Any
            own: Any

            def __init__(self, depth):
                self.rest = Chain(depth - 1) if depth else None
                self.own = depth

        assert jtu.tree_leaves(Chain(3)) == [0, 1, 2, 3]

    def test_type_is_the_class_inside_init(self):
        seen = []

        class Looks(Module):
            def __init__(self):
                seen.append(type(self))

        Looks()
        assert seen == [Looks]

    def test_new_may_return_something_else(self):
        class Chooses(Module):
            weight: Any

            def __new__(cls, weight):
                return super().__new__(cls) if weight else "nothing"

        assert Chooses(1).weight == 1
        assert Chooses(0) == "nothing"

    def test_an_instance_built_under_a_trace_may_hold_tracers(self):
        @jax.jit
        def build(x):
            return Affine(x, 2 * x)

        assert build(jnp.array(2.0)).bias == 4


class TestFrozen:
    def test_assignment_is_refused_and_tells_the_way_out(self):
        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            Affine(1).weight = 2
        with pytest.raises(AttributeError, match=r"tree_at\(lambda m: m.weight, module, value\)"):
            Affine(1).weight = 2

    def test_deletion_is_refused(self):
        affine = Affine(1)
        with pytest.raises(FROZEN, match="cannot delete field 'weight'"):
            del affine.weight
        assert affine.weight == 1

    def test_deletion_inside_init_is_allowed(self):
        class Rethinks(Module):
            weight: Any

            def __init__(self):
                self.weight = 1
                del self.weight
                self.weight = 2

        assert Rethinks().weight == 2

    @pytest.mark.parametrize("name", ["wieght", "__wrapped__"])
    def test_a_name_that_is_no_field_is_refused(self, name):
        class Typo(Module):
            weight: Any

            def __init__(self):
                setattr(self, name, 1)

        expected = rf"cannot assign to field '{name}': .*Typo` has no field .*fields: `weight`"
        with pytest.raises(FROZEN, match=expected):
            Typo()
        with pytest.raises(FROZEN, match=f"'{name}'.* has no field"):
            setattr(Affine(1), name, 1)

    def test_init_called_again_is_refused(self):
        own = Own(2)
        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            own.__init__(3)

    def test_another_instance_stays_frozen_inside_init(self):
        finished = Affine(1)

        class Meddles(Module):
            def __init__(self):
                finished.weight = 2

        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            Meddles()

    def test_after_an_error_in_init_the_instance_is_frozen_and_the_next_can_be_built(self):
        kept = []

        class Fails(Module):
            weight: Any

            def __init__(self, fail):
                self.weight = 1
                if fail:
                    kept.append(self)
                    message = "no luck"
                    raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="no luck"):
            Fails(True)
        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            kept[0].weight = 2
        assert Fails(False).weight == 1

    def test_a_copy_made_inside_init_is_frozen(self):
        class Copies(Module):
            weight: Any

            def __init__(self):
                self.weight = 1
                copy.copy(self).weight = 2

        with pytest.raises(FROZEN, match="cannot assign to field 'weight'"):
            Copies()

    def test_threads_build_instances_of_one_class_at_the_same_time(self):
        class Counts(Module):
            value: Any

            def __init__(self, value):
                for i in range(50):
                    self.value = (value, i)

        failures = []

        def build(value):
            for _ in range(100):
                built = Counts(value)
                if built.value != (value, 49):
                    failures.append(built)
                try:
                    built.value = 0
                    failures.append("assigned")
                except FROZEN:
                    pass

        threads = [threading.Thread(target=build, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class TestCopies:
    def test_replace_makes_a_changed_copy(self):
        affine = Affine(1, 2, "n")
        assert dataclasses.replace(affine, weight=3) == Affine(3, 2, "n")
        assert affine.weight == 1

    def test_fields_and_asdict(self):
        assert [spec.name for spec in dataclasses.fields(Affine)] == ["weight", "bias", "name"]
        nested = Affine(Affine(1, 2), 3, "outer")
        assert dataclasses.asdict(nested) == {
            "weight": {"weight": 1, "bias": 2, "name": "affine"},
            "bias": 3,
            "name": "outer",
        }

    def test_copy_shares_and_deepcopy_does_not(self):
        affine = Affine(np.ones(2))
        assert copy.copy(affine).weight is affine.weight
        deep = copy.deepcopy(affine)
        assert deep.weight is not affine.weight
        assert tree_equal(deep, affine)

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.integers() | st.text() | st.none()), st.booleans(), st.text())
    def test_pickle_round_trip(self, weight, bias, name):
        affine = Affine(weight, bias, name)
        for library in (pickle, cloudpickle):
            restored = pickle.loads(library.dumps(affine))
            assert restored == affine
            assert jtu.tree_structure(restored) == jtu.tree_structure(affine)

    def test_pickled_arrays_come_back(self):
        restored = pickle.loads(pickle.dumps(Affine(jnp.arange(3.0), np.arange(2))))
        assert tree_equal(restored, Affine(jnp.arange(3.0), np.arange(2)))

    def test_cloudpickle_takes_the_class_along_to_another_process(self):
        class Local(Module):
            weight: Any
            name: str = field(static=True, default="local")

            def scaled(self, x):
                return self.weight * x

        script = (
            "import pickle, sys, jax; m = pickle.load(sys.stdin.buffer);"
            "print(jax.tree_util.tree_leaves(m), m.scaled(2),"
            "jax.tree_util.tree_map(lambda leaf: leaf + 1, m))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script],
            input=cloudpickle.dumps(Local(3)),
            capture_output=True,
            check=True,
        )
        assert ran.stdout.decode().split(maxsplit=2) == ["[3]", "6", "Local(weight=4)\n"]

    def test_can_be_referred_to_weakly(self):
        affine = Affine(1)
        reference = weakref.ref(affine)
        assert reference() is affine
        del affine
        assert reference() is None


class TestHash:
    def test_comes_from_type_and_leaves(self):
        assert hash(Affine(1, "a")) == hash(Affine(1, "a"))
        assert len({Affine(1), Affine(1), Affine(2)}) == 2

    def test_arrays_have_none(self):
        told = r"unhashable type.*: `Affine\.\w+` has no hash.*`filter_jit\(model\)\(x\)`"
        with pytest.raises(TypeError, match=told):
            hash(Affine(jnp.ones(2)))
        with pytest.raises(TypeError, match=told):
            jax.jit(Affine(jnp.ones(2)))(1)
