"""How long files and functions are: `python tests/packaging/lengths.py` prints the figures.

`test_house.py` holds the files to the limits.
"""

import ast
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORT_FUNCTION = 40
LISTED = 5


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """Give the length of each function in a file, and where it is."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.end_lineno - node.lineno + 1, f"{path}:{node.lineno} {node.name}"


def files(paths: Iterable[Path]) -> list[tuple[int, str]]:
    """Give the length of each file, and which it is."""
    return [(len(path.read_text(encoding="utf-8").splitlines()), str(path)) for path in paths]


def share_of_short(lengths: Iterable[int]) -> float:
    """Give the share of functions that are short."""
    return statistics.fmean(length <= SHORT_FUNCTION for length in lengths)


def report(folder: str, paths: list[Path]) -> str:
    """Tell the lengths of the files of one folder, and of the functions in them."""
    of_files = files(paths)
    of_functions = [found for path in paths for found in functions(path)]
    lengths = [length for length, _ in of_functions]
    lines = [
        f"{folder}: {len(of_files)} files of {sum(length for length, _ in of_files)} lines, median "
        f"{statistics.median(length for length, _ in of_files):.0f}; {len(lengths)} functions, "
        f"median {statistics.median(lengths):.0f}, {share_of_short(lengths):.1%} of them have "
        f"{SHORT_FUNCTION} lines or fewer",
    ]
    for kind, found in (("files", of_files), ("functions", of_functions)):
        lines.append(f"  longest {kind}:")
        lines += [f"  {length:5} {where}" for length, where in sorted(found)[: -LISTED - 1 : -1]]
    return "\n".join(lines)


if __name__ == "__main__":
    for folder in ("packages", "tests", "benchmarks", "examples"):
        print(report(folder, sorted(Path(folder).glob("**/*.py"))))
