"""Stamps: records of what the outputs of a stage were made from.

Outputs with fixed names, such as `wavfile_spec.dat`, cannot contain a digest. Their stage also
writes a stamp, `stamps/{stage}.{digest}.json`, with the digest of everything that the outputs
depend on in its name. It lists the outputs with their sizes. If it exists and the sizes match, the
outputs are up to date. Otherwise the stage is due.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

MISSING = -1  # in place of a size


class Stamp(NamedTuple):
    """The stamp that a run requires, and the state of the stage's present outputs."""

    path: str
    digest: str  # of everything that the outputs depend on
    found: dict  # the stamp's content, see `write_stamp`; empty if the stage is due
    damage: str  # an output that is not as it was written, or ""

    @classmethod
    def of(cls, results, stage, digest):
        """Return the Stamp of a stage, given the digest of what its outputs depend on.

        If an output was changed by hand, the run requires a stamp with another name. That stamp
        does not exist, so Snakemake runs the stage again, without a file to delete by hand.
        """
        existing = stamps_of(results, stage)
        names = (f"{stage}.{digest}{ending}" for ending in endings())
        if not (mine := [name for name in existing if name.startswith(f"{stage}.{digest}.")]):
            return cls(f"{results}/stamps/{next(names)}", digest, {}, "")
        path = f"{results}/stamps/{mine[0]}"
        found, damage = read_stamp(path)
        if len(existing) > 1:
            # An older copy of the results was copied over these.
            other = next(name for name in existing if name != mine[0])
            damage = f"{results}/stamps/{other}"
        if not damage:
            return cls(path, digest, found, "")
        free = next(name for name in names if name not in existing)
        return cls(f"{results}/stamps/{free}", digest, {}, damage)

    @classmethod
    def decided(cls, path):
        """Return the Stamp with a path that the main process has decided."""
        return cls(path, Path(path).name.split(".")[1], {}, "")


def endings():
    """Yield the endings of a stamp's names: `.json`, `.2.json`, `.3.json` and so on."""
    yield ".json"
    for number in itertools.count(2):
        yield f".{number}.json"


def stamps_of(results, stage):
    """Return the names of all stamps of a stage, with any digest."""
    return sorted(path.name for path in Path(results, "stamps").glob(f"{stage}.*.json"))


def stage_of(stamp):
    """Return the stage in the name of a stamp."""
    return Path(stamp).name.partition(".")[0]


def read_stamp(path):
    """Return the stamp's content, and an output that is not as it was written, or ""."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        for files in ("outputs", "watched"):
            for name, size in found[files].items():
                file = f"{os.path.dirname(path)}/{name}"
                if size_of(file) not in (size, MISSING if files == "watched" else size):
                    return {}, os.path.normpath(file)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, str(path)
    return found, ""


def size_of(file):
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return MISSING


def write_stamp(path, outputs, watched, words):
    """Write the stamp of a stage.

    Args:
        path: the stamp.
        outputs: list of the stage's outputs, of which the stamp holds the sizes.
        watched: list of other files likewise. Snakemake itself notices if one is missing.
        words: {"warnings": lines, "closing": lines} to the user.
    """
    folder = os.path.dirname(path)
    sizes = [
        {os.path.relpath(file, folder): os.path.getsize(file) for file in files}
        for files in (outputs, watched)
    ]
    content = {"outputs": sizes[0], "watched": sizes[1], "written": time.time(), **words}
    part = f"{path}.unfinished"
    Path(part).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(part, path)
