"""GPT-2 by its names: beside a forward pass in NumPy, in float64, and its file beside its bytes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equinox as eqx

VOCABULARY, LENGTH, SIZE, DEPTH, HEADS = 11, 9, 12, 2, 3
TOKENS = np.array([3, 1, 4, 1, 5, 9])
EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def example(load):
    return load("import_gpt")


@pytest.fixture(scope="module")
def weights(example):
    return example.random_weights(0, VOCABULARY, LENGTH, SIZE, DEPTH)


@pytest.fixture(scope="module")
def model(example, weights):
    return example.import_gpt(weights, HEADS)


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def norm(x, of):
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / deviation * of("weight") + of("bias")


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def attention(x, of):
    q, k, v = np.split(x @ of("c_attn.weight") + of("c_attn.bias"), 3, axis=-1)
    heads, size = [], x.shape[1] // HEADS
    for i in range(HEADS):
        mine = np.s_[:, i * size : (i + 1) * size]
        scores = q[mine] @ k[mine].T / np.sqrt(size)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        heads.append(softmax(scores) @ v[mine])
    return np.concatenate(heads, axis=-1) @ of("c_proj.weight") + of("c_proj.bias")


def mlp(x, of):
    hidden = gelu(x @ of("c_fc.weight") + of("c_fc.bias"))
    return hidden @ of("c_proj.weight") + of("c_proj.bias")


def forward(weights, tokens):
    """The logits of GPT-2, float64 of shape (n, vocabulary)."""
    wide = {name: array.astype(np.float64) for name, array in weights.items()}

    def under(start):
        return lambda name: wide[f"transformer.{start}.{name}"]

    x = under("wte")("weight")[tokens] + under("wpe")("weight")[: len(tokens)]
    for i in range(DEPTH):
        x = x + attention(norm(x, under(f"h.{i}.ln_1")), under(f"h.{i}.attn"))
        x = x + mlp(norm(x, under(f"h.{i}.ln_2")), under(f"h.{i}.mlp"))
    return norm(x, under("ln_f")) @ under("wte")("weight").T


def assert_near(found, expected):
    """Hold float32 to a bound by the longest sum, for each of the matrices in turn."""
    matrices = 1 + 6 * DEPTH
    tolerance = EPS * 4 * SIZE * matrices * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [1, 1e-3])  # with the second, variances are below `eps`
def test_logits_are_those_of_numpy(example, weights, scale):
    what_is_added = ("wte.weight", "wpe.weight", "c_proj.weight", "c_proj.bias")
    given = {
        name: (scale * array).astype(np.float32) if name.endswith(what_is_added) else array
        for name, array in weights.items()
    }
    model = example.import_gpt(given, HEADS)
    assert_near(eqx.filter_jit(model)(jnp.asarray(TOKENS)), forward(given, TOKENS))


def test_logits_with_a_cache_are_those_of_numpy(model, weights):
    step = eqx.filter_jit(model.step)
    first, caches = step(model.init_cache(LENGTH), jnp.asarray(TOKENS[:4]))
    second, caches = step(caches, jnp.asarray(TOKENS[4:5]))
    third, _ = step(caches, jnp.asarray(TOKENS[5:]))
    assert_near(np.stack([first, second, third]), forward(weights, TOKENS)[3:])


def test_embedding_and_head_are_one_weight(model, weights):
    count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    assert count == sum(array.size for array in weights.values())


def test_rules_lead_back_to_the_names_of_the_file(example, model, weights):
    back = eqx.nn.to_torch(model, rules=example.RULES)
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_names_of_other_files_are_known(example, model, weights):
    others = {name.removeprefix("transformer."): array for name, array in weights.items()}
    for i in range(DEPTH):
        others[f"h.{i}.attn.bias"] = np.tril(np.ones((1, 1, LENGTH, LENGTH), np.float32))
        others[f"h.{i}.attn.masked_bias"] = np.float32(-1e4)
    others["lm_head.weight"] = others["wte.weight"]
    assert eqx.tree_equal(example.import_gpt(others, HEADS), model)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"transformer.wpe.weight": None},
            r"`rename\('wpe', 'positions'\)` finds no name in the arrays",
        ),
        ({"transformer.h.1.ln_2.bias": None}, "`blocks.1.norm2.bias` is missing"),
        ({"transformer.h.0.turn.q": np.ones(2)}, "`h.0.turn.q` is unexpected"),
        (
            {"transformer.h.0.mlp.c_fc.bias": np.ones(5)},
            r"`blocks.0.linear1.bias` has shape \(5,\)",
        ),
        ({"lm_head.weight": np.ones((11, 12))}, "different values for what a `Shared` keeps once"),
    ],
)
def test_weights_that_do_not_fit_are_named(example, weights, changed, told):
    given = {name: array for name, array in (weights | changed).items() if array is not None}
    with pytest.raises(ValueError, match=told):
        example.import_gpt(given, HEADS)


def test_number_of_heads_is_told_by_64_alone(example, weights):
    with pytest.raises(ValueError, match=r"not of size 64 in a model of size 12. Pass `num_heads`"):
        example.import_gpt(weights)


class TestFile:
    def test_comes_back(self, example, tmp_path):
        path = tmp_path / "some.safetensors"
        tensors = {
            "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
            "none": np.ones((0, 3), np.float16),
            "half": np.asarray(jnp.array([1.5, -2.0], jnp.bfloat16)),
            "scalar": np.float64(7),
        }
        example.write_tensors(path, tensors)
        back = example.read_tensors(path)
        assert list(back) == list(tensors)
        for name, array in tensors.items():
            assert back[name].dtype == array.dtype
            np.testing.assert_array_equal(back[name], array, strict=True)

    def test_is_laid_out_as_safetensors(self, example, tmp_path):
        path = tmp_path / "some.safetensors"
        example.write_tensors(path, {"a": np.array([[1.0], [2.0]], np.float32), "b": np.ones(1)})
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        assert size % 8 == 0
        assert json.loads(data[8 : 8 + size]) == {
            "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
            "b": {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]},
        }
        assert (
            data[8 + size :] == np.array([1, 2], "<f4").tobytes() + np.array([1], "<f8").tobytes()
        )

    def test_metadata_are_left_out(self, example, tmp_path):
        path = tmp_path / "some.safetensors"
        header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        assert example.read_tensors(path) == {}

    @pytest.mark.parametrize("kept", [0, 4, 8, 30, -1])
    def test_part_of_a_file_is_refused(self, example, tmp_path, kept):
        path = tmp_path / "some.safetensors"
        example.write_tensors(path, {"a": np.ones(3, np.float32)})
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"some.safetensors` is no safetensors file, or on"):
            example.read_tensors(path)

    def test_other_dtypes_are_named(self, example, tmp_path):
        path = tmp_path / "some.safetensors"
        header = {"steps": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ValueError, match=r"`steps` of .* is of dtype I64; what is read is F64"):
            example.read_tensors(path)


def test_script_writes_with_what_it_reads(example, tmp_path, capsys):
    assert example.main(size=64, depth=1, length=5, output=tmp_path / "new")
    told = capsys.readouterr().out
    count = (256 + 64) * 64 + 12 * 64**2 + 13 * 64 + 2 * 64
    assert f"{tmp_path / 'new' / 'gpt.safetensors'}: 16 arrays, {count:,} weights" in told
    assert "without a cache, of all tokens at once: the same" in told
    assert example.problem(True) is None
    assert "not the most likely" in example.problem(False)
