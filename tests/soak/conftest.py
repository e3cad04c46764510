"""What was there before is left out of each count, and so of the time that a count takes."""

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def only_what_comes_is_counted():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
