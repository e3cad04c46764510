"""The habits of the house: short files, short functions, a first line that says what for.

`lengths.py` prints the lengths; `nox -s lint` runs it.
"""

import ast
import importlib.util
import statistics
from pathlib import Path

import pytest

MAX_FILE_LINES = 600
MAX_MEDIAN_FILE_LINES = 150
MAX_FUNCTION_LINES = 90
MIN_SHARE_OF_SHORT_FUNCTIONS = 0.95


@pytest.fixture(scope="module")
def lengths():
    """The module `lengths.py`, beside this file."""
    path = Path(__file__).parent / "lengths.py"
    spec = importlib.util.spec_from_file_location("lengths", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def package_files(root):
    return sorted(root.glob("packages/*/src/**/*.py"))


def test_file_is_short(any_files):
    for any_file in any_files:
        lines = len(any_file.text.splitlines())
        assert lines <= MAX_FILE_LINES, f"{any_file.label} has {lines} lines; split it by topic"


def test_functions_are_short(any_files, lengths):
    for any_file in any_files:
        for lines, where in lengths.functions(any_file.path):
            assert lines <= MAX_FUNCTION_LINES, f"{where} has {lines} lines"


def test_the_median_file_is_short(lengths, package_files):
    median = statistics.median(lines for lines, _ in lengths.files(package_files))
    assert median < MAX_MEDIAN_FILE_LINES


def test_most_functions_are_short(lengths, package_files):
    found = [lines for path in package_files for lines, _ in lengths.functions(path)]
    assert lengths.share_of_short(found) >= MIN_SHARE_OF_SHORT_FUNCTIONS


def test_lengths_are_told_with_the_longest_first(lengths, tmp_path):
    short, long = tmp_path / "short.py", tmp_path / "long.py"
    short.write_text("def f():\n    pass\n", encoding="utf-8")
    long.write_text("def g():\n" + 49 * "    pass\n", encoding="utf-8")
    told = lengths.report("here", [short, long]).splitlines()
    assert told[0] == (
        "here: 2 files of 52 lines, median 26; 2 functions, median 26, "
        "50.0% of them have 40 lines or fewer"
    )
    assert told[1:4] == ["  longest files:", f"     50 {long}", f"      2 {short}"]
    assert told[4:] == ["  longest functions:", f"     50 {long}:1 g", f"      2 {short}:1 f"]


def test_file_begins_with_what_it_is_for(any_files):
    for any_file in any_files:
        docstring = ast.get_docstring(any_file.tree)
        assert docstring, f"{any_file.label} does not begin with a docstring"


def test_functions_of_packages_say_what_they_return(sources):
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{source.label}:{node.lineno}"
                assert node.returns is not None, f"{where}: `{node.name}` has no return annotation"
