"""The files that every package carries: licence, changelog, readme, and the marker of its types."""

import re

from packaging.requirements import Requirement


def test_licence_is_the_workspaces(project, root):
    text = (project.folder / "LICENSE").read_text(encoding="utf-8")
    assert project.table["license"] == "Apache-2.0"
    assert text == (root / "LICENSE").read_text(encoding="utf-8"), f"{project.name}: other LICENSE"


def test_changelog_opens_with_the_present_version(project):
    text = (project.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", text, flags=re.MULTILINE)
    assert versions[0] == project.table["version"], f"{project.name}: changelog tells of {versions}"


def test_readme_gives_each_dependency_its_reason(project):
    text = (project.folder / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Dependencies\n")[2].partition("\n## ")[0]
    told = re.findall(r"^- `([^`]+)`: \S", section, flags=re.MULTILINE)
    declared = [Requirement(line).name for line in project.table["dependencies"]]
    assert sorted(told) == sorted(declared), f"{project.name}: README tells of {told}"


def test_types_are_marked(project):
    marker = project.folder / "src" / project.module / "py.typed"
    assert marker.is_file(), f"{project.name} has no `py.typed`: type checkers would pass it over"


def test_metadata_serves_the_index(project):
    missing = {"description", "readme", "keywords", "classifiers"} - project.table.keys()
    assert not missing, f"{project.name}: pyproject lacks {missing}"
