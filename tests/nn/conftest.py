"""What the tests of eqx-nn share: a key, 64-bit mode, and the tables of `make_golden.py`."""

import importlib.util
from pathlib import Path

import jax
import pytest


@pytest.fixture
def key():
    return jax.random.PRNGKey(0)


@pytest.fixture
def x64():
    """JAX's 64-bit mode for one test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="session")
def golden():
    """The module `make_golden.py`, beside this file."""
    path = Path(__file__).parent / "make_golden.py"
    spec = importlib.util.spec_from_file_location("make_golden", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def program_text():
    """The program of `function(*args)` as text, with the names of its operations."""

    def text(function, *args):
        def call(*args):
            return function(*args)

        return jax.jit(call).lower(*args).as_text(debug_info=True)

    return text
