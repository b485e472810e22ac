"""Clips as listed in catalogs, and labels as parts of file names."""

import csv
import os
import re
from contextlib import contextmanager
from typing import NamedTuple


class Clip(NamedTuple):
    """An audio file or a segment of it."""

    path: str  # below the dataset folder
    size: int | str  # bytes; blank, like mtime_ns, if it is not a regular, readable file
    mtime_ns: int | str  # nanoseconds since the epoch
    start: float | str = ""  # of the segment, in seconds; blank for the start of the file
    end: float | str = ""  # blank for the end of the file


def file_name_of(label):
    """Return `label` for a file name, with all bytes but letters, digits and " .-_" as =XX."""
    return re.sub(
        r"[^\w .-]", lambda match: "".join(f"={b:02X}" for b in os.fsencode(match[0])), label
    )


def label_in(file):
    """Return the label in the name of a file `{file_name_of(label)}.{digest}.{ending}`."""
    name = os.fsencode(os.path.basename(file).rsplit(".", 2)[0])
    return os.fsdecode(re.sub(rb"=(..)", lambda match: bytes.fromhex(match[1].decode()), name))


@contextmanager
def new_csv(path, fields):
    """Yield a csv.writer for the new file `path`, after a header row of `fields`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        yield writer
