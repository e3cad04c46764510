"""Our layers beside PyTorch itself, in float64, and PyTorch reading what `to_torch` gives.

Run by `nox -s parity`; skipped where PyTorch is not installed.
"""

import json

import jax
import numpy as np
import pytest

import eqx_nn

from .cases import CASES, entry, inputs
from .record import GOLDEN, ours, sketched, theirs

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def test_the_golden_numbers_are_those_of_pytorch():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, case in CASES.items():
        now = jax.tree.leaves(sketched(theirs(case)))
        assert jax.tree.leaves(golden[name]) == pytest.approx(now, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_in_float64(name):
    expected = theirs(CASES[name])
    found = ours(CASES[name], expected["entries"])
    for kind in ("outputs", "input gradients"):
        for mine, other in zip(found[kind], expected[kind], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-10)
    for key, other in expected["gradients"].items():
        if "bias_hh" not in key:
            mine = found["gradients"].get(key, found["gradients"].get(key.removesuffix("_l0")))
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("GRU", "LSTM")])
def test_pytorch_reads_what_we_write(name):
    """Its module, with the entries of ours, gives what it gave with its own."""
    case = CASES[name]
    module = case.theirs(torch.nn)
    state = {k: torch.tensor(entry(k, tuple(v.shape))) for k, v in module.state_dict().items()}
    module.load_state_dict(state)
    xs = [torch.tensor(x) for x in inputs(case)]
    expected = case.call_theirs(module, *xs)
    model, report = eqx_nn.from_torch(case.ours(eqx_nn), state)
    assert report == ((), (), ())
    module = case.theirs(torch.nn)
    written = {name: torch.tensor(x) for name, x in eqx_nn.to_torch(model).items()}
    if "GRU without" in name or "LSTM without" in name:
        written = {f"{key}_l0": x for key, x in written.items()}
    module.load_state_dict(written)
    found = case.call_theirs(module, *xs)
    for mine, other in zip(
        jax.tree.leaves(found, is_leaf=torch.is_tensor),
        jax.tree.leaves(expected, is_leaf=torch.is_tensor),
        strict=True,
    ):
        assert torch.allclose(mine, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dtypes_that_numpy_lacks(dtype):
    weight = torch.tensor([[0.5, 2.0], [-1.0, 0.25]])  # exact in all of them
    model = eqx_nn.Linear(2, 2, bias=False, key=jax.random.key(0))
    model, _ = eqx_nn.from_torch(model, {"weight": weight.to(getattr(torch, dtype))})
    np.testing.assert_array_equal(model.weight, weight)


@pytest.mark.parametrize(
    ("weight", "told"),
    [(torch.eye(2).to_sparse(), "Sparse"), (torch.eye(2, device="meta"), "no data")],
)
def test_tensors_of_which_no_array_can_be_made(weight, told):
    model = eqx_nn.Linear(2, 2, bias=False, key=jax.random.key(0))
    with pytest.raises(ValueError, match=f"of the tensor `weight`: .*{told}"):
        eqx_nn.from_torch(model, {"weight": weight})
