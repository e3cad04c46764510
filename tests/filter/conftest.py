"""What the tests of eqx-filter share."""

import gc
import weakref

import jax
import pytest


@pytest.fixture
def assert_freed():
    """Check that all referents of weak references are gone once garbage is collected."""

    def check(*references: "weakref.ref") -> None:
        gc.collect()
        gc.collect()
        assert [reference() for reference in references] == [None] * len(references)

    return check


@pytest.fixture
def x64():
    """A context in which 64-bit numbers are kept; it has moved since the oldest JAX."""
    return jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
