"""The habits of the house: short files, short functions, a first line that says what for."""

import ast

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 90


def test_file_is_short(any_file):
    lines = len(any_file.text.splitlines())
    assert lines < MAX_FILE_LINES, f"{any_file.label} has {lines} lines; split it by topic"


def test_functions_are_short(any_file):
    for node in ast.walk(any_file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            where = f"{any_file.label}:{node.lineno}"
            assert lines <= MAX_FUNCTION_LINES, f"{where}: `{node.name}` has {lines} lines"


def test_file_begins_with_what_it_is_for(any_file):
    docstring = ast.get_docstring(any_file.tree)
    assert docstring, f"{any_file.label} does not begin with a docstring"
