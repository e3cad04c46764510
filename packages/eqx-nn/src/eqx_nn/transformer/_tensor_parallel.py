"""`tensor_parallel`: loads the rule when it is asked for."""

from __future__ import annotations

from typing import Any


def tensor_parallel(axis: str = "model") -> Any:
    """Split the layers of a model over an axis of a mesh, by Megatron's rows and columns.

    From Shoeybi et al. (2019, "Megatron-LM: Training Multi-Billion Parameter Language Models Using
    Model Parallelism", section 3): of two products, one after another, the first is split by its
    outputs and the second by its inputs, so that what lies between is never brought together, and
    a block needs one sum over devices. So are split, as far as `axis` divides them:

    - `MultiheadAttention`: queries, keys and values by outputs, if `axis` divides the heads of
        each; the output projection by inputs.
    - `MLP`: its layers by outputs and by inputs in turn; `GatedMLP`: gate and up by outputs, down
        by inputs.
    - any other `Linear` by outputs; an `Embedding` by its rows, the vocabulary.

    A weight that is adapted by `lora` or quantised is split as the array that it stands for.

    **Arguments:** `axis`, of the mesh.

    **Returns:** a rule of `ShardingPlan`. It adds to what the rules before it say, and is best
    before `fsdp`.
    """
    from ._split import TensorParallel

    return TensorParallel(axis)
