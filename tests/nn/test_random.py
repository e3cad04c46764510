"""A `key` that is no PRNG key is named, by every layer that draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import eqx_nn as nn

KEY = jax.random.key(0)
LINEAR = nn.Linear(2, 3, key=KEY)
TOKENS = jnp.ones((3, 4))

DRAWS = {
    "Linear": lambda key: nn.Linear(2, 3, key=key),
    "Conv2d": lambda key: nn.Conv2d(2, 3, 1, key=key),
    "ConvTranspose1d": lambda key: nn.ConvTranspose1d(2, 3, 1, key=key),
    "Embedding": lambda key: nn.Embedding(2, 3, key=key),
    "GRUCell": lambda key: nn.GRUCell(2, 3, key=key),
    "LSTMCell": lambda key: nn.LSTMCell(2, 3, key=key),
    "MLP": lambda key: nn.MLP(2, 3, 4, 1, key=key),
    "MultiheadAttention": lambda key: nn.MultiheadAttention(2, 4, key=key),
    "SpectralNorm": lambda key: nn.SpectralNorm(LINEAR, "weight", key=key),
    "Dropout": lambda key: nn.Dropout()(jnp.ones(3), key=key),
    "Sequential": lambda key: nn.Sequential([nn.Dropout()])(jnp.ones(3), key=key),
}
KEYS = {
    "number": (0, TypeError, "got 0 of type `int`"),
    "text": ("key", TypeError, "got 'key' of type `str`"),
    "array": (jnp.zeros(3), TypeError, r"got an array of dtype `float32` and shape \(3,\)"),
    "several": (jax.random.split(KEY, 5), ValueError, r"got several, of shape \(5,\).*`jax.vmap`"),
}


@pytest.mark.parametrize("layer", DRAWS)
@pytest.mark.parametrize("given", KEYS)
def test_layer_and_key_are_named(layer, given):
    key, error, told = KEYS[given]
    rule = rf"`{layer}` needs a PRNG key as `key`, such as `jax.random.key\(0\)`; {told}"
    with pytest.raises(error, match=rule):
        DRAWS[layer](key)


def test_dropout_of_attention_names_the_layer():
    layer = nn.MultiheadAttention(2, 4, dropout_p=0.5, key=KEY)
    with pytest.raises(TypeError, match="`MultiheadAttention` needs a PRNG key"):
        layer(TOKENS, TOKENS, TOKENS, key=0)


@pytest.mark.parametrize("layer", DRAWS)
def test_keys_of_every_kind_are_taken(layer):
    for key in (KEY, jax.random.PRNGKey(0), np.zeros(2, np.uint32)):
        DRAWS[layer](key)
    jax.eval_shape(lambda key: (DRAWS[layer](key), 0)[1], KEY)


def test_another_error_is_left_alone():
    with pytest.raises(ValueError, match="uniform distribution"):
        nn.Linear(2, 3, dtype=int, key=KEY)
    with pytest.raises(TypeError, match="`out_features`"):
        nn.Linear(2, None, key=KEY)


class TestKeys:
    """A key for each place, that of its path alone."""

    KEYS = nn.Keys(KEY)

    def test_a_key_is_its_path_folded_in(self):
        keys = self.KEYS
        assert keys() == KEY
        assert keys["a", 3, "b"]() == keys["a"][3]["b"]()
        assert keys[3]() == jax.random.fold_in(KEY, 3)
        assert keys[np.int64(3)]() == keys[jnp.asarray(3)]() == keys[3]()
        places = [keys["a"], keys["b"], keys[0], keys["a", 0], keys[0, "a"], keys["0"]]
        numbers = {tuple(jax.random.key_data(it()).tolist()) for it in places}
        assert len(numbers) == len(places)

    def test_names_are_folded_in_alike_in_every_process(self):
        """As they are folded in today: `zlib.crc32`, with the highest bit set."""
        assert self.KEYS["abc"]() == jax.random.fold_in(KEY, 0x352441C2 | 1 << 31)

    def test_layers_draw_alike_in_a_loop_and_in_a_scan(self):
        def make(key):
            return nn.TransformerBlock(4, 2, dropout_p=0.3, key=key)

        keys, blocks = self.KEYS["blocks"], nn.Stacked(make, 3, key=self.KEYS["first values"])

        @jax.jit
        def both(keys):
            x = TOKENS
            for i, block in enumerate(blocks):
                x = block(x, key=keys[i])
            return x, blocks(TOKENS, key=keys)

        np.testing.assert_allclose(*both(keys), rtol=1e-5, atol=1e-6)
        drawn = make(self.KEYS["first values", 1]).mlp.layers[0].weight
        assert jnp.all(drawn == blocks[1].mlp.layers[0].weight)

    @pytest.mark.parametrize("layer", DRAWS)
    def test_every_layer_takes_them(self, layer):
        one, other = (DRAWS[layer](key) for key in (self.KEYS["x"], self.KEYS["x"]))
        another = DRAWS[layer](self.KEYS["y", 3])
        leaves = [jax.tree.leaves(it) for it in (one, other, another)]
        arrays = [[x for x in its if isinstance(x, jax.Array)] for its in leaves]
        assert all(jnp.all(a == b) for a, b in zip(*arrays[:2], strict=True))
        if layer not in ("Dropout", "Sequential"):
            assert any(jnp.any(a != b) for a, b in zip(arrays[0], arrays[2], strict=True))

    def test_what_is_not_drawn_from_is_not_in_the_program(self):
        layers = [nn.Linear(4, 4, key=self.KEYS[i]) for i in range(9)]
        model = nn.Sequential([*layers, nn.Dropout(), *layers])
        program = str(jax.make_jaxpr(lambda x, keys: model(x, key=keys))(TOKENS[0], self.KEYS))
        assert program.count("random_fold_in") == 1
        assert "random_split" not in program

    def test_are_mapped_over(self):
        keys = jax.vmap(nn.Keys)(jax.random.split(KEY, 3))
        drop = nn.Dropout()
        out = jax.vmap(lambda x, keys: drop(x, key=keys["d"]))(jnp.ones((3, 20)), keys)
        assert jnp.any(out[0] != out[1])

    def test_what_is_no_key_and_no_place_is_told(self):
        with pytest.raises(TypeError, match=r"`Keys` needs a PRNG key.*; got 0 of type `int`"):
            nn.Keys(0)
        with pytest.raises(ValueError, match=r"`Keys` needs a PRNG key.*; got several"):
            nn.Keys(jax.random.split(KEY))
        for part in (1.5, None, jnp.ones(2), jnp.asarray(1.0)):
            with pytest.raises(TypeError, match="A part of the path of `Keys` is a name or an"):
                self.KEYS[part]
        with pytest.raises(ValueError, match="An index in the path of `Keys` is from 0 on"):
            self.KEYS["a", -1]


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_a_place_has_the_same_numbers_on_a_mesh():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("a", "b"))
    layers = nn.Stacked(lambda key: nn.Dropout(0.5), 3, key=jax.random.key(1))

    @jax.jit
    def dropped(x, key):
        return layers(x, key=nn.Keys(key)["layers"])

    x, key = jnp.ones((8, 4)), jax.random.key(2)
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("a", "b")))
    found = dropped(spread, key)
    assert len(found.sharding.device_set) == 4
    np.testing.assert_array_equal(found, dropped(x, key))
    looped = x
    for i in range(3):
        looped = layers[i](looped, key=nn.Keys(key)["layers", i])
    np.testing.assert_array_equal(found, looped)
