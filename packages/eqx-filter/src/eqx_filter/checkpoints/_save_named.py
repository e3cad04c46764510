"""`save`: a PyTree as a file of named arrays."""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.tree_util as jtu

from ..shared._processes import Devices, devices_of, meet
from ._atomic import replacing
from ._container import bytes_of, write
from ._files import with_suffix
from ._named import Named, digest, named, unstacked
from ._texts import OURS, checksum_of
from ._together import written_by_one

VERSION = "1"
SUFFIX = ".safetensors"


def save(
    path: str | os.PathLike[str],
    tree: Any,
    config: Any = None,
    metadata: Mapping[str, str] | None = None,
    *,
    durable: bool = True,
    checksum: bool = False,
) -> None:
    """Save a PyTree by the names of its leaves, in the layout of safetensors.

        save("model", model, config={"width": 64})
        model = load("model", like=Model(**load_config("model"), key=key))

    Any reader of safetensors opens the file, and finds the arrays by their dotted paths:
    `layers.0.weight`. An array that stands at several places is there once.

    Where arrays lie on devices of several processes of `jax.distributed`, each of these calls it
    with the same tree: the arrays are brought together one after the other, so that no more memory
    is used than one of them needs, the first process writes, and all return when it has written.

    **Arguments:**

    - `path`: where to; without a suffix it gets `.safetensors`. It is replaced at the end, so that
        it holds the earlier file or the new one, whole, whenever the process is stopped.
    - `tree`: any PyTree. JAX and NumPy arrays of any shape, of any dtype but NumPy's texts, dates
        and objects; typed PRNG keys; bools, ints, floats and complex numbers. Of other leaves, such
        as functions, and of static fields, a text is saved, which `load` compares. Layers that are
        stacked have the names of a tuple of layers. Of a class with `__migrations__` the number of
        its versions is saved.
    - `config`: what `load_config` gives back, of what JSON holds: numbers, texts, None, lists and
        dicts of these. Often the arguments with which the model is built.
    - `metadata`: more texts, by names.
    - `durable`: whether to wait until the file is on the disk.
    - `checksum`: whether `load` is to see a bit that flips inside the file. It takes the time of
        reading the arrays once more, here and there; `load` with a `sharding` leaves it out, as it
        reads parts.

    **Raises:** `RuntimeError` naming a leaf that cannot be saved; `TypeError` for a `config` that
    JSON does not hold, and for `metadata` of other things than texts; `ValueError` for metadata
    whose names begin with `eqx.` or that UTF-8 does not hold, and for two leaves of one name;
    `OSError` from the file system. What the process that writes raises, the others raise as a
    `RuntimeError`; so do all if one of them does not call it within 300 seconds.
    """
    target, devices = with_suffix(path, SUFFIX), devices_of(jtu.tree_leaves(tree))
    meet(devices, f"save {target.name}", f"`save` of `{target}`")
    prepared = prepare(tree, config, metadata, devices=devices)
    write_prepared(target, prepared, durable=durable, checksum=checksum)


class Prepared(NamedTuple):
    """What a file will hold: leaves, and texts beside those that tell of the leaves.

    `devices` are of the processes that write it together.
    """

    found: Named
    texts: dict[str, str]
    devices: Devices


def prepare(
    tree: Any,
    config: Any,
    metadata: Mapping[str, str] | None,
    *,
    own: bool = False,
    devices: Devices = (),
) -> Prepared:
    """Bring a PyTree to the host; `own` says whether as it is now, whatever is written to it later.

    **Raises:** as `save`, but for the file system.
    """
    texts = {**_checked(metadata), f"{OURS}config": _as_json(config)}
    return Prepared(named(unstacked(tree), own=own), texts, devices)


def write_prepared(path: Path, prepared: Prepared, *, durable: bool, checksum: bool) -> None:
    """Write what was prepared, in the place of what the path holds."""
    found, texts, devices = prepared
    ours = {
        "version": VERSION,
        "structure": digest(found),
        "numbers": json.dumps(found.numbers),
        "kinds": json.dumps(found.kinds),
        "shared": json.dumps(found.shared),
        "static": json.dumps(found.static),
    }
    if found.versions:
        ours["versions"] = json.dumps(found.versions)
    if checksum:
        sums = {name: zlib.crc32(bytes_of(array)) for name, array in found.arrays.items()}
        ours["checksums"] = json.dumps(sums)
    metadata = {**texts, **{f"{OURS}{name}": text for name, text in ours.items()}}
    if checksum:
        metadata[f"{OURS}checksum"] = checksum_of(metadata)
    if devices:
        opened = written_by_one(path, devices, durable=durable)
    else:
        opened = replacing(path, durable=durable)
    with opened as file:
        write(file, found.arrays, metadata)


def _as_json(config: Any) -> str:
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        message = (
            f"`config` of `save` is written as JSON, which holds numbers, texts, None, lists and "
            f"dicts of these: {error}."
        )
        raise TypeError(message) from None


def _checked(metadata: Mapping[str, str] | None) -> dict[str, str]:
    texts = dict(metadata or {})
    for name, text in texts.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            message = (
                f"`metadata` of `save` has texts by names; got {name!r}: {text!r}. Other things go "
                "into `config`."
            )
            raise TypeError(message)
        try:
            (name + text).encode()
        except UnicodeEncodeError as error:
            message = f"`metadata` of `save` has {name!r}: {text!r}, of no UTF-8: {error.reason}."
            raise ValueError(message) from None
        if name.startswith(OURS):
            message = (
                f"`metadata` of `save` has `{name}`; names that begin with `{OURS}` are taken."
            )
            raise ValueError(message)
    return texts
