"""`announce_transform`."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter.debug import announce_transform

X, V = jnp.array(1.0), jnp.arange(3.0)


def told(run, x, **options):
    texts = []
    jax.block_until_ready(run(lambda x: announce_transform(x, announce=texts.append, **options))(x))
    return texts


@pytest.mark.parametrize(
    ("run", "x", "texts"),
    [
        (lambda f: f, X, ["impl"]),
        (jax.jit, X, ["abstract", "mlir"]),
        (jax.vmap, V, ["vmap:impl"]),
        (lambda f: lambda x: jax.jvp(f, (x,), (x,)), X, ["jvp_p:impl", "jvp_t:impl"]),
        (lambda f: jax.jit(jax.vmap(f)), V, ["vmap:abstract", "vmap:mlir"]),
    ],
    ids=["eager", "jit", "vmap", "jvp", "jit of vmap"],
)
def test_says_what_is_done(run, x, texts):
    assert told(run, x) == texts
    assert told(run, x, name="N") == [f"(N) {text}" for text in texts]


def test_reverse_mode():
    texts = told(jax.grad, X)
    assert texts[0] == "jvp_p:impl"
    assert texts[-1] == "jvp_t:transpose:impl"


def test_intermediates():
    texts = told(lambda f: jax.jit(jax.grad(f)), X, intermediates=True)
    assert {"jvp", "jvp_t:transpose"} <= set(texts)
    assert "jvp" not in told(lambda f: jax.jit(jax.grad(f)), X)
    assert told(jax.vmap, V, intermediates=True) == ["vmap", "vmap:impl"]


def test_the_tree_is_as_it_was(capsys):
    tree = {"a": X, "b": 3, "c": None, "d": "text"}
    assert announce_transform(tree) == tree
    assert capsys.readouterr().out == "impl\n"
    assert jax.grad(lambda x: announce_transform(x) ** 3)(2.0) == 12


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="takes a function as `announce`; 3 cannot be called"):
        announce_transform(X, announce=3)
