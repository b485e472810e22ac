"""Digests in the names of files.

The digest is a hash of everything that a file depends on. If a file with the right name exists, it
is up to date, even if it was moved or copied.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

PATTERN = "[0-9a-f]{12}"


def digest(*things):
    """Return 12 hex digits that change if any of `things` changes.

    Args:
        things: text, bytes, numbers, truth values, None, and lists, tuples and dicts of them. The
            order of a dict's keys is ignored.
    """
    text = json.dumps(things, sort_keys=True, default=bytes.hex)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def content_hash(file):
    """Return the SHA-256 of the content of `file` as hex digits."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_in(file):
    """Return the digest in the name of `file`, `{name}.{digest}.{ending}`."""
    return Path(file).stem.rpartition(".")[2]


def name_in(file):
    """Return the part of the name of `file` before the digest."""
    return Path(file).stem.rpartition(".")[0]


def remove_superseded(folder, endings, current):
    """Remove the files in `folder` that have a digest in their names but are not in `current`.

    Args:
        folder: a folder of files `{name}.{digest}{ending}`.
        endings: the endings of the files that the workflow writes there, such as (".npy", ".csv").
        current: set of "{name}.{digest}" to keep.
    """
    ours = re.compile(rf".*\.{PATTERN}({'|'.join(map(re.escape, endings))})")
    unfinished = re.compile(rf"\.{PATTERN}\.{PATTERN}\.unfinished")  # of a killed job
    for file in Path(folder).glob("*"):
        if unfinished.fullmatch(file.name):
            shutil.rmtree(file, ignore_errors=True)
        elif ours.fullmatch(file.name) and file.stem not in current and file.is_file():
            file.unlink(missing_ok=True)
