"""Loops of a kind that is not differentiated so: a note says which kind is."""

import jax.numpy as jnp
import pytest

from eqx_filter import (
    filter_grad,
    filter_hessian,
    filter_jacfwd,
    filter_jacrev,
    filter_jit,
    filter_jvp,
    filter_value_and_grad,
    filter_while_loop,
    gradf,
    is_inexact_array,
)

TWO = jnp.array(2.0)


def loop(kind):
    options = {"checkpoints": 2} if kind == "checkpointed" else {}

    def cubed(x):
        start = jnp.array(0), x
        return filter_while_loop(
            lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] * x), start, kind=kind, **options
        )[1]

    return cubed


@pytest.mark.parametrize(
    "differentiate",
    [
        lambda f: filter_grad(f)(TWO),
        lambda f: filter_jit(filter_value_and_grad(f))(TWO),
        lambda f: gradf(f, filter_fn=is_inexact_array)(TWO),
        lambda f: filter_jacrev(f)(TWO),
        lambda f: filter_hessian(f)(TWO),
    ],
    ids=["grad", "value_and_grad", "gradf", "jacrev", "hessian"],
)
def test_backwards_through_lax(differentiate):
    told = "(?s)Reverse-mode differentiation does not work.*pass kind='checkpointed' with"
    with pytest.raises(ValueError, match=told) as caught:
        differentiate(loop("lax"))
    assert sum("kind=" in note for note in caught.value.__notes__) == 1


@pytest.mark.parametrize(
    "differentiate",
    [lambda f: filter_jvp(f, (TWO,), (TWO,)), lambda f: filter_jacfwd(f)(TWO)],
    ids=["jvp", "jacfwd"],
)
def test_forwards_through_checkpointed(differentiate):
    told = r"(?s)can't apply forward-mode autodiff.*Pass kind='bounded'"
    with pytest.raises(TypeError, match=told):
        differentiate(loop("checkpointed"))


def test_backwards_twice_through_checkpointed():
    with pytest.raises(ValueError, match=r"(?s)Reverse-mode .* backwards alone, and once"):
        filter_grad(filter_grad(loop("checkpointed")))(TWO)


def test_another_error_is_left_as_it_is():
    def fails(x):
        message = "of another kind"
        raise ValueError(message)

    with pytest.raises(ValueError, match="of another kind") as caught:
        filter_grad(fails)(TWO)
    assert not any("kind=" in note for note in getattr(caught.value, "__notes__", ()))
