"""`Precision`: what is cast, what is kept, and what gradients come back as."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import Precision, filter_grad, filter_jit
from eqx_pytree import Module

HALF = jnp.bfloat16


class Linear(Module):
    weight: jax.Array


class Norm(Module):
    __full_precision__ = True
    scale: jax.Array


class Model(Module):
    one: Linear
    norm: Norm
    steps: int = 3


MODEL = Model(Linear(jnp.ones((2, 2))), Norm(jnp.ones(2)))


def dtypes(*args, **kwargs):
    leaves = jax.tree.leaves((args, kwargs))
    return [leaf.dtype if hasattr(leaf, "dtype") else leaf for leaf in leaves]


def seen(policy, *args, **kwargs):
    told = []
    policy(lambda *args, **kwargs: told.extend(dtypes(*args, **kwargs)))(*args, **kwargs)
    return told


def test_floating_arrays_are_computed_in_it():
    args = {"f": jnp.ones(2), "n": jnp.arange(2), "c": jnp.ones(2, complex), "s": 1.5}, np.ones(2)
    policy = Precision(compute=HALF)
    assert seen(policy, *args, k=jnp.ones(2)) == [jnp.complex64, HALF, jnp.int32, 1.5, HALF, HALF]


def test_what_has_a_precision_of_its_own_keeps_it():
    assert seen(Precision(compute=HALF), MODEL) == [HALF, jnp.float32, 3]


def test_rules_decide_by_path():
    policy = Precision(compute=HALF, rules={"norm": jnp.float16, "**": jnp.float32})
    assert seen(policy, MODEL, MODEL) == [jnp.float32, jnp.float16, 3, HALF, jnp.float32, 3]
    policy = Precision(rules=[(Linear, HALF)])
    assert seen(policy, MODEL) == [HALF, jnp.float32, 3]


def test_outputs_and_kept_parameters():
    policy = Precision(params=HALF, compute=jnp.float16, outputs=jnp.float32)
    assert dtypes(policy.cast(MODEL)) == [HALF, jnp.float32, 3]
    out = policy(lambda model: (model.one.weight, model.steps, jnp.arange(2)))(MODEL)
    assert dtypes(out) == [jnp.float32, 3, jnp.int32]
    assert Precision()(lambda x: x)(MODEL.norm.scale) is MODEL.norm.scale


@pytest.mark.parametrize("promotion", ["standard", "strict"])
def test_gradients_have_the_dtypes_of_the_parameters(promotion):
    def loss(model, x):
        y = model.one.weight @ x
        assert y.dtype == HALF
        return jnp.sum(y.astype(jnp.float32) * model.norm.scale)

    policy = Precision(compute=HALF, outputs=jnp.float32)
    with jax.numpy_dtype_promotion(promotion):
        grads = filter_jit(filter_grad(policy(loss)))(MODEL, jnp.ones(2))
    assert dtypes(grads) == [jnp.float32, jnp.float32]


class Callable(Module):
    one: Linear
    norm: Norm

    def __call__(self, x):
        return self.one.weight.dtype, self.norm.scale.dtype, x.dtype

    def other(self, x):
        return self(x)


def test_a_model_itself():
    model, x = Callable(MODEL.one, MODEL.norm), jnp.ones(2)
    policy = Precision(compute=HALF)
    for fun in (model, model.__call__, model.other, filter_jit(model)):
        assert policy(fun)(x) == (HALF, jnp.float32, HALF)
    ruled = Precision(compute=HALF, rules={"one": jnp.float16})
    assert ruled(model)(x) == (jnp.float16, jnp.float32, HALF)


def test_is_named_as_the_function():
    def loss(model, x):
        """Say what it is."""

    assert Precision(compute=HALF)(loss).__doc__ == "Say what it is."


class TestRefusals:
    @pytest.mark.parametrize("name", ["params", "compute", "outputs"])
    def test_a_dtype_that_is_not_floating(self, name):
        with pytest.raises(TypeError, match=f"`{name}` of `Precision` must be a floating dtype"):
            Precision(**{name: jnp.int32})
        with pytest.raises(TypeError, match="`rules` of `Precision` must be a floating dtype"):
            Precision(rules={"a": complex})

    def test_a_rule_that_selects_nothing(self):
        with pytest.raises(ValueError, match="`'nrom'` selects nothing in the `Model`"):
            Precision(rules={"nrom": HALF})(lambda model: None)(MODEL)

    def test_rules_for_what_is_passed_by_name(self):
        with pytest.raises(TypeError, match=r"in the first argument of .*: pass it by position"):
            Precision(rules={"one": HALF})(lambda *, model: None)(model=MODEL)
        with pytest.raises(TypeError, match="`rules` of `Precision` is a dict from selectors"):
            Precision(rules=["one"])

    def test_no_function(self):
        with pytest.raises(TypeError, match="`Precision` wraps a function"):
            Precision()(3)
