"""The command line of examples: every argument of a `main` is an option, with help."""

import inspect
import sys

import pytest


@pytest.fixture(scope="module")
def command(load):
    return load("command")


NAMES = ["train_digits", "train_digits_conv", "train_digits_rnn", "finetune_digits"]
NAMES += ["train_sequences", "deep"]


@pytest.mark.parametrize("name", [*NAMES, "train_text", "import_gpt"])
def test_every_argument_is_an_option(command, load, name, monkeypatch, capsys):
    main = load(name).main
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        command.run(main, f"what {name} does", problem=lambda _: None)
    told = " ".join(capsys.readouterr().out.split())
    assert f"what {name} does" in told
    for argument in inspect.signature(main).parameters:
        assert f"--{argument.replace('_', '-')} " in told
        assert command.HELP[argument] in told


def test_options_reach_main(command, monkeypatch):
    found = {}

    def main(*, steps=1, learning_rate=0.5, output="outputs"):
        found.update(steps=steps, learning_rate=learning_rate, output=output)

    monkeypatch.setattr(sys, "argv", ["main.py", "--steps", "7", "--output", "there"])
    command.run(main, "some", problem=lambda _: None)
    assert found["steps"] == 7
    assert found["learning_rate"] == 0.5
    assert found["output"].name == "there"


def test_problem_is_a_failure(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py"])
    with pytest.raises(SystemExit, match="it is 3, not 4"):
        command.run(lambda: 3, "some", problem=lambda it: f"it is {it}, not 4")
