"""Digests in the names of files.

The digest is a hash of everything that a file depends on. If a file with the right name exists, it
is up to date, even if it was moved or copied.
"""

import hashlib
import re
import shutil
from pathlib import Path

PATTERN = "[0-9a-f]{12}"


def digest(*things):
    """Return 12 hex digits that change if any of `things` changes.

    The order of a dict's keys is ignored. 10 and 10.0 are equal, and so are lists and tuples.

    Args:
        things: text, bytes, numbers, truth values, None, and lists, tuples and dicts of them.
    """
    return hashlib.sha256(ascii(canonical(things)).encode()).hexdigest()[:12]


def canonical(thing):
    """Return `thing` in a form with a unique repr."""
    if isinstance(thing, dict):
        pairs = [(canonical(key), canonical(value)) for key, value in thing.items()]
        return dict(sorted(pairs, key=ascii))
    if isinstance(thing, list | tuple):
        return tuple(map(canonical, thing))
    if isinstance(thing, float) and thing.is_integer():
        return int(thing)
    return thing


def content_digest(*files):
    """Return the digest of the content of `files`."""
    digests = []
    for path in files:
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digest(digests)


def digest_in(file):
    """Return the digest in the name of `file`, `{name}.{digest}.{ending}`."""
    return Path(file).stem.rpartition(".")[2]


def name_in(file):
    """Return the part of the name of `file` before the digest."""
    return Path(file).stem.rpartition(".")[0]


def remove_superseded(folder, current):
    """Remove the files in `folder` that have a digest in their names but are not in `current`.

    Args:
        folder: a folder of files `{name}.{digest}.{ending}`.
        current: set of "{name}.{digest}" to keep.
    """
    has_digest = re.compile(rf".*\.{PATTERN}")
    for file in Path(folder).glob("*"):
        if file.stem not in current and has_digest.fullmatch(file.stem):
            if file.is_dir():  # unfinished files of a killed job
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)
