"""`Enumeration`."""

import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import Enumeration, EquinoxRuntimeError, filter_jit, filter_vmap
from eqx_pytree import Module, tree_pformat

X = jnp.array(1.0)


class Light(Enumeration):
    red = "Stop."
    green = "Go."


class Signal(Light):
    """What a signal shows."""

    blue = "Repair."


class Sound(Enumeration):
    bell = "Ring."
    green = "Go."


class Both(Light, Sound):
    dark = ""


TRUE = jnp.array(True)
WITHIN = {
    "jit": lambda fun: jax.jit(fun)(TRUE),
    "vmap": lambda fun: jax.vmap(fun)(TRUE[None]),
    "jit vmap": lambda fun: jax.jit(jax.vmap(fun))(TRUE[None]),
    "scan": lambda fun: jax.lax.scan(lambda c, _: (fun(c), None), TRUE, length=2),
    "cond": lambda fun: jax.lax.cond(TRUE, fun, fun, TRUE),
    "grad": lambda fun: jax.jit(jax.grad(lambda x: x * fun(x > 0)))(1.0),
}


class TestItems:
    def test_are_pytrees_with_an_integer_array(self):
        [leaf] = jtu.tree_leaves(Light.green)
        assert (leaf.dtype, leaf.shape, int(leaf)) == (np.int32, (), 1)
        assert Light[jtu.tree_map(lambda x: x, Light.green)] == "Go."

    def test_equality_is_an_array(self):
        assert (Light.red == Light.red).dtype == bool
        assert Light.red == Light.red
        assert Light.red != Light.green

    @pytest.mark.parametrize("within", WITHIN)
    def test_known_items_stay_known_in_a_trace(self, within):
        known = []

        def fun(pred):
            known.append(
                (
                    bool(Light.red == Light.red),
                    bool(Light.red != Light.red),
                    Light[Light.where(True, Light.green, Light.red)],
                    Light[Light.where(np.bool_(False), Light.green, Light.red)],
                    Light[Light.where(pred, Light.green, Light.green)],
                    Light.where(pred, Light.green, Light.red).is_traced(),
                    Light.where(False, Light.where(pred, *Light), Light.red).is_traced(),
                    Signal.promote(Light.green).is_traced(),
                )
            )
            return pred

        WITHIN[within](fun)
        assert set(known) == {(True, False, "Go.", "Stop.", "Go.", True, False, False)}

    @pytest.mark.parametrize("other", [0, "red", None, Sound.bell, Signal.red])
    def test_equality_with_anything_else_is_refused(self, other):
        with pytest.raises(ValueError, match=r"between enumerations of the same type: .*`promote`"):
            _ = Light.red == other
        with pytest.raises(ValueError, match=r"between enumerations of the same type"):
            _ = Light.red != other

    def test_have_no_hash(self):
        with pytest.raises(TypeError, match=r"unhashable"):
            hash(Light.red)

    def test_text(self):
        name = f"{__name__}.Light"
        assert repr(Light.red) == str(Light.red) == f"{name}<Stop.>"
        assert tree_pformat({"a": Light.green}) == f"{{'a': {name}<Go.>}}"
        assert filter_jit(repr)(Light.red) == f"{name}<traced>"

        class Holder(Module):
            light: Any

        assert f"light={name}<Stop.>" in repr(Holder(Light.red))

    def test_copies(self):
        for copied in (copy.deepcopy(Light.green), pickle.loads(pickle.dumps(Light.green))):
            assert copied == Light.green
            assert copied in Light

    def test_cannot_be_changed(self):
        with pytest.raises(AttributeError, match=r"cannot assign"):
            Light.red.colour = 3


class TestClass:
    def test_messages(self):
        assert (Light[Light.red], Light[Light.green]) == ("Stop.", "Go.")
        with pytest.raises(ValueError, match=r"Index must be an enumeration item such as .* 'red'"):
            Light["red"]
        with pytest.raises(ValueError, match=r"from this enumeration. It is of `Sound`, not"):
            Light[Sound.bell]

    def test_is_a_collection_of_items(self):
        assert len(Light) == 2
        assert [Light[item] for item in Light] == ["Stop.", "Go."]
        assert Light.red in Light
        assert isinstance(Light.red, Light)
        assert Signal.red not in Light
        assert "red" not in Light

    def test_inherits_items(self):
        assert [Signal[item] for item in Signal] == ["Stop.", "Go.", "Repair."]
        assert [Both[item] for item in Both] == ["Stop.", "Go.", "Ring.", ""]

    def test_documentation(self):
        assert Signal.__doc__ == "What a signal shows."
        assert Light.__doc__ == "An enumeration of:\n\n- `red`: Stop.\n- `green`: Go."

    def test_two_messages_of_one_name_warn(self):
        with pytest.warns(UserWarning, match=r"duplicate incompatible values for red. .* 'Halt.'"):

            class Other(Light):
                red = "Halt."

        assert Other[Other.red] == "Halt."
        assert len(Other) == 2

    def test_what_is_no_text_is_refused(self):
        with pytest.raises(TypeError, match=r"`Bad.red` must be a text, .* it is an `int`"):
            type(Enumeration)("Bad", (Enumeration,), {"red": 3})

    @pytest.mark.parametrize("name", ["where", "promote"])
    def test_names_of_methods_are_refused(self, name):
        with pytest.raises(ValueError, match=f"item with name `{name}`, as this conflicts"):
            type(Enumeration)("Bad", (Enumeration,), {name: "text"})

    def test_an_empty_one(self):
        class Empty(Enumeration):
            pass

        assert len(Empty) == 0


class TestWhere:
    @pytest.mark.parametrize("pred", [True, np.True_, jnp.array(True), np.array(True)])
    def test_chooses(self, pred):
        assert Light.where(pred, Light.red, Light.green) == Light.red
        assert Light.where(pred == False, Light.red, Light.green) == Light.green  # noqa: E712

    def test_while_a_program_runs(self):
        choose = filter_jit(lambda x: Light.where(x > 0, Light.red, Light.green))
        assert choose(X) == Light.red
        assert choose(-X) == Light.green

    def test_in_a_batch(self):
        flags = jnp.array([True, False])
        items = filter_vmap(lambda flag: Light.where(flag, Light.red, Light.green))(flags)
        assert (items == Light.red).tolist() == [True, False]
        assert Light[items] == "['Stop.' 'Go.']"

    def test_in_loops_and_branches(self):
        assert jax.lax.cond(True, lambda: Light.red, lambda: Light.green) == Light.red

        def step(item, x):
            return Light.where(x > 1, Light.green, item), None

        assert jax.lax.scan(step, Light.red, jnp.arange(3))[0] == Light.green

    @pytest.mark.parametrize("items", [(Light.red, Sound.bell), (Signal.red, Light.red), (1, 2)])
    def test_items_of_others_are_refused(self, items):
        with pytest.raises(ValueError, match=r"Light.where\(...\) must be members of"):
            Light.where(True, *items)

    @pytest.mark.parametrize("pred", [1, 1.0, "a", jnp.array([True]), jnp.array(1)])
    def test_another_condition_is_refused(self, pred):
        with pytest.raises(ValueError, match=r"requires a scalar boolean predicate, not an? "):
            Light.where(pred, Light.red, Light.green)


class TestPromote:
    def test_keeps_the_name(self):
        assert Signal.promote(Light.green) == Signal.green
        assert Both.promote(Sound.green) == Both.green
        assert Both.promote(Sound.bell) == Both.bell

    def test_over_several_generations(self):
        class Last(Both, Signal):
            pass

        for item in (Light.green, Sound.green, Both.green, Signal.green):
            assert Last.promote(item) == Last.green

    def test_while_a_program_runs(self):
        promote = filter_jit(lambda x: Both.promote(Sound.where(x > 0, Sound.bell, Sound.green)))
        assert promote(X) == Both.bell
        assert promote(-X) == Both.green

    @pytest.mark.parametrize(
        ("item", "text"),
        [
            (Signal.red, "only promote from inherited enumerations. `Light` does not inherit from"),
            (Light.red, "only promote from inherited enumerations"),
            (0, "only promote enumerations; 0 is no item of one"),
        ],
        ids=["derived", "own", "number"],
    )
    def test_others_are_refused(self, item, text):
        with pytest.raises(ValueError, match=text):
            Light.promote(item)


class TestErrorIf:
    @pytest.mark.parametrize("jit", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
    def test_raises_the_message_of_the_item(self, jit):
        run = jit(lambda x, item: item.error_if(x, x > 0))
        assert run(-X, Light.red) == -1
        for item in Signal:
            with pytest.raises(EquinoxRuntimeError, match=f"^{Signal[item]}\n"):
                run(X, item)

    def test_of_an_item_that_is_chosen(self):
        run = filter_jit(lambda x: Light.where(x > 1, Light.red, Light.green).error_if(x, x > 0))
        with pytest.raises(EquinoxRuntimeError, match=r"^Go"):
            run(X)
        with pytest.raises(EquinoxRuntimeError, match=r"^Stop"):
            run(2 * X)

    def test_is_traced(self):
        assert not Light.red.is_traced()
        assert filter_jit(lambda item: item.is_traced())(Light.red)
