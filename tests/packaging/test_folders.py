"""The folders of eqx-filter in order: each imports from itself and from those above it.

The order is the table of docs/architecture/eqx-filter.md, which is read here.
"""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path("packages/eqx-filter/src/eqx_filter")
PAGE = Path("docs/architecture/eqx-filter.md")


def imported_folders(source, folder: Path):
    """The line and the folder of each import within the package."""
    here = source.path.relative_to(folder).parent.parts
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = here[: len(here) - node.level + 1]
        target = (*base, *node.module.split(".")) if node.module else base
        if target:
            yield node.lineno, target[0]
        else:
            yield from ((node.lineno, name.name) for name in node.names)


@pytest.fixture(scope="module")
def order(root):
    page = (root / PAGE).read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)


def test_each_folder_has_its_place(root, order):
    folders = {path.parent.name for path in (root / FOLDER).glob("*/__init__.py")}
    assert len(order) == len(set(order))
    assert set(order) == folders


def test_each_room_is_in_its_row(root, order):
    page = (root / PAGE).read_text(encoding="utf-8")
    for folder in order:
        [row] = re.findall(rf"^\| `{folder}` \|.*", page, flags=re.MULTILINE)
        rooms = {path.stem for path in (root / FOLDER / folder).glob("_[a-z]*.py")}
        assert set(re.findall(r"`(_\w+)`", row)) == rooms, f"the row of `{folder}`"


def test_imports_follow_the_order(sources, root, order):
    for source in sources:
        parts = source.path.relative_to(root / "packages").parts
        if parts[0] != "eqx-filter" or len(parts) < 5:  # another package, or the face
            continue
        place = order.index(parts[3])
        for line, folder in imported_folders(source, root / FOLDER):
            assert order.index(folder) <= place, (
                f"{source.label}:{line} imports from `{folder}`, which comes after `{parts[3]}`"
            )


def test_nothing_lies_beside_the_folders(root):
    assert [path.name for path in (root / FOLDER).glob("*.py")] == ["__init__.py"]
