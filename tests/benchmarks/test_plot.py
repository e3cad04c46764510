"""What is drawn beside what, and that a picture comes of it."""

import pytest

pytest.importorskip("matplotlib")


def test_a_row_is_drawn_beside_plain_jax_or_else_beside_the_peer(results):
    from plot import relative

    assert relative(results, "plain") == {
        "flatten": {"ours": 1.5, "peer": 6.0, "nnx": pytest.approx(25)},
        "jit_model_out": {"ours": 1.5, "peer": 4.0},
    }
    assert relative(results, "peer") == {
        "import_time": {"ours": 0.125, "nnx": 2.5},
        "tree_at": {"ours": pytest.approx(0.1)},
    }


def test_a_picture_is_written(results, tmp_path):
    from plot import plot

    file = tmp_path / "speed.png"
    plot(results, file)
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("missing", ["rows", "growth"])
def test_a_picture_is_written_of_what_there_is(results, tmp_path, missing):
    from plot import plot

    results[missing] = {}
    file = tmp_path / "speed.png"
    plot(results, file)
    assert file.stat().st_size > 1000
