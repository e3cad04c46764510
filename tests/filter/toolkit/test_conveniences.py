"""`str2jax` and `GetKey`."""

import copy
import pickle
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import GetKey, str2jax, tree_equal
from eqx_pytree import tree_pformat


@pytest.mark.parametrize("text", ["text", "", "two\nlines", "3"], ids=repr)
def test_the_string_is_told(text):
    assert str(str2jax(text)) == repr(str2jax(text)) == text
    assert tree_pformat((str2jax("one"), 2)) == "(one, 2)"


def test_it_is_a_pytree_without_leaves():
    text = str2jax("text")
    assert jax.tree_util.tree_leaves(text) == []
    assert jax.jit(lambda x: x)(text) == text
    out = jax.lax.cond(True, lambda: str2jax("text"), lambda: str2jax("text"))
    assert str(out) == "text"


def test_equality_is_that_of_the_strings():
    assert str2jax("one") == str2jax("one")
    assert str2jax("one") != str2jax("other")
    assert str2jax("one") != "one"
    assert {str2jax("one"): 1, str2jax("other"): 2}[str2jax("one")] == 1
    assert not tree_equal([str2jax("one")], [str2jax("other")])
    for made in (copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))):
        assert made(str2jax("one")) == str2jax("one")


@pytest.mark.parametrize("value", [3, None, b"text", ["text"], str2jax("text")], ids=type)
def test_only_strings_are_taken(value):
    with pytest.raises(TypeError, match=r"`str2jax` takes a string, not an? `"):
        str2jax(value)


def test_keys_are_folded_in():
    getkey = GetKey(3)
    for n in (1, 2, 3):
        expected = jax.random.fold_in(jax.random.PRNGKey(3), n)
        assert np.array_equal(getkey(), expected)
    assert getkey.call == 3
    assert repr(GetKey(seed=3)) == "GetKey(seed=3, call=0, key=Array([0, 3], dtype=uint32))"


def test_the_environment_gives_a_seed(monkeypatch):
    monkeypatch.setenv("EQX_GETKEY_SEED", "5")
    assert repr(GetKey()) == repr(GetKey(5))
    assert GetKey(2).seed == 2


def test_a_random_seed_is_told(monkeypatch):
    monkeypatch.delenv("EQX_GETKEY_SEED", raising=False)
    getkeys = [GetKey() for _ in range(5)]
    assert len({getkey.seed for getkey in getkeys}) > 1
    assert all(0 <= getkey.seed < 2**31 for getkey in getkeys)
    assert np.array_equal(getkeys[0](), GetKey(getkeys[0].seed)())


@pytest.mark.parametrize("seed", [np.int32(5), jnp.array(5), True, -1, 2**40], ids=repr)
def test_seeds_of_any_integer(seed):
    getkey = GetKey(seed)
    assert getkey.seed is seed
    assert np.array_equal(getkey.key, jax.random.PRNGKey(seed))


@pytest.mark.parametrize("seed", [5.0, "text"], ids=repr)
def test_seeds_must_be_integers(seed):
    with pytest.raises(TypeError):
        GetKey(seed)


def test_under_jit_nothing_leaks():
    getkey = GetKey(3)
    inside = jax.jit(getkey)()
    assert np.array_equal(inside, GetKey(3)())
    assert not np.array_equal(getkey(), inside)


def test_threads_get_different_keys():
    getkey = GetKey(3)
    keys = []
    threads = [
        threading.Thread(
            target=lambda: keys.extend(np.asarray(getkey()).tolist()[0] for _ in range(50))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert getkey.call == len(set(keys)) == 200
