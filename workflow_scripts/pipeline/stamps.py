"""Stamps: records of the outputs of a stage.

Outputs with fixed names, such as `wavfile_spec.dat`, cannot contain a digest. Their stage also
writes a stamp, `stamps/{stage}.{digest}.json`, with the digest of everything that the outputs
depend on in its name. It lists the outputs with size, time and hash. If it exists and they match,
the outputs are up to date. Otherwise the stage is due.
"""

import itertools
import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

from .digests import content_hash
from .files import remove

# Larger outputs have no hash in their stamp: they are made again if their time has changed.
LARGEST_HASHED = 100_000_000  # bytes


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


def digest_of(stamp):
    """Return the digest in the name of a stamp."""
    return Path(stamp).name.split(".")[1]


def read_stamp(path):
    """Return the stamp's content, and an output that is not as it was written, or "".

    A stamp that cannot be read for any reason counts as an output that was damaged.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        folder = os.path.dirname(path)
        stamped = os.stat(path).st_mtime_ns
        for name, state in found["outputs"].items():
            if not is_unchanged(f"{folder}/{name}", state, stamped):
                return {}, os.path.normpath(f"{folder}/{name}")
        for name, size in found["watched"].items():
            file = f"{folder}/{name}"
            if os.path.exists(file) and os.path.getsize(file) != size:
                return {}, os.path.normpath(file)
        for key in ("warnings", "summary"):
            "\n".join(found[key])
    except Exception:
        return {}, str(path)
    return found, ""


def state_of(path):
    """Return [size, modification time in ns, hash or None] of a file, for a stamp."""
    status = os.stat(path)
    hashed = content_hash(path) if status.st_size <= LARGEST_HASHED else None
    return [status.st_size, status.st_mtime_ns, hashed]


def is_unchanged(path, state, stamped):
    """Return whether a file is as it was written.

    Args:
        path: the file.
        state: what `state_of` returned for it.
        stamped: modification time of the stamp in ns. Snakemake sets the times of all outputs after
            a job, that of the stamp last.
    """
    size, mtime_ns, hashed = state
    try:
        status = os.stat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return False
    if status.st_mtime_ns == mtime_ns:
        return True
    if hashed is None:
        return mtime_ns < status.st_mtime_ns <= stamped
    return content_hash(path) == hashed


def write_stamp(path, outputs, watched, messages):
    """Write the stamp of a stage, and remove its other stamps.

    Args:
        path: the stamp.
        outputs: {output: the file that will be renamed to it}.
        watched: {file: itself, or the file that will be renamed to it}. If the size of one changes,
            the stage is due. Snakemake itself notices if one is missing.
        messages: {"warnings": lines, "summary": lines} to the user.
    """
    folder = os.path.dirname(path)
    states = {os.path.relpath(name, folder): state_of(file) for name, file in outputs.items()}
    sizes = {os.path.relpath(name, folder): os.path.getsize(file) for name, file in watched.items()}
    content = {"outputs": states, "watched": sizes, **messages}
    part = f"{path}.unfinished"
    try:
        Path(part).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
    for name in stamps_of(os.path.dirname(folder), stage_of(path)):
        if name != os.path.basename(path):
            remove(f"{folder}/{name}")
