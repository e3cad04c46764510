"""Compare what ours offers with what the peer does, and print what ours lacks or takes differently.

    python tests/peer/compare_api.py OURS.json PEER.json

Ours may have more names, more attributes, more parameters that may be left out, and more fields
after those of the peer. The exit code is 1 if a difference is not in `known_api.py`, or if one that
is in there is none any more.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from known_api import KNOWN_API

FIXED = ["POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"]
VARIABLE = ["VAR_POSITIONAL", "VAR_KEYWORD"]


def parameter_differences(ours: list[Any], peer: list[Any]) -> Iterator[str]:
    """Say which call that the peer takes ours may not take, or takes as another."""
    ours_by_name = {name: (kind, default) for name, kind, default in ours}
    kinds = [kind for _, kind, _ in ours]
    for place, (name, kind, default) in enumerate(peer):
        if kind in VARIABLE:
            if kind not in kinds:
                yield f"no `{name}` ({kind})"
            continue
        if kind == "POSITIONAL_ONLY":
            found = tuple(ours[place][1:]) if place < len(ours) else None
        else:
            found = ours_by_name.get(name)
        if found is None or found[0] in VARIABLE:
            yield f"no `{name}`"
        elif kind in FIXED and (found[0] not in FIXED or place != position(ours, place, name)):
            yield f"`{name}` is at another place"
        elif kind != "POSITIONAL_ONLY" and found[0] == "POSITIONAL_ONLY":
            yield f"`{name}` is positional only"
        elif found[1] == "required" != default:
            yield f"`{name}` is required"
        elif default != found[1] and not {"optional", "required"} & {default, found[1]}:
            yield f"`{name}` is {found[1]!r} by default, not {default!r}"
    names = {name for name, _, _ in peer}
    for place, (name, kind, default) in enumerate(ours):
        by_place = place < len(peer) and peer[place][1] == "POSITIONAL_ONLY"
        if kind not in VARIABLE and default == "required" and name not in names and not by_place:
            yield f"`{name}` is required, and not there"


def position(ours: list[Any], place: int, name: str) -> int:
    names = [it for it, _, _ in ours]
    return names.index(name) if name in names else place


def signature_differences(ours: Any, peer: Any) -> Iterator[str]:
    if peer is not None:
        yield from ["no signature"] if ours is None else parameter_differences(ours, peer)


def member_differences(ours: dict[str, Any], peer: dict[str, Any]) -> Iterator[str]:
    for name, theirs in peer.items():
        mine = ours.get(name)
        if mine is None:
            yield f"`.{name}`: is not there"
        elif mine["kind"] != theirs["kind"]:
            yield f"`.{name}`: {mine['kind']}, not {theirs['kind']}"
        else:
            for told in signature_differences(mine["takes"], theirs["takes"]):
                yield f"`.{name}`: {told}"


def name_differences(ours: dict[str, Any] | None, peer: dict[str, Any]) -> Iterator[str]:
    """Say how one public name differs."""
    if ours is None:
        yield "is not there"
    elif ours["kind"] != peer["kind"]:
        yield f"{ours['kind']}, not {peer['kind']}"
    else:
        yield from signature_differences(ours.get("takes"), peer.get("takes"))
        if peer.get("generic") and not ours["generic"]:
            yield "cannot be subscripted"
        fields = peer.get("fields")
        if fields is not None and fields != (ours["fields"] or [])[: len(fields)]:
            yield f"fields {ours['fields']}, not {peer['fields']}"
        yield from member_differences(ours.get("members", {}), peer.get("members", {}))


def compare(ours: dict[str, Any], peer: dict[str, Any]) -> list[str]:
    """Give each difference in one line, which begins with the name."""
    return [
        f"{name} {told}"
        for name, theirs in peer.items()
        for told in name_differences(ours.get(name), theirs)
    ]


def main() -> None:
    ours, peer = (json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:])
    found = compare(ours, peer)
    unknown = [line for line in found if line not in KNOWN_API]
    gone = [line for line in KNOWN_API if line not in found]
    print(f"{len(peer)} public names of the peer, {len(found)} differences.")
    print(*(f"Known: {line} ({why})" for line, why in KNOWN_API.items()), sep="\n", end="")
    for title, lines in (("Not known", unknown), ("Known, and no difference any more", gone)):
        for line in lines:
            print(f"{title}: {line}")
    sys.exit(bool(unknown or gone))


if __name__ == "__main__":
    main()
