"""Errors of `jax.shard_map` that blame an array: they name it as the user does."""

import re
from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from ..shared._naming import callable_names, leaf_names
from ..shared._packed import Layout

_BOUND = re.compile(r", where args\[0\] is bound to .*?'s parameter '.*?',")
_FUNCTION = re.compile(r"(?<=applied to the function )'[^']*'")
_INPUT = re.compile(r"\b(args|in_specs)\[0\]\[(\d+)\]")
_OUTPUT = re.compile(r"\bout_specs\[(\d+)\]|[^\s`]+\(\*args\)\[(\d+)\]")


def name_arrays(error: ValueError, fun: Any, layout: Layout, out: Sequence[Layout]) -> None:
    """Put function, argument and path in the place of the position among the arrays.

    `layout` is that of the function and its arguments, `out` that of its output, if it was called.
    """
    text, *others = error.args or (None,)
    if not isinstance(text, str) or not text.startswith("shard_map "):
        return
    function = getattr(fun, "__name__", None) or type(fun).__name__
    inputs = dict(enumerate(_input_names(fun, layout)))
    outputs = dict(enumerate(jtu.keystr(path) for one in out for path in _paths(_marked(one))))

    def of_input(match: re.Match[str]) -> str:
        name = inputs.get(int(match[2]), match[0])
        return name if match[1] == "args" else f"in_specs for {name}"

    def of_output(match: re.Match[str]) -> str:
        path = outputs.get(int(match[1] or match[2]), match[0])
        return f"{function}(...){path}" if match[2] else f"out_specs for {path or 'all of it'}"

    text = _FUNCTION.sub("'of_arrays'", _BOUND.sub("", text))
    text = text.replace("'of_arrays'", f"'{function}'")
    error.args = (_OUTPUT.sub(of_output, _INPUT.sub(of_input, text)), *others)


def _input_names(fun: Any, layout: Layout) -> list[str]:
    marked_fun, args = _marked(layout)
    names = [] if marked_fun is None else callable_names(marked_fun)
    return names + leaf_names(fun, args, {})


def _marked(layout: Layout) -> Any:
    """The PyTree with its arrays alone as leaves."""
    count = layout.structure.num_leaves - len(layout.static)
    return layout.rebuild_with_gaps([True] * count)


def _paths(tree: Any) -> list[Any]:
    return [path for path, _ in jtu.tree_flatten_with_path(tree)[0]]
