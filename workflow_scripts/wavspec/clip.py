"""A clip as the dataset's catalog describes it."""

from typing import NamedTuple


class Clip(NamedTuple):
    """An audio file; size and mtime are blank if there is no regular file that may be read."""

    path: str  # below the dataset folder
    size: int | str  # bytes
    mtime_ns: int | str  # nanoseconds since the epoch
