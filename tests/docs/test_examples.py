"""The pages of docs/: their code runs, it prints what they show, and they name every function."""

import contextlib
import importlib
import io
import os
import re
import sys
import types
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md"))
FOLDERS = [
    "batching",
    "checkpoints",
    "compiled",
    "control_flow",
    "debug",
    "derivatives",
    "errors",
    "inspecting",
    "migrations",
    "paths",
    "sharding",
    "tracing",
    "training",
]
"""Of eqx-filter, those whose names are told of in the pages."""

NEEDS = {"coming_from/haiku.md": "haiku", "coming_from/keras.md": "keras"}
NEEDS |= {"coming_from/nnx.md": "flax", "coming_from/pytorch.md": "torch"}
"""Pages about a library that need not be there; `nox -s coming_from` has them all."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"[\w/.-]+\.(?:md|py):\d+")
LEFT_OUT = "…"
"""At the end of what a page shows: here text that is printed is left out."""

LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    return [block for language, block in BLOCK.findall(read(page)) if language in languages]


def source(page: str) -> str:
    """Give the Python code of a page, each line where it is in the page, all others empty."""
    text = read(page)
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        if block[1] == "python":
            first = text.count("\n", 0, block.start(2))
            code = block[2].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def plain(text: str) -> str:
    """Give a text however it is broken into lines, and in whatever file its code stands."""
    return PLACE.sub("<place>", " ".join(text.split()))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python", "text")])
def test_code_runs_and_prints_what_is_shown(page, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    printed = io.StringIO()
    code = compile(source(page), DOCS / page, "exec")
    module = types.ModuleType("example")  # where pickle finds the classes of the page
    monkeypatch.setitem(sys.modules, "example", module)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        exec(code, vars(module))
    rest, goes_on = plain(printed.getvalue()), False
    for shown in map(plain, blocks(page, "text")):
        before, found, after = rest.partition(shown.removesuffix(LEFT_OUT).rstrip())
        assert found, f"{page} shows\n  {shown}\nand what is left of what it prints is\n  {rest}"
        assert goes_on or not before.strip(), f"{page} leaves out, and does not say so,\n  {before}"
        rest, goes_on = after, shown.endswith(LEFT_OUT)
    assert goes_on or not rest.strip(), f"{page} leaves out, and does not say so,\n  {rest}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = LINK.findall(BLOCK.sub("", read(page)))
    local = [link for link in links if "://" not in link]
    dead = [link for link in local if not (DOCS / page).parent.joinpath(link).exists()]
    assert not dead, f"{page} links to what is not there: {dead}"


def test_every_page_is_in_the_index():
    linked = {os.path.normpath(link) for link in LINK.findall(read("README.md"))}
    assert set(PAGES) - {"README.md"} <= linked


@pytest.mark.parametrize(
    "module",
    [
        "eqx_nn",
        *(f"eqx_filter.{folder}" for folder in FOLDERS),
    ],
)
def test_every_public_name_is_in_some_page(module):
    names = importlib.import_module(module).__all__
    words = {word for page in PAGES for word in re.findall(r"\w+", read(page))}
    assert set(names) <= words
