"""Compare what came of the catalogue under ours and under the peer, and print a report.

    python tests/peer/compare.py OURS.json PEER.json

The report is Markdown. The exit code is 1 if a difference is not in `known.py`, or if one that is
in there is no difference any more.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from entries import ENTRIES, PHRASES
from known import KNOWN

ROUNDING = {"float32": 1e-5, "complex64": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}
EXACT, DOUBLE = 0.0, 1e-12


class Difference(NamedTuple):
    """One place of an outcome, and what either side has there."""

    place: str
    ours: Any
    peer: Any


def tolerance_of(value: Any) -> float:
    """Say how far rounding may go in an array's values, or in a plain float."""
    dtype = str(value.get("array", "")) if isinstance(value, dict) else ""
    return next((size for name, size in ROUNDING.items() if name in dtype), DOUBLE)


def same_float(ours: float, peer: float, tolerance: float) -> bool:
    if repr(ours) == repr(peer):  # tells 0.0 from -0.0, and not NaN from NaN
        return True
    return tolerance > 0 and math.isclose(ours, peer, rel_tol=tolerance, abs_tol=tolerance)


def value_differences(
    ours: Any, peer: Any, place: str, *, rounded: bool, tolerance: float = EXACT
) -> Iterator[Difference]:
    """Give each place where two described values differ."""
    if type(ours) is not type(peer):
        yield Difference(place, ours, peer)
    elif isinstance(ours, dict):
        if list(ours) != list(peer) and not more_fields(ours, peer, place):
            yield Difference(place, ours, peer)
            return
        tolerance = tolerance_of(peer) if rounded else EXACT
        for name in peer:
            there = f"{place}.{name}"
            yield from value_differences(
                ours[name], peer[name], there, rounded=rounded, tolerance=tolerance
            )
    elif isinstance(ours, list):
        if len(ours) != len(peer):
            yield Difference(place, ours, peer)
            return
        for i, (a, b) in enumerate(zip(ours, peer, strict=True)):
            there = f"{place}[{i}]"
            yield from value_differences(a, b, there, rounded=rounded, tolerance=tolerance)
    elif isinstance(ours, float):
        if not same_float(ours, peer, max(tolerance, DOUBLE if rounded else EXACT)):
            yield Difference(place, ours, peer)
    elif ours != peer:
        yield Difference(place, ours, peer)


def more_fields(ours: dict[str, Any], peer: dict[str, Any], place: str) -> bool:
    """Whether these are the fields of an instance, and ours only has some after those of the peer.

    They are no leaves: the orders in which layers are flattened have cases of their own.
    """
    return place.endswith(".fields") and list(ours)[: len(peer)] == list(peer)


def phrases_of(message: str) -> set[str]:
    """Give the listed phrases that the message holds, wherever its lines end."""
    text = " ".join(message.split())
    return {phrase for phrase in PHRASES if phrase in text}


def error_differences(ours: Any, peer: Any) -> Iterator[Difference]:
    """Ours must be of the peer's type or a kind of it."""
    if ours is None or peer is None or peer["kinds"][0] not in ours["kinds"]:
        yield Difference("error", ours, peer)
    elif phrases_of(peer["message"]) - phrases_of(ours["message"]):
        yield Difference("error: phrase", ours["message"], peer["message"])


def told(warnings: list[dict[str, str]]) -> list[list[str]]:
    """Give the categories of the warnings, each with the listed phrases that the text holds."""
    kinds = {(w["category"], *sorted(phrases_of(w["message"]))) for w in warnings}
    return [list(kind) for kind in sorted(kinds)]


def differences(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> list[Difference]:
    """Give each place where two outcomes of one case differ."""
    found: list[Difference] = []
    if ours["error"] or peer["error"]:
        found += error_differences(ours["error"], peer["error"])
    else:
        found += value_differences(ours["value"], peer["value"], "value", rounded=peer["rounded"])
    if told(ours["warnings"]) != told(peer["warnings"]):
        found.append(Difference("warnings", ours["warnings"], peer["warnings"]))
    return found


def compare(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> dict[str, list[Difference]]:
    """Give the differences of each case that has any."""
    if list(ours) != list(peer):
        message = f"The two files do not hold the same cases: {set(ours) ^ set(peer)}"
        raise ValueError(message)
    found = {name: differences(ours[name], peer[name]) for name in ours}
    return {name: some for name, some in found.items() if some}


def show(value: Any, *, width: int = 300) -> str:
    """Give the value in one line of Markdown."""
    text = json.dumps(value, ensure_ascii=False).replace("`", "'")
    return f"`{text if len(text) <= width else text[:width] + '...'}`"


def section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *(lines or ["None."]), ""]


def lines_of(name: str, some: list[Difference]) -> Iterator[str]:
    yield f"- **{name}**"
    for place, ours, peer in some:
        yield f"  - {place}"
        yield f"    - ours: {show(ours)}"
        yield f"    - peer: {show(peer)}"


def report(found: Mapping[str, list[Difference]], names: list[str]) -> tuple[str, bool]:
    """Give the report in Markdown, and whether it shows known differences and nothing else."""
    unknown = {name: some for name, some in found.items() if name not in KNOWN}
    gone = [name for name in KNOWN if name not in found]
    known = {name: found[name] for name in KNOWN if name in found}
    counts = f"{len(names)} cases: {len(names) - len(found)} agree, {len(known)} differ as known, "
    lines = ["# Ours beside the peer", "", f"{counts}{len(unknown)} differ otherwise.", ""]
    lines += section("Differences", [x for item in unknown.items() for x in lines_of(*item)])
    lines += section("Listed as known, and no difference any more", [f"- {name}" for name in gone])
    explained = []
    for name, some in known.items():
        entry, why = KNOWN[name]
        explained += [*lines_of(name, some), f"  - known: {why} ({ENTRIES[entry]})"]
    lines += section("Known differences", explained)
    return "\n".join(lines), not unknown and not gone


def main() -> None:
    """Print the report of the two files that are given."""
    ours, peer = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    text, fine = report(compare(ours, peer), list(ours))
    sys.stdout.write(text)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
