"""The command: what it takes, and what it writes."""

import json

import pytest


def test_help_tells_the_options(capsys):
    import speed

    with pytest.raises(SystemExit) as ended:
        speed.parse(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "Measure plain JAX, ours, the peer" in told
    options = "--peer --core --quick --rounds --only --load --markdown --png"
    for option in options.split():
        assert option in told


@pytest.mark.parametrize(
    ("arguments", "rounds", "slow"),
    [([], 15, 15), (["--quick"], 5, 3), (["--quick", "--rounds", "2"], 2, 2)],
)
def test_rounds(arguments, rounds, slow):
    import speed

    plan = speed.plan_of(speed.parse(arguments))
    assert (plan.rounds, plan.slow, plan.quick) == (rounds, slow, "--quick" in arguments)


def test_outputs_have_a_folder_that_git_ignores():
    import speed

    arguments = speed.parse([])
    assert [arguments.json.name, arguments.markdown.name, arguments.png.name] == [
        *("speed.json", "speed.md", "speed.png"),
    ]
    assert {file.parent for file in (arguments.json, arguments.markdown, arguments.png)} == {
        speed.OUTPUTS
    }


def test_figures_of_an_earlier_run_are_shown_again(results, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    import speed

    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(results), encoding="utf-8")
    files = {form: tmp_path / "new" / f"speed.{form}" for form in ("json", "markdown", "png")}
    options = [part for form, file in files.items() for part in (f"--{form}", str(file))]
    monkeypatch.setattr("sys.argv", ["speed.py", "--load", str(earlier), *options])
    speed.main()
    told = capsys.readouterr().out
    assert "medians of 5 rounds, in 70 s" in told
    assert files["markdown"].read_text(encoding="utf-8") in told
    assert json.loads(files["json"].read_text(encoding="utf-8")) == results
    assert files["png"].stat().st_size > 1000
