"""`Embedding`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit
from eqx_nn import Embedding
from eqx_pytree import tree_equal

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def embedding():
    return Embedding(weight=jnp.asarray(TABLE))


class TestLookup:
    @pytest.mark.parametrize(
        "x",
        [2, np.int64(2), np.uint8(2), np.array(2), jnp.array(2), jnp.array(2, "uint8"), -2],
        ids=["int", "np.int64", "np.uint8", "NumPy", "JAX", "uint8", "negative"],
    )
    def test_gives_a_row(self, embedding, x):
        np.testing.assert_array_equal(embedding(x), TABLE[2])
        np.testing.assert_array_equal(filter_jit(embedding)(x), TABLE[2])

    @pytest.mark.parametrize(("x", "row"), [(4, 3), (100, 3), (-4, 0), (-5, 0), (-100, 0)])
    def test_beyond_the_ends_gives_the_nearest_row(self, embedding, x, row):
        np.testing.assert_array_equal(embedding(x), TABLE[row])
        np.testing.assert_array_equal(embedding(jnp.array(x)), TABLE[row])
        np.testing.assert_array_equal(jax.vmap(embedding)(jnp.array([x]))[0], TABLE[row])

    def test_narrow_integers_index_long_tables(self):
        embedding = Embedding(weight=jnp.arange(300.0)[:, None])
        for x in (np.int8(-1), jnp.array(-1, "int8"), jnp.array(-1, "int16")):
            assert embedding(x) == 299
        assert jax.vmap(embedding)(jnp.array([-128], "int8"))[0] == 172
        assert embedding(np.uint8(255)) == 255

    def test_under_vmap_and_jit(self, embedding):
        rows = jnp.array([0, 3, -1, 3])
        for mapped in (jax.vmap(embedding), jax.jit(jax.vmap(embedding))):
            np.testing.assert_array_equal(mapped(rows), TABLE[np.asarray(rows)])

    def test_gradient_counts_the_rows(self, embedding):
        grads = filter_grad(lambda e: jax.vmap(e)(jnp.array([1, 1, -1])).sum())(embedding)
        np.testing.assert_array_equal(grads.weight, np.repeat([[0.0], [2], [0], [1]], 3, axis=1))

    def test_numpy_table_is_indexed_by_numpy(self):
        embedding = Embedding(weight=TABLE)
        assert isinstance(embedding(1), np.ndarray)
        np.testing.assert_array_equal(embedding(1), TABLE[1])
        np.testing.assert_array_equal(jax.vmap(embedding)(jnp.array([1, 2])), TABLE[1:3])
        with pytest.raises(IndexError, match="out of bounds"):
            embedding(4)

    def test_bool_is_a_mask(self, embedding):
        np.testing.assert_array_equal(embedding(True), TABLE[None])

    def test_key_is_ignored_and_operations_are_named(self, embedding, key, program_text):
        assert tree_equal(embedding(1, key=key), embedding(1))
        assert "eqx.nn.Embedding" in program_text(embedding, jnp.array(1))

    def test_strict_promotion(self, embedding):
        with jax.numpy_dtype_promotion("strict"):
            np.testing.assert_array_equal(embedding(jnp.array(1, "int8")), TABLE[1])

    @pytest.mark.parametrize(
        ("x", "error", "match"),
        [
            (1.0, TypeError, "an integer `x`, got one of dtype `float32`"),
            (jnp.array(1.0), TypeError, "an integer `x`"),
            (jnp.array([1, 2]), ValueError, r"got shape \(2,\).*use `jax.vmap\(layer\)\(x\)`"),
            ([1, 2], ValueError, "got a `list`"),
            (None, ValueError, "got a `NoneType`"),
        ],
        ids=["float", "JAX float", "vector", "list", "None"],
    )
    def test_mistakes(self, embedding, x, error, match):
        with pytest.raises(error, match=match):
            embedding(x)

    def test_of_an_empty_table(self, key):
        with pytest.raises(IndexError, match="of no rows has no row 0"):
            Embedding(0, 3, key=key)(0)
        assert Embedding(3, 0, key=key)(1).shape == (0,)


class TestConstruction:
    @pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float32", "complex64"])
    def test_table_is_drawn_from_the_normal_distribution(self, key, dtype):
        embedding = Embedding(400, 30, dtype=dtype, key=key)
        assert embedding.weight.dtype == (dtype or "float32")
        expected = jax.random.normal(key, (400, 30), embedding.weight.dtype)
        assert tree_equal(embedding.weight, expected)
        weight = np.asarray(embedding.weight, "complex64")
        assert abs(weight.mean()) < 0.05
        assert abs((abs(weight) ** 2).mean() - 1) < 0.05

    @pytest.mark.usefixtures("x64")
    def test_64_bit_mode(self):
        assert Embedding(2, 3, key=jax.random.key(0)).weight.dtype == "float64"

    def test_traced_key_and_numpy_sizes(self, key):
        made = filter_jit(lambda k: Embedding(np.int64(2), np.int32(3), key=k))(key)
        assert type(made.num_embeddings) is type(made.embedding_size) is int
        assert tree_equal(made.weight, Embedding(2, 3, key=key).weight)

    def test_weight_is_taken_as_it_is(self, key):
        for weight in (TABLE, jnp.asarray(TABLE), jnp.ones((4, 3), int)):
            for sizes in ((), (4,), (4, 3)):
                embedding = Embedding(*sizes, weight=weight, dtype="float16", key=key)
                assert embedding.weight is weight
                assert (embedding.num_embeddings, embedding.embedding_size) == (4, 3)

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"key": None}, ValueError, "and no `key`"),
            ({"embedding_size": None}, ValueError, "`embedding_size=None` and a `key`"),
            ({"num_embeddings": None}, ValueError, "`num_embeddings=None`"),
            ({"num_embeddings": -1}, ValueError, "as `num_embeddings`, got -1"),
            ({"embedding_size": 2.5}, TypeError, "as `embedding_size`, got 2.5"),
            ({"dtype": int}, ValueError, "drawn from a normal distribution"),
            ({"weight": jnp.ones((2, 4))}, ValueError, r"= \(2, 3\), got shape \(2, 4\)"),
            ({"weight": jnp.ones(3)}, ValueError, r"got shape \(3,\)"),
            ({"weight": [[1.0]]}, AttributeError, "array `weight`; a `list`"),
        ],
        ids=["key", "columns", "rows", "negative", "float", "dtype", "weight", "vector", "list"],
    )
    def test_mistakes(self, key, arguments, error, match):
        with pytest.raises(error, match=match):
            Embedding(**{"num_embeddings": 2, "embedding_size": 3, "key": key, **arguments})
