"""Stamps: what the outputs of a stage were made of.

Notebooks read `wavfile_spec.dat` under this very name, which therefore cannot carry a digest. A
stage with such outputs also writes a stamp, `stamps/{stage}.{digest}.json`, whose name carries the
digest of everything that the outputs depend on. It lists the outputs with their sizes. While it
exists and the sizes fit, the outputs are up to date. Otherwise the stage is due.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

MISSING = -1  # in place of a size


class Stamp(NamedTuple):
    """The stamp that a run asks for, and what it says of the stage's present outputs."""

    path: str
    digest: str  # of everything that the outputs depend on
    found: dict  # what `write_stamp` wrote; empty if the stage is due
    damage: str  # the output that is not as it was written, or ""

    @classmethod
    def of(cls, results, stage, digest):
        """Return the Stamp of a stage whose outputs depend on what `digest` says.

        If the outputs were changed by hand, the run asks for a stamp of another name. It does not
        exist, so Snakemake makes the outputs again. Nobody has to delete a file.
        """
        existing = stamps_of(results, stage)
        names = (f"{stage}.{digest}{ending}" for ending in endings())
        if not (mine := [name for name in existing if name.startswith(f"{stage}.{digest}.")]):
            return cls(f"{results}/stamps/{next(names)}", digest, {}, "")
        path = f"{results}/stamps/{mine[0]}"
        found, damage = read_stamp(path)
        if len(existing) > 1:
            # An older copy of the results was copied over newer ones.
            damage = f"{results}/stamps/{existing[-1]}"
        if not damage:
            return cls(path, digest, found, "")
        free = next(name for name in names if name not in existing)
        return cls(f"{results}/stamps/{free}", digest, {}, damage)

    @classmethod
    def decided(cls, path):
        """Return the Stamp that another process asks for."""
        return cls(path, Path(path).name.split(".")[1], {}, "")


def endings():
    """Yield the endings of a stamp's names: `.json`, `.2.json`, `.3.json` and so on."""
    yield ".json"
    for number in itertools.count(2):
        yield f".{number}.json"


def stamps_of(results, stage):
    """Return the names of all stamps of a stage, of whatever its outputs were made."""
    return sorted(path.name for path in Path(results, "stamps").glob(f"{stage}.*.json"))


def stage_of(stamp):
    """Return the stage of a stamp, with which its name begins."""
    return Path(stamp).name.partition(".")[0]


def read_stamp(path):
    """Return what the stamp says, and the output that is not as it was written, or ""."""
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
