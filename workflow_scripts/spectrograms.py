"""A label's clips to one chunk: their log-mel examples, and a table of which are valid and why."""

import csv
import hashlib
import os
from collections import Counter
from itertools import islice

import numpy as np
from front_end import EXAMPLE_SAMPLES, EXAMPLE_SHAPE, ExampleBatch, InvalidClipError, read_clip
from job_log import JobError, job_log

# A row is 12 x 4096 bytes: behind a header of 4096, each begins on a block of the file system,
# which can then share a chunk's blocks with the concatenation instead of copying them.
ROW_BYTES = 8 * EXAMPLE_SHAPE[0] * EXAMPLE_SHAPE[1]
HEADER_BYTES = 4096

CATALOG_FIELDS = ["path", "size", "mtime_ns"]
TABLE_FIELDS = [
    *CATALOG_FIELDS,
    *("valid", "reason", "detail", "sample_rate", "channels", "samples"),
]


def write_chunk(dataset, catalog, chunk, table):
    """Write the log-mel examples of the clips in `catalog`, and what became of each clip.

    Memory does not grow with the number of clips.

    Args:
        dataset: the folder that the catalog's paths lie below.
        catalog: CSV file of a label's clips, see `write_catalog`.
        chunk: .npy file to write: (n, 96, 64) float64, a row a clip, zeros where it is invalid.
        table: CSV file to write, a row a clip: the catalog's columns; `valid`, True or False; for
            an invalid one the `reason` (see InvalidClipError; `vanished` if it could be opened
            when it was catalogued, but not now) and `detail`; the file's `sample_rate` in Hz,
            `channels` and `samples` a channel, as far as they could be read.

    Returns:
        Counter of "valid" and of each reason.

    Raises:
        OSError: the catalog cannot be read, or an output not written. A clip raises nothing.
    """
    batch = ExampleBatch()
    counts = Counter()
    with (
        open(catalog, encoding="utf-8", newline="") as catalog_file,
        open(table, "w", encoding="utf-8", newline="") as table_file,
        open(chunk, "wb") as chunk_file,
    ):
        clips = csv.reader(catalog_file)
        next(clips)
        table_writer = csv.writer(table_file, lineterminator="\n")
        table_writer.writerow(TABLE_FIELDS)
        chunk_file.seek(HEADER_BYTES)
        while rows := list(islice(clips, batch.SIZE)):
            invalid = []
            for i, row in enumerate(rows):
                try:
                    samples, format = read_clip(os.path.join(dataset, row[0]))
                    batch.samples[i] = samples[:EXAMPLE_SAMPLES]
                    outcome = ["True", "", "", *format]
                    counts["valid"] += 1
                except InvalidClipError as error:
                    reason = error.reason
                    if isinstance(error.__cause__, OSError) and row[1]:
                        reason = "vanished"
                    invalid.append(i)
                    outcome = ["False", reason, error.detail, *(error.format or ("", "", ""))]
                    counts[reason] += 1
                table_writer.writerow(row + outcome)
            examples = batch.log_mel()
            examples[invalid] = 0.0
            chunk_file.write(examples[: len(rows)])
        table_file.flush()
        # Last, so that a chunk cut short has no header at all.
        chunk_file.seek(0)
        chunk_file.write(chunk_header(counts.total(), table))
    return counts


def chunk_header(rows, table):
    """Return the 4096 bytes before the data of a chunk of `rows` examples.

    The comment in it ties the chunk to its `table`: the concatenation sees by it that neither was
    swapped for another's or an older one.
    """
    with open(table, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return npy_header("<f8", (rows, *EXAMPLE_SHAPE), f"table {digest}")


def npy_header(dtype, shape, comment):
    """Return 4096 bytes to stand before an array's data: numpy's NPY format 1.0.

    Readers of the format pass over the `comment` in it.
    """
    array = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}  # {comment}"
    text = array.encode().ljust(HEADER_BYTES - 11) + b"\n"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text


if "snakemake" in globals():
    with job_log(snakemake.log[0]):
        try:
            counts = write_chunk(
                os.path.expanduser(snakemake.config["dataset"]),
                snakemake.input.catalog,
                snakemake.output.chunk,
                snakemake.output.table,
            )
        except OSError as error:
            with open(snakemake.input.catalog, encoding="utf-8", newline="") as file:
                size = HEADER_BYTES + ROW_BYTES * (sum(1 for _ in csv.reader(file)) - 1)
            message = f"cannot write {snakemake.output.chunk}, {size:,} bytes needed: {error}"
            raise JobError(message) from error
        print(*(f"{count} {outcome}" for outcome, count in counts.items()), sep=", ")
