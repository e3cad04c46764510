"""What goes between devices, read from the text of a compiled program."""

import math
import re
from collections.abc import Iterator, Mapping

import jax.numpy as jnp

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(?:-done)?\(")
"""At once, or the end of what goes on beside other work, which has the result and no operands."""

_ENDS = re.compile(r" async-(?:update|done)\(")
_SHAPE = re.compile(r"([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\]")
_DTYPES = {"pred": "bool", "s": "int", "u": "uint", "f": "float", "bf": "bfloat", "c": "complex"}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_CALLED = re.compile(r"\b(?:body|calls|to_apply|\w+_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TIMES = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


def collectives_of(text: str) -> dict[str, tuple[int, int]]:
    """By kind, how many of them a program runs, and the bytes of their results on a device.

    Those in a loop count as often as XLA knows it to run, or once; of branches, all count.
    """
    bodies = {name: (bool(entry), body) for entry, name, body in _COMPUTATION.findall(text)}
    entry = next((name for name, (is_entry, _) in bodies.items() if is_entry), "")
    found: dict[str, tuple[int, int]] = {}
    for kind, size, times in _run_by(entry, {name: it for name, (_, it) in bodies.items()}):
        count, total = found.get(kind, (0, 0))
        found[kind] = count + times, total + times * size
    return found


def _run_by(name: str, bodies: Mapping[str, str], times: int = 1) -> Iterator[tuple[str, int, int]]:
    """Kind, bytes and times of what a computation runs, itself or by others that it calls."""
    for line in bodies.get(name, "").splitlines():
        match = _COLLECTIVE.search(line)
        if match is not None:
            yield match[2], sum(map(_bytes, _SHAPE.findall(match[1]))), times
            continue
        if _ENDS.search(line) is not None:  # it names what its beginning calls
            continue
        known = _TIMES.search(line)
        often = times * int(known[1]) if known is not None else times
        for callee in _called(line):
            yield from _run_by(callee, bodies, often)


def _called(line: str) -> list[str]:
    branches = _BRANCHES.search(line)
    more = [] if branches is None else [it.strip(" %") for it in branches[1].split(",")]
    return [*_CALLED.findall(line), *more]


def _bytes(shape: tuple[str, str]) -> int:
    """The size of an array by what XLA writes, such as `f32[2,3]`."""
    name, sizes = shape
    letters = name.rstrip("0123456789")
    known = _DTYPES.get(letters)
    if known is None:
        return 0
    dtype = jnp.dtype(known + name[len(letters) :])
    return dtype.itemsize * math.prod(int(it) for it in sizes.split(",") if it)
