"""How a label is kept: its catalog, its chunk of spectrograms, and the table beside the chunk.

The catalog is a CSV file with a row for each clip. The chunk is a .npy file, (n, 96, 64) float64,
with zeros where a clip is invalid. Its table is a CSV file that says of each row what became of it.
"""

import csv
import hashlib
import os
from typing import NamedTuple

import numpy as np

from .dataset import Clip
from .front_end import EXAMPLE_SHAPE
from .run.digests import digest_in, label_digest
from .run.job import JobError

# A row is 12 x 4096 bytes: behind a header of 4096, each begins on a block of the file system,
# which can then share a chunk's blocks with the concatenation instead of copying them.
ROW_BYTES = 8 * EXAMPLE_SHAPE[0] * EXAMPLE_SHAPE[1]
HEADER_BYTES = 4096


class TableRow(NamedTuple):
    """What became of a clip. As read from a file, all but `valid` is text."""

    path: str  # the first three are the clip's, as its catalog has them
    size: str
    mtime_ns: str
    valid: bool
    reason: str  # why it is invalid, see audio.InvalidClipError; blank where it is valid
    detail: str  # what was found, in words
    sample_rate: str  # Hz; this and the next two are blank where they could not be read
    channels: str
    samples: str  # per channel, in the file
    padded: str  # zeros appended at 16 kHz, see `short_clips` in config.yaml


class ChunkError(JobError):
    """A chunk, table or catalog is not what its name says."""


def read_catalog(path):
    """Return the list of Clips that the CSV file `path` holds, in row order.

    Raises:
        ChunkError: the file is no catalog.
    """
    try:
        return [
            Clip(path, size and int(size), mtime_ns and int(mtime_ns))
            for path, size, mtime_ns in read_rows(path, Clip._fields)
        ]
    except ValueError as error:
        raise ChunkError(f"{path} is damaged: {error}") from error


def clips_of(catalog, digest, short_clips):
    """Return the Clips that the file `catalog` holds, having seen that they are of this digest.

    Raises:
        ChunkError: they have another digest, or the file is damaged or gone.
        JobError: the file cannot be read.
    """
    try:
        clips = read_catalog(catalog)
        if label_digest(clips, short_clips) == digest:
            return clips
    except (ChunkError, FileNotFoundError):
        pass
    except OSError as error:
        raise JobError(f"cannot read {catalog}: {error.strerror}") from error
    raise ChunkError(f"{catalog}: the clips or the code changed during the run: run again")


def read_table(path):
    """Yield the TableRows of the CSV file `path`, in row order.

    Raises:
        ChunkError: the file is no table of a chunk.
    """
    for row in read_rows(path, TableRow._fields):
        row[3] = row[3] == "True"
        yield TableRow(*row)


def read_rows(path, fields):
    """Yield the rows of the CSV file `path`, lists of text, having seen that these are its fields.

    Raises:
        ChunkError: they are not, or a row has more or fewer.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != list(fields):
                raise ChunkError(f"{path} lacks the columns {', '.join(fields)}")
            for row in rows:
                if len(row) != len(fields):
                    raise ChunkError(
                        f"{path} has a row of {len(row)} columns in line {rows.line_num}"
                    )
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise ChunkError(f"{path} is damaged: {error}") from error


def chunk_header(rows, table):
    """Return the 4096 bytes before the data of a chunk of `rows` examples, in NPY format 1.0.

    Readers of the format pass over the comment in it, which ties the chunk to the content of its
    `table` and to their common name: none of the three can be exchanged without being noticed.
    """
    with open(table, "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    array = {"descr": "<f8", "fortran_order": False, "shape": (rows, *EXAMPLE_SHAPE)}
    text = f"{array}  # {digest_in(table)} {content}".encode().ljust(HEADER_BYTES - 11) + b"\n"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text


def check_chunk(chunk, table, rows):
    """Raise ChunkError if `chunk` is not the whole chunk of so many rows that `table` describes."""
    with open(chunk, "rb") as file:
        header = file.read(HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    if header != chunk_header(rows, table) or size != HEADER_BYTES + rows * ROW_BYTES:
        raise ChunkError(f"{chunk} is not the chunk of {rows} clips that {table} describes")
