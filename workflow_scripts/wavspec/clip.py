"""A clip as catalogs describe it, and a label as it stands in the names of files."""

import os
import re
from typing import NamedTuple


class Clip(NamedTuple):
    """An audio file; size and mtime are blank if there is no regular file that may be read."""

    path: str  # below the dataset folder
    size: int | str  # bytes
    mtime_ns: int | str  # nanoseconds since the epoch


def file_name_of(label):
    """Return `label` as part of a file's name: all but letters, digits and " .-_" as =XX bytes."""
    return re.sub(
        r"[^\w .-]", lambda match: "".join(f"={b:02X}" for b in os.fsencode(match[0])), label
    )


def label_in(file):
    """Return the label in the name of a file `{file_name_of(label)}.{digest}.{ending}`."""
    name = os.fsencode(os.path.basename(file).rsplit(".", 2)[0])
    return os.fsdecode(re.sub(rb"=(..)", lambda match: bytes.fromhex(match[1].decode()), name))
