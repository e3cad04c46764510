"""What every test has: four devices in one process, and no more than this processor can do."""

import functools
import gc

import hypothesis
import jax
import pytest
from jax._src.interpreters import mlir
from jax._src.lib.mlir import ir

from .processor import lacks_float16

jax.config.update("jax_num_cpu_devices", 4)

hypothesis.settings.register_profile(
    "any machine, however slow, and the same examples each time",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine, however slow, and the same examples each time")


def share_the_context_of_programs():
    """Keep MLIR's context; JAX makes one for each program, in a sixth of the time of all tests."""
    fresh = mlir.make_ir_context
    shared = functools.cache(fresh)
    # A program that is lowered while another is would be put into that one.
    mlir.make_ir_context = lambda: shared() if ir.Context.current is None else fresh()


share_the_context_of_programs()


@pytest.fixture(autouse=True, scope="module")
def only_what_a_module_makes_is_collected():
    """Thousands of tests leave millions of objects in JAX's caches; each collection visits them."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Begin with the tests that clear JAX's caches, while there is little to compile again."""
    items.sort(key=lambda item: item.get_closest_marker("clears_caches") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip what needs float16 where XLA has none."""
    try:
        return (yield)
    except BaseException as error:
        if lacks_float16(error):
            pytest.skip("XLA cannot compile float16 with these instructions")
        raise
