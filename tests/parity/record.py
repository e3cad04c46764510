"""What a layer makes of its waves: outputs, and gradients of inputs and parameters.

`python -m tests.parity.record`, with PyTorch beside our packages, writes golden.json.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import eqx_nn
from eqx_filter import filter_grad, filter_jit

from .cases import CASES, Case, entry, inputs, wave

GOLDEN = Path(__file__).parent / "golden.json"
Record = dict[str, Any]


def weights_of(y: Any) -> np.ndarray:
    """By which the outputs are weighed before they are summed and differentiated."""
    return wave("cotangent", tuple(y.shape))


def theirs(case: Case) -> Record:
    """Run PyTorch's layer, in float64."""
    import torch

    torch.set_default_dtype(torch.float64)
    module = case.theirs(torch.nn)
    state = module.state_dict()
    module.load_state_dict({k: torch.tensor(entry(k, tuple(v.shape))) for k, v in state.items()})
    xs = [torch.tensor(x) for x in inputs(case)]
    differentiable = [x.requires_grad_() for x in xs if x.is_floating_point()]
    ys = case.call_theirs(module, *xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    torch.stack([(y * torch.tensor(weights_of(y))).sum() for y in ys]).sum().backward()
    grads = {k: v.grad for k, v in module.named_parameters()}
    return {
        "entries": {name: list(value.shape) for name, value in state.items()},
        "outputs": [y.detach().numpy() for y in ys],
        "input gradients": [x.grad.numpy() for x in differentiable],
        "gradients": {name: grad.numpy() for name, grad in grads.items()},
    }


def ours(case: Case, entries: dict[str, list[int]]) -> Record:
    """Run ours with PyTorch's entries."""
    state_dict = {name: entry(name, tuple(shape)) for name, shape in entries.items()}
    model, _ = eqx_nn.from_torch(case.ours(eqx_nn), state_dict)
    xs = [jnp.asarray(x) for x in inputs(case)]

    def loss(layer_and_inputs: Any) -> Any:
        ys = jax.tree.leaves(case.call_ours(*layer_and_inputs))
        return sum((y * weights_of(y)).sum() for y in ys)

    @filter_jit
    def outputs_and_gradients(layer_and_inputs: Any) -> Any:
        return jax.tree.leaves(case.call_ours(*layer_and_inputs)), filter_grad(loss)(
            layer_and_inputs
        )

    outputs, (gradients, *by_input) = outputs_and_gradients((model, *xs))
    if isinstance(gradients, tuple):  # those of the state are no parameters
        gradients, _ = gradients
    return {
        "entries": {k: list(v.shape) for k, v in eqx_nn.to_torch(model).items()},
        "outputs": outputs,
        "input gradients": [x for x in by_input if x is not None],
        "gradients": eqx_nn.to_torch(gradients),
    }


def sketch(x: Any) -> list[float]:
    """All of a small array; of a large one sixteen elements, and a sum that all go into."""
    flat = np.asarray(x, float).ravel()
    if flat.size > 24:
        some = flat[:: flat.size // 16][:16]
        flat = np.append(some, flat @ wave("sketch", flat.shape))
    return [float(f"{number:.7g}") for number in flat]


def sketched(record: Record) -> Record:
    """The record for a file."""
    return {
        "entries": record["entries"],
        "outputs": list(map(sketch, record["outputs"])),
        "input gradients": list(map(sketch, record["input gradients"])),
        "gradients": {name: sketch(x) for name, x in record["gradients"].items()},
    }


def main() -> None:
    records = {name: theirs(case) for name, case in CASES.items()}
    lines = [f" {json.dumps(name)}: {json.dumps(sketched(r))}" for name, r in records.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
