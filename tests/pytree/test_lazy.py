"""`load_on_use`: names of a module that lie in others."""

import runpy
import sys

import pytest

FILES = {
    "here/__init__.py": """
from eqx_pytree import load_on_use

OWN = 1
__getattr__, __dir__ = load_on_use(
    __name__,
    {".room": "a b", "colorsys": "to_hsv=rgb_to_hsv", ".other": "", ".broken": "d"},
    distribution="eqx-pytree",
)
""",
    "here/room.py": "a, b = 'a', 'b'",
    "here/other.py": "c = 'c'",
    "here/broken.py": "import sys; d = sys.nope",
    "there.py": """
from eqx_pytree import load_on_use


def refuse(name):
    raise AttributeError(f"not {name}, not here")


__getattr__, __dir__ = load_on_use(__name__, {}, otherwise=refuse)
""",
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run code beside the files above, not loaded yet, and give what it prints."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def run(code):
        (tmp_path / "code.py").write_text(code, encoding="utf-8")
        runpy.run_path(str(tmp_path / "code.py"))
        return capsys.readouterr().out.split()

    yield run
    for name in [it for it in sys.modules if it.split(".")[0] in ("here", "there", "made")]:
        del sys.modules[name]


def test_a_name_loads_the_module_that_it_lies_in(run):
    code = (
        "import sys, here; print('here.room' in sys.modules);"
        "print(here.a, 'here.room' in sys.modules, 'a' in vars(here), 'b' in vars(here))"
    )
    assert run(code) == ["False", "a", "True", "True", "False"]


def test_folders_other_names_and_versions_are_found(run):
    code = (
        "import colorsys, here; from here import b, other;"
        "print(b, here.OWN, other.c, here.to_hsv is colorsys.rgb_to_hsv, here.__version__)"
    )
    assert run(code)[:4] == ["b", "1", "c", "True"]


def test_what_is_not_loaded_is_listed(run):
    assert run("import here; print({'a', 'b', 'to_hsv', 'OWN', 'room', 'other'} <= {*dir(here)})")


def test_other_names_are_refused(run):
    code = """
import here, there
for module in (here, there):
    try:
        module.nope
    except AttributeError as error:
        print(str(error).replace(" ", "_"))
"""
    assert run(code) == ["module_`here`_has_no_attribute_`nope`", "not_nope,_not_here"]


def test_what_is_broken_is_not_taken_for_missing(run):
    code = """
import here
try:
    here.d
except ImportError as error:
    print(str(error).replace(" ", "_"), type(error.__cause__).__name__)
"""
    told = "`.broken`_of_`here`_could_not_be_imported:_module_'sys'_has_no_attribute_'nope'"
    assert run(code) == [told, "AttributeError"]


def test_a_module_that_is_held_outlasts_its_entry(run):
    code = """
import sys, here
for name in [name for name in sys.modules if name.split(".")[0] == "here"]:
    del sys.modules[name]
print(here.a, 'a' in vars(here), 'b' in dir(here), hasattr(here, 'nope'), here.other.c)
"""
    assert run(code) == ["a", "True", "True", "False", "c"]


def test_hooks_may_be_made_elsewhere(run):
    code = """
import sys, types
from eqx_pytree import load_on_use
sys.modules["made"] = made = types.ModuleType("made")
made.__getattr__, made.__dir__ = load_on_use("made", {"colorsys": "rgb_to_hsv"})
print(made.rgb_to_hsv.__name__, "rgb_to_hsv" in vars(made), "rgb_to_hsv" in globals())
"""
    assert run(code) == ["rgb_to_hsv", "True", "False"]
