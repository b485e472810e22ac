"""Clips as listed in catalogs, and labels as parts of file names."""

import os
import re
from typing import NamedTuple


class Clip(NamedTuple):
    """An audio file; size and mtime are blank if it is not a regular, readable file."""

    path: str  # below the dataset folder
    size: int | str  # bytes
    mtime_ns: int | str  # nanoseconds since the epoch


def file_name_of(label):
    """Return `label` for a file name, with all bytes but letters, digits and " .-_" as =XX."""
    return re.sub(
        r"[^\w .-]", lambda match: "".join(f"={b:02X}" for b in os.fsencode(match[0])), label
    )


def label_in(file):
    """Return the label in the name of a file `{file_name_of(label)}.{digest}.{ending}`."""
    name = os.fsencode(os.path.basename(file).rsplit(".", 2)[0])
    return os.fsdecode(re.sub(rb"=(..)", lambda match: bytes.fromhex(match[1].decode()), name))
