"""A command line for each example: its options are the keyword arguments of its `main`."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = {
    "file": "safetensors file to read; by default one of random weights is made",
    "steps": "batches to train on",
    "batch_size": "examples in a batch",
    "width": "size of a hidden layer, or channels of the first convolution",
    "depth": "how many hidden layers, or blocks",
    "hidden_size": "size of the cell's state",
    "size": "of the vector of a token",
    "num_heads": "heads of each attention",
    "context": "how many tokens a token sees, itself among them",
    "learning_rate": "Adam's",
    "length": "how many tokens to write",
    "seed": "of all that is random",
    "output": "folder to write to",
    "processes": "how many there are: 1, 2 or 4",
    "plan": "where arrays lie: data, fsdp or 2x2",
    "number": "of this process, from 0 on; for processes that are started one by one",
    "coordinator": "address and port of process 0; without it, all are started on this machine",
}


def run(main: Callable[..., Any], description: str, problem: Callable[[Any], str | None]) -> None:
    """Run `main` with its keyword arguments from the command line; fail if there is a `problem`.

    `problem` takes what `main` returns, and says what is wrong with it; None if nothing is.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        kind = Path if name == "output" else type(parameter.default)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=parameter.default, help=HELP[name])
    told = problem(main(**vars(parser.parse_args())))
    if told:
        sys.exit(told)
