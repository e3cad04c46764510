"""The shapes in the annotations hold: every layer runs with jaxtyping and beartype checking it.

In a process of its own, since the checks are put in when the package is imported.
"""

import subprocess
import sys

import pytest

PREPARE = """
from jaxtyping import install_import_hook
with install_import_hook("eqx_nn", "beartype.beartype"):
    import eqx_nn as nn
import jax, jax.numpy as jnp, numpy as np, eqx_filter as ef
key, x, h = jax.random.key(0), jnp.ones(3), jnp.ones(4)
"""

RIGHT = """
assert nn.Linear(3, 4, key=key)(x).shape == (4,)
assert nn.Linear(3, 4, bias=False, dtype="complex64", key=jax.random.PRNGKey(0))(np.ones(3)).size
assert nn.Linear("scalar", "scalar", key=key)(1.0).shape == ()
assert nn.GRUCell(3, 4, key=key)(x, h).shape == (4,)
assert nn.LSTMCell(3, 4, dtype=jnp.float16, key=key)(x, (h, h))[1].shape == (4,)
assert nn.MLP(3, 2, 4, 3, key=key)(x).shape == (2,)
assert nn.MLP(3, 2, 4, 3, nn.Linear("scalar", "scalar", key=key), scan=True, key=key)(x).shape
assert nn.MLP("scalar", "scalar", 4, 1, key=jax.random.PRNGKey(0), scan=True)(2).shape == ()
for p in (0.5, 0, jnp.array(0.5)):
    assert nn.Dropout(p)(x, key=key).shape == (3,)
assert nn.Dropout(deterministic=True)(np.arange(3)).shape == (3,)
assert nn.Dropout()(2.0, inference=jnp.array(True)) == 2
model = nn.Sequential([nn.Linear(3, 3, key=key), nn.Lambda(jnp.tanh), nn.Identity(1)])
assert nn.inference_mode(model)(x, key=key).shape == (3,)
assert jax.vmap(nn.Linear(3, 4, key=key))(jnp.ones((5, 3))).shape == (5, 4)
assert jax.vmap(lambda k: nn.GRUCell(3, 4, key=k))(jax.random.split(key)).bias.shape == (2, 12)
assert ef.filter_grad(lambda m: m(x).sum())(nn.MLP(3, 2, 4, 1, key=key)).activation is None
image = jnp.ones((2, 6, 5))
assert nn.Conv2d(2, 4, 3, groups=2, key=key)(image).shape == (4, 4, 3)
assert nn.ConvTranspose2d(2, 3, 3, 2, key=key)(image).shape == (3, 13, 11)
assert nn.MaxPool2d(2)(image).shape == (2, 5, 4)
assert nn.AvgPool2d(2, use_ceil=True)(image).shape == (2, 5, 4)
assert nn.AdaptiveAvgPool2d(2)(image).shape == (2, 2, 2)
assert nn.LayerNorm((2, 6, 5))(image).shape == nn.RMSNorm((2, 6, 5))(image).shape == (2, 6, 5)
assert nn.GroupNorm(1, 2)(image, "state")[1] == "state"
norm, state = nn.make_with_state(nn.BatchNorm)(2, "batch", mode="ema")
mapped = jax.vmap(norm, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
assert mapped(image[None], state)[0].shape == (1, 2, 6, 5)
norm, state = nn.make_with_state(nn.SpectralNorm)(nn.Linear(3, 4, key=key), "weight", key=key)
assert norm(x, state)[0].shape == nn.WeightNorm(nn.Linear(3, 4, key=key))(x).shape == (4,)
tokens = jnp.ones((5, 4))
attention = nn.MultiheadAttention(2, 4, dropout_p=0.5, key=key)
assert attention(tokens, tokens, tokens, np.ones((5, 5), bool), key=key).shape == (5, 4)
assert nn.RotaryPositionalEmbedding(4)(tokens).shape == (5, 4)
assert nn.Embedding(3, 4, key=key)(2).shape == nn.Embedding(3, 4, key=key)(np.int64(2)).shape
assert nn.PReLU()(x).shape == (3,)
tied = nn.Shared((nn.Linear(3, 4, key=key), jnp.ones(())), lambda p: p[1], lambda p: p[0].bias[0])
assert nn.from_torch(tied, nn.to_torch(tied))[1].missing == ()
assert jax.eval_shape(lambda k: nn.LSTMCell(3, 4, key=k), key).bias.shape == (16,)
"""

WRONG = {
    "batch": "nn.Linear(3, 4, key=key)(jnp.ones((5, 3)))",
    # both states: of a sequence, beartype looks at one element that it draws
    "states that are no vectors": "nn.LSTMCell(3, 4, key=key)(x, (h[None], h[None]))",
    "no key": "nn.GRUCell(3, 4, key=3)",
    "no number": "nn.Dropout('a')",
}


@pytest.fixture(scope="module")
def result():
    """Of a process that makes the wrong calls, then the right ones."""
    caught = "".join(
        f"try:\n    {call}\nexcept Exception as error:\n    print(type(error).__name__)\n"
        f"else:\n    print({name!r})\n"
        for name, call in WRONG.items()
    )
    line = [sys.executable, "-W", "error", "-c", PREPARE + caught + RIGHT]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_right_calls_pass(result):
    assert result.returncode == 0, result.stderr


def test_wrong_calls_are_caught(result):
    assert result.stdout.split("\n")[:-1] == ["TypeCheckError"] * len(WRONG), result.stderr
