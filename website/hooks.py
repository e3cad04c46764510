"""What the site adds to MkDocs: the pages of the reference, and formulas without scripts."""

import re
import sys
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import reference

COMMON = {"filter", "field", "scan", "State", "Static", "Partial", "partition", "combine"}
"""Words that stand for other things too, so they lead nowhere unless a module is told."""

CODE = re.compile(r"(<a [^>]*>)?<code>([\w.]+)</code>")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_config(config: Any) -> Any:
    """Put the reference into the navigation."""
    entries: dict[str, list[Any]] = {}
    for page in reference.pages():
        entries.setdefault(page.package.replace("_", "-"), []).append({page.title: page.path})
    chapters = [{package: pages} for package, pages in entries.items()]
    [chapter] = [it for it in config.nav if "Reference" in it]
    chapter["Reference"] = ["reference/index.md", *chapters]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Write the reference; refuse a public name without a docstring."""
    missing = reference.undocumented()
    if missing:
        message = f"Public names without a docstring: {', '.join(missing)}"
        raise PluginError(message)
    made = {page.path: reference.markdown(page) for page in reference.pages()}
    made["reference/index.md"] = reference.index()
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Have names lead to the reference; turn formulas into MathML, which browsers draw."""
    to_root = "../" * page.url.count("/")
    inside = page.url.startswith("reference/")
    html = html if inside else CODE.sub(lambda code: _linked(code, to_root), html)
    return FORMULA.sub(_drawn, html)


def _linked(code: re.Match[str], to_root: str) -> str:
    """Make a link of a public name that stands alone and is no link yet."""
    place = places().get(code[2])
    return f'<a href="{to_root}{place}">{code[0]}</a>' if place and not code[1] else code[0]


def _drawn(formula: re.Match[str]) -> str:
    if formula[1] == "div":
        return f'<div class="formula">{convert(unescape(formula[2]), display="block")}</div>'
    return convert(unescape(formula[2]))


@cache
def places() -> dict[str, str]:
    """Give where the reference tells of a name, by each way to write it."""
    found = {}
    for page in reference.pages():
        for name in page.names:
            place = f"{page.path.removesuffix('.md')}.html#{name.path}"
            bare = [name.name] if name.name not in COMMON else []
            aliases = [it.replace("equinox.", "eqx.", 1) for it in name.faces]
            found |= dict.fromkeys([*bare, name.path, *name.faces, *aliases], place)
    return found
