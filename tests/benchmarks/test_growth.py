"""What a step needs as devices grow, beside formulas; here on a few devices."""

import re

import jax
import pytest

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")


@pytest.fixture
def growth():
    import growth

    return growth


def test_bytes_sent_are_those_of_rings(growth):
    assert growth.sent({"all-reduce": (1, 100)}, 4) == 150
    assert growth.sent({"all-gather": (2, 100), "reduce-scatter": (1, 25)}, 4) == 75 + 75
    assert growth.sent({"collective-permute": (1, 10)}, 2) == 10
    assert growth.sent({"all-reduce": (1, 100)}, 1) == 0


def test_formulas(growth):
    assert growth.formula("data_parallel", 2, 100) == 100
    assert growth.formula("fsdp", 4, 100) == 225
    sizes = growth.BATCH * growth.LENGTH * growth.SIZE * 4
    assert growth.formula("tensor_parallel", 2, 100) == 4 * growth.DEPTH * sizes


def test_a_step_sends_what_papers_say(growth):
    head, rows = growth.steps((1, 4))
    found = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}
    for rule in ("data_parallel", "fsdp"):
        told = found[rule, 4]
        assert told["sent"] == pytest.approx(told["sent, by formula"], rel=0.01)
        assert found[rule, 1]["sent"] == 0
    parameters = found["data_parallel", 1]["arguments"]
    assert found["fsdp", 4]["arguments"] == pytest.approx(parameters / 4, rel=0.01)
    told = found["tensor_parallel", 4]  # XLA may sum what queries, keys and values give one by one
    assert 1 <= told["sent"] / told["sent, by formula"] <= 2.1


def test_memory_of_parts_falls(growth):
    _, rows = growth.parts((1, 4))
    for few, many in (rows[:2], rows[2:]):
        assert few[0] == many[0]
        assert many[2] < few[2] / 2
        assert many[3] < few[3]
        assert few[4] == few[5] == 0
        assert many[4] == pytest.approx(many[5], rel=0.15)


def test_on_paper(growth):
    _, rows = growth.paper()
    assert [row[1] for row in rows] == [64] * 3 + [512] * 3 + [4096] * 3
    assert all(row[2] >= row[3] > 0 for row in rows)
    assert rows[1][2] == pytest.approx(rows[1][3], rel=0.01)


def test_ten_billion_parameters_are_planned_for_devices_that_are_not_there(growth):
    head, [row] = growth.asked_large()
    told = dict(zip(head, row, strict=True))
    assert (told["parameters"], told["devices"]) == ("10.4 billion", 64)
    assert told["arguments"] == pytest.approx(told["in even parts"], rel=0.01)


def test_tables(growth, capsys):
    growth.show("call from", (1, 2), 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## a call from the host"
    assert lines[2] == "| devices | jax.jit, us | filter_jit, us | more |"
    number = r"-?[\d.e+-]+(?: k)?"
    for line, count in zip(lines[4:6], (1, 2), strict=True):
        assert re.fullmatch(rf"\| {count} \|( {number} \|){{3}}", line), line
    assert growth.shown(2_500_000) == "2.5 M"
    assert growth.shown(4_096) == "4,096"
    assert growth.shown(None) == "?"
