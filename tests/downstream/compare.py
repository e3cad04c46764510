"""Compare what came of the programs under ours and under the peer, and print a report.

    python tests/downstream/compare.py OURS.json PEER.json

The report is Markdown. The exit code is 1 if there is a difference, and times are none.
"""

import json
import math
import re
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROUNDING = {"float32": 1e-5, "complex64": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}
"""How far floats may be apart, as a share of the largest of their array; the catalogue of
`tests/peer` takes the same.

Both sides ask JAX for the same sums, so most are equal bit for bit. But XLA may fuse them otherwise
where one side's program holds an operation more, and a hundred steps of a solver, each as long as
the error of the last one allows, carry one rounding, 1.2e-7, that far. What is no float is exact.
"""

LAST_TRACEBACK = re.compile(r".*^\S*(?:Error|Exception): ", re.DOTALL | re.MULTILINE)
BATCH_INDEX = re.compile(r"^Batch index .* had error:\s*")
PERCENTAGE = re.compile(r"[\d.]+%(?!/s)")
NAME = re.compile(r"`[^`]+`")

Outcome = Mapping[str, Any]
Programs = Mapping[str, Mapping[str, Outcome]]


class Difference(NamedTuple):
    """One place of an outcome, and what either side has there."""

    place: str
    ours: Any
    peer: Any


class Tally:
    """How many arrays are equal bit for bit, how many up to rounding, and how far those are."""

    def __init__(self) -> None:
        self.exact = 0
        self.rounded = 0
        self.furthest = (0.0, "")

    def add(self, distance: float, where: str) -> None:
        if distance == 0:
            self.exact += 1
        else:
            self.rounded += 1
            self.furthest = max(self.furthest, (distance, where))


def distance(ours: list[Any], peer: list[Any]) -> float:
    """Give the largest difference as a share of the largest value; infinite if NaNs differ."""
    pairs = [(a, b) for a, b in zip(ours, peer, strict=True) if repr(a) != repr(b) and a != b]
    if not pairs:
        return 0.0
    if not all(math.isfinite(x) for pair in pairs for x in pair):
        return math.inf
    size = max(abs(x) for x in (*ours, *peer) if math.isfinite(x))
    return max(abs(a - b) for a, b in pairs) / size


def number_differences(
    ours: Mapping[str, Any], peer: Mapping[str, Any], where: str, tally: Tally
) -> Iterator[Difference]:
    """Give each array of an outcome that is not equal on both sides."""
    if list(ours) != list(peer):
        yield Difference("structure", list(ours), list(peer))
        return
    for place, theirs in peer.items():
        mine = ours[place]
        if mine["type"] != theirs["type"]:
            yield Difference(f"value{place}: type", mine["type"], theirs["type"])
            continue
        apart = distance(mine["values"], theirs["values"])
        if apart <= ROUNDING.get(theirs["type"].split("[")[0], 0.0):
            tally.add(apart, f"{where}{place}")
        else:
            yield Difference(f"value{place}: by {apart:.1e}", mine["values"], theirs["values"])


def first_sentence(message: str) -> str:
    """Give what a message says first, without tracebacks before it."""
    text = BATCH_INDEX.sub("", LAST_TRACEBACK.sub("", message))
    return re.split(r"(?<=\.)\s|\n", text.strip(), maxsplit=1)[0]


def says_the_same(ours: str, peer: str) -> bool:
    """Say whether the first sentence is the same, or ours has all that the peer's has in backticks.

    Messages that downstream packages hand over begin with the same sentence; those of our own are
    worded otherwise than the peer's.
    """
    names = set(NAME.findall(LAST_TRACEBACK.sub("", peer)))
    same = first_sentence(ours) == first_sentence(peer)
    return same or (bool(names) and names <= set(NAME.findall(ours)))


def error_differences(ours: Any, peer: Any) -> Iterator[Difference]:
    """Ours must be of the peer's type or a kind of it."""
    if ours is None or peer is None or peer["kinds"][0] not in ours["kinds"]:
        told = [it and [it["kinds"][0], first_sentence(it["message"])] for it in (ours, peer)]
        yield Difference("error", *told)
    elif not says_the_same(ours["message"], peer["message"]):
        sentences = [first_sentence(it["message"]) for it in (ours, peer)]
        yield Difference("error: message", *sentences)


def progress(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Give the percentages that were printed; of those on stderr, which time thins, the last."""
    return PERCENTAGE.findall(outcome["stdout"]), PERCENTAGE.findall(outcome["stderr"])[-1:]


def warned(outcome: Outcome) -> list[tuple[str, str]]:
    return sorted({(category, text) for category, text in outcome["warnings"]})


def differences(ours: Outcome, peer: Outcome, where: str, tally: Tally) -> Iterator[Difference]:
    """Give each place where two outcomes of one program, run in one way, differ."""
    if ours["error"] or peer["error"]:
        yield from error_differences(ours["error"], peer["error"])
    else:
        if "numbers" in peer:
            yield from number_differences(ours["numbers"], peer["numbers"], where, tally)
        if progress(ours) != progress(peer):
            yield Difference("printed", progress(ours), progress(peer))
    alone = [it for it in warned(ours) if it not in warned(peer)]
    if alone:
        yield Difference("warnings of ours alone", alone, [])


def labels(programs: Programs) -> list[tuple[str, str]]:
    return [(name, way) for name, outcomes in programs.items() for way in outcomes]


def run_by_both(ours: Programs, peer: Programs) -> list[tuple[str, str]]:
    """Give the programs and ways that both sides have run."""
    return [pair for pair in labels(peer) if pair in labels(ours)]


def compare(ours: Programs, peer: Programs, tally: Tally) -> dict[str, list[Difference]]:
    """Give the differences of each program and way that has any, or that only one side ran."""
    found = {}
    for name, way in run_by_both(ours, peer):
        where = f"{name} ({way})"
        found[where] = list(differences(ours[name][way], peer[name][way], where, tally))
    for pair in sorted(set(labels(ours)) ^ set(labels(peer))):
        sides = ["run" if pair in labels(side) else "not run" for side in (ours, peer)]
        found["{} ({})".format(*pair)] = [Difference("one side", *sides)]
    return {where: some for where, some in found.items() if some}


def shared_warnings(ours: Programs, peer: Programs) -> dict[tuple[str, str], list[str]]:
    """Give each warning that both sides have, with the programs that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, way in run_by_both(ours, peer):
        for warning in set(warned(ours[name][way])) & set(warned(peer[name][way])):
            names = found.setdefault(warning, [])
            if name not in names:
                names.append(name)
    return found


def seconds(ours: Programs, peer: Programs, kind: str, pairs: list[tuple[str, str]]) -> str:
    """Give the summed times of both sides, and the median of the ratios, as cells of a table."""
    times = [(ours[name][way].get(kind), peer[name][way].get(kind)) for name, way in pairs]
    both = [(a, b) for a, b in times if a is not None and b is not None]
    if not both:
        return "| | | |"
    unit = 1 if kind == "first" else 1000
    sums = [unit * sum(column) for column in zip(*both, strict=True)]
    ratio = statistics.median(a / b for a, b in both)
    return f"| {sums[0]:.2f} | {sums[1]:.2f} | {ratio:.2f} |"


def table(ours: Programs, peer: Programs, groups: Mapping[str, list[tuple[str, str]]]) -> list[str]:
    """Give the times of each group of programs and ways."""
    lines = [
        "| | first call (s): ours | peer | ratio | later calls (ms): ours | peer | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for title, pairs in groups.items():
        first = seconds(ours, peer, "first", pairs)
        later = seconds(ours, peer, "repeated", pairs)
        lines.append(f"| {title} {first}{later[1:]}")
    return lines


def grouped(pairs: list[tuple[str, str]], *, by: str) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, way in pairs:
        title = {"package": f"{name.split('.')[0]}: {way}", "program": name}[by]
        found.setdefault(title, []).append((name, way))
    return found


def show(value: Any, *, width: int = 300) -> str:
    """Give the value in one line of Markdown."""
    text = json.dumps(value, ensure_ascii=False).replace("`", "'")
    return f"`{text if len(text) <= width else text[:width] + '...'}`"


def section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *(lines or ["None."]), ""]


def lines_of(where: str, some: list[Difference]) -> Iterator[str]:
    yield f"- **{where}**"
    for place, ours, peer in some:
        yield f"  - {place}"
        yield f"    - ours: {show(ours)}"
        yield f"    - peer: {show(peer)}"


def report(ours: Programs, peer: Programs) -> tuple[str, bool]:
    """Give the report in Markdown, and whether it shows no difference."""
    tally = Tally()
    found = compare(ours, peer, tally)
    pairs = run_by_both(ours, peer)
    furthest, where = tally.furthest
    count = len({name for name, _ in pairs if "." in name})
    lines = [
        *("# Downstream programs on ours beside the peer", ""),
        f"{count} programs, {len(pairs)} runs: {len(found)} differ. Of the arrays, {tally.exact} "
        f"are equal bit for bit and {tally.rounded} up to rounding, at most by {furthest:.1e} of "
        f"their largest value ({where or 'none'}).",
        "",
        *section("Differences", [x for item in found.items() for x in lines_of(*item)]),
    ]
    shared = shared_warnings(ours, peer)
    told = [f"- {it[0]}: {show(it[1])}: {', '.join(names)}" for it, names in shared.items()]
    lines += section("Warnings on both sides", told)
    lines += section("Times, by way", table(ours, peer, grouped(pairs, by="package")))
    lines += section("Times, by program", table(ours, peer, grouped(pairs, by="program")))
    return "\n".join(lines), not found


def main() -> None:
    """Print the report of the two files that are given."""
    told = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3]]
    text, fine = report(*(side["programs"] for side in told))
    sides = "; ".join(f"equinox {side['equinox']}, jax {side['jax']}" for side in told)
    sys.stdout.write(f"{text}\n{sides}\n")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
