"""Run the catalogue under the `equinox` that is importable, and write what came of each case.

python tests/peer/run.py OUT.json [PART OF A CASE'S NAME]
"""

import functools
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import catalogue
import jax
from outcome import outcome

PREFIX = "case_"


def cases() -> Iterator[tuple[str, Callable[[], Any], bool]]:
    """Give the name of each case, the case, and whether its floats are rounded."""
    for topic in sorted(module.name for module in pkgutil.iter_modules(catalogue.__path__)):
        module = importlib.import_module(f"catalogue.{topic}")
        for name, case in list(vars(module).items()):
            if name.startswith(PREFIX):
                label = f"{topic}.{name.removeprefix(PREFIX)}"
                rounded = getattr(case, "rounded", False)
                table = getattr(case, "table", None)
                if table is None:
                    yield label, case, rounded
                else:
                    for entry, argument in table.items():
                        yield f"{label}[{entry}]", functools.partial(case, argument), rounded


def main() -> None:
    """Run every case whose name holds the part that is given."""
    jax.config.update("jax_num_cpu_devices", 4)
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    outcomes = {
        name: outcome(case, rounded=rounded) for name, case, rounded in cases() if part in name
    }
    Path(sys.argv[1]).write_text(json.dumps(outcomes, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
