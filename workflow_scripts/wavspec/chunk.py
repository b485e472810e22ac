"""The files of a label: its catalog, its chunk of spectrograms, and the chunk's table.

The catalog is a CSV file with a row for each clip. The chunk is a .npy file, (n, 96, 64) float64,
with the examples of all clips in order, and zeros for invalid clips. The table is a CSV file with a
row for each row of the chunk.
"""

import csv
import os
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .clip import Clip
from .errors import WavspecError, reading
from .front_end import EXAMPLE_SHAPE

# A row has 12 x 4096 bytes. With a header of 4096 bytes, each row starts at a block of the file
# system, so XFS and btrfs can share the blocks with the concatenation instead of copying them.
ROW_BYTES = 8 * EXAMPLE_SHAPE[0] * EXAMPLE_SHAPE[1]
HEADER_BYTES = 4096
DEFAULT_HOP = 0.96  # s


class TableRow(NamedTuple):
    """A row of a chunk: an example of a valid clip, or the zeros of an invalid one."""

    path: str  # path, size, mtime_ns, start and end as in the catalog
    size: str
    mtime_ns: str
    start: str  # of the segment, in seconds, blank for a whole file
    end: str
    valid: bool
    reason: str  # why the clip is invalid, see audio.InvalidClipError, or blank
    detail: str  # what was found, in words
    sample_rate: str  # Hz; like channels and samples, blank if the header could not be read
    channels: str
    samples: str  # per channel, in the clip, at `sample_rate`
    padded: str  # zeros appended at 16 kHz, see `short_clips` in config.yaml
    example: int = 0  # number of the example within the clip, from 0
    note: str = ""  # why a valid clip is likely worthless, see audio.worthless, or blank


def settings_of(config):
    """Return the part of the configuration that the rows of a label depend on.

    Raises:
        WavspecError: `hop` is not a multiple of 0.01, or long clips are not cut.
    """
    settings = {key: config[key] for key in ("short_clips", "long_clips", "hop")}
    hop = settings["hop"] = float(settings["hop"])
    if round(hop, 2) != hop:
        raise WavspecError(f"config key 'hop': {hop} is not a multiple of 0.01 s, such as 0.48")
    if hop != DEFAULT_HOP and settings["long_clips"] != "cut":
        raise WavspecError(
            f"config key 'hop': {hop} is for clips that are cut into examples. Add long_clips: "
            "cut, or remove `hop`."
        )
    return settings


class ChunkError(WavspecError):
    """A chunk, table or catalog is damaged, or does not match the digest in its name."""


@contextmanager
def reading_own(path):
    """Raise ChunkError if a file of the workflow cannot be opened, WavspecError for other errors.

    A file that is missing, a folder, or without permission is made again, like a damaged one.
    """
    with reading(path):
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise ChunkError(f"{path} is damaged: {error.strerror}") from error


def read_catalog(path):
    """Return the list of Clips in the CSV file `path`, in row order.

    Raises:
        ChunkError: the file is not a catalog.
        WavspecError: it cannot be read.
    """
    try:
        return [
            Clip(
                path,
                size and int(size),
                mtime_ns and int(mtime_ns),
                start and float(start),
                end and float(end),
            )
            for path, size, mtime_ns, start, end in read_rows(path, Clip._fields)
        ]
    except ValueError as error:
        raise ChunkError(f"{path} is damaged: {error}") from error


def read_rows(path, fields):
    """Yield the rows of the CSV file `path` as lists of text, and check its header row.

    Raises:
        ChunkError: the header row is not `fields`, or another row has more or fewer columns.
        WavspecError: the file cannot be read.
    """
    try:
        with reading_own(path), open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != list(fields):
                raise ChunkError(f"{path} does not have the columns {', '.join(fields)}")
            for row in rows:
                if len(row) != len(fields):
                    raise ChunkError(
                        f"{path} has a row of {len(row)} columns in line {rows.line_num}"
                    )
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise ChunkError(f"{path} is damaged: {error}") from error


def chunk_header(rows):
    """Return the 4096 bytes before the data of a chunk of `rows` examples, in NPY format 1.0."""
    array = {"descr": "<f8", "fortran_order": False, "shape": (rows, *EXAMPLE_SHAPE)}
    text = f"{array}".encode().ljust(HEADER_BYTES - 11) + b"\n"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text


def check_chunk(chunk):
    """Return the number of rows of the file `chunk`, and check that it is complete.

    Raises:
        ChunkError: the file is damaged.
        WavspecError: it cannot be read.
    """
    with reading_own(chunk), open(chunk, "rb") as file:
        header = file.read(HEADER_BYTES)
        rows, rest = divmod(os.fstat(file.fileno()).st_size - HEADER_BYTES, ROW_BYTES)
    if rest or header != chunk_header(rows):
        raise ChunkError(f"{chunk} is damaged")
    return rows
