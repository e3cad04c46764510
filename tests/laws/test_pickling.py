"""Pickling: what comes back is the same tree, also in a process that never saw its classes."""

import pickle
import subprocess
import sys

import cloudpickle
import jax.tree_util as jtu
from hypothesis import assume, given
from hypothesis import strategies as st

from eqx_pytree import Module, tree_pformat

from . import oracle
from .settings import law
from .trees import CONTAINERS, EVERYTHING, portable_trees

ELSEWHERE = """
import pickle, sys
import jax.tree_util as jtu
from eqx_pytree import tree_pformat

with open(sys.argv[1], "rb") as file:
    batch = pickle.load(file)
for tree, count, text in batch:
    leaves, structure = jtu.tree_flatten(tree)
    assert len(leaves) == count, (len(leaves), tree)
    assert tree_pformat(tree) == text, (tree_pformat(tree), text)
    assert jtu.tree_structure(structure.unflatten(leaves)) == structure, tree
"""


WITHOUT_METHODS = [kind for kind in EVERYTHING if kind != "method"]


@law
@given(portable_trees(kinds=WITHOUT_METHODS), st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_a_tree_comes_back_the_same(tree, protocol):
    loaded = pickle.loads(cloudpickle.dumps(tree, protocol=protocol))
    assert oracle.same(loaded, tree)
    assert jtu.tree_structure(loaded) == jtu.tree_structure(tree)


@law
@given(portable_trees(kinds=[*CONTAINERS, "static", "wrapper", "none", "again"]))
def test_trees_of_importable_classes_need_no_help(tree):
    assert oracle.same(pickle.loads(pickle.dumps(tree)), tree)


def test_a_method_of_a_class_that_cannot_be_imported_is_one_of_the_restored_class():
    class Local(Module):
        def method(self):
            return 1

    restored = pickle.loads(cloudpickle.dumps(Local().method))
    assert restored() == 1
    assert restored.__func__ is type(restored.__self__).method


@law
@given(
    portable_trees(kinds=WITHOUT_METHODS),
    portable_trees(kinds=WITHOUT_METHODS, depth=1),
)
def test_shared_nodes_stay_shared(tree, shared):
    one, other, rest = pickle.loads(cloudpickle.dumps((shared, shared, tree)))
    assert one is other
    assert oracle.same(rest, tree)


def test_another_process_reads_trees_of_classes_that_it_lacks(tmp_path):
    batch = []

    @law
    @given(portable_trees(kinds=[kind for kind in EVERYTHING if kind != "box"]))
    def collect(tree):
        text = tree_pformat(tree)
        assume(" at 0x" not in text)
        batch.append((tree, len(oracle.leaves(tree)), text))

    collect()
    assert batch
    path = tmp_path / "trees"
    path.write_bytes(_by_value(batch))
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def _by_value(batch):
    """Pickle with the classes and functions of these tests inside."""
    modules = [sys.modules[f"{__package__}.{name}"] for name in ("classes", "nodes", "trees")]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(batch)
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
